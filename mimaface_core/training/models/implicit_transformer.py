"""Stage `transformer`: IF-MDM's stage 2, diffusion of motion codes with a learned variance.

The loss is that of improved diffusion (Nichol and Dhariwal 2021) as DiT has it: the error of the noise, and the
variational bound of the variance alone, in bits.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ...errors import InputError
from ...implicit.face_codes import DIMENSIONS
from ...implicit.sampler import TRAINING_STEPS, alphas_cumprod
from ...implicit.transformer import TOKENS_A_FRAME, WINDOW, MotionTransformer
from ...implicit.voice_features import FEATURES
from ..config import Precision
from ..data.implicit_speech import SpokenMotion
from ..engine.prefetch import Prefetcher
from ..engine.trainer import Trainer
from ..implicit_config import TransformerConfig

BIN = 1 / 255  # half a bin of the likelihood at the last step, on ±1
LEAST_PROBABILITY = 1e-12


class TransformerModel(nn.Module):
    """A motion transformer with its loss on a batch."""

    alphas: Tensor

    def __init__(self, network: MotionTransformer) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("alphas", alphas_cumprod())

    def forward(self, motion: Tensor, speech: Tensor, t: Tensor, noise: Tensor) -> dict[str, Tensor]:
        """Mean losses; arguments as `losses`."""
        error, bound = self.losses(motion, speech, t, noise)
        return {"loss": (error + bound).mean(), "noise": error.mean(), "bound": bound.mean()}

    def losses(self, motion: Tensor, speech: Tensor, t: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each sample.

        Args:
            motion: codes [B, 65, K]; the first is the hint, all of them give the statistics.
            speech: features [B, 130, V], two tokens a frame.
            t: steps [B], 0–999.
            noise: [B, 64, K].

        Returns:
            The mean squared error of the noise [B], and the bound of the variance [B] in bits.
        """
        hint, x = motion[:, :1], motion[:, 1:]
        mean, deviation = motion.mean(1, keepdim=True), motion.std(1, keepdim=True)
        kept = self._at(self.alphas, t)
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * noise
        predicted = self.network(noisy, t, speech[:, TOKENS_A_FRAME:], hint, mean, deviation).float()
        epsilon, fraction = predicted.chunk(2, -1)
        bound = self._bound(x, noisy, t, epsilon.detach(), fraction)
        return (noise - epsilon).square().mean((1, 2)), bound

    def _bound(self, x: Tensor, noisy: Tensor, t: Tensor, epsilon: Tensor, fraction: Tensor) -> Tensor:
        """The variational bound of a step [B] in bits, of codes [B, 64, K]."""
        kept, before = self.alphas, torch.cat([self.alphas.new_ones(1), self.alphas[:-1]])
        beta = 1 - kept / before
        posterior = beta * (1 - before) / (1 - kept)
        floor = torch.cat([posterior[1:2], posterior[1:]]).log()
        of_start, of_noisy = beta * before.sqrt() / (1 - kept), (1 - before) * (1 - beta).sqrt() / (1 - kept)
        share = (fraction + 1) / 2
        log_variance = share * self._at(beta.log(), t) + (1 - share) * self._at(floor, t)
        kept_now = self._at(kept, t)
        start = (noisy - (1 - kept_now).sqrt() * epsilon) / kept_now.sqrt()
        true_mean = self._at(of_start, t) * x + self._at(of_noisy, t) * noisy
        mean = self._at(of_start, t) * start + self._at(of_noisy, t) * noisy
        true_log = self._at(floor, t)
        distance = (log_variance - true_log + (true_log - log_variance).exp() - 1) / 2
        distance = distance + (true_mean - mean).square() * (-log_variance).exp() / 2
        likelihood = -discretised_log_likelihood(x, mean, log_variance / 2)
        bits = torch.where((t == 0).view(-1, 1, 1), likelihood, distance) / math.log(2)
        return bits.mean((1, 2))

    def _at(self, values: Tensor, t: Tensor) -> Tensor:
        """A table's values of steps [B]: [B, 1, 1], in single precision."""
        return values[t].float().view(-1, 1, 1)


def discretised_log_likelihood(x: Tensor, mean: Tensor, log_deviation: Tensor) -> Tensor:
    """Logarithm of the probability of x, in bins of 2/255 on ±1, under normal distributions; all [...]."""

    def below(value: Tensor) -> Tensor:
        """The normal distribution's share below, approximately."""
        return (1 + torch.tanh(math.sqrt(2 / math.pi) * (value + 0.044715 * value**3))) / 2

    scale = (-log_deviation).exp()
    upper, lower = below(scale * (x - mean + BIN)), below(scale * (x - mean - BIN))
    inside = (upper - lower).clamp(min=LEAST_PROBABILITY).log()
    first, last = upper.clamp(min=LEAST_PROBABILITY).log(), (1 - lower).clamp(min=LEAST_PROBABILITY).log()
    return torch.where(x < -0.999, first, torch.where(x > 0.999, last, inside))


class SpokenWindows:
    """Windows of 65 frames out of all recordings of a folder.

    Args:
        folder: of `SpokenMotion`s.

    Raises:
        InputError: there are none.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("."))
        self.motions = [SpokenMotion.load(path) for path in paths]
        if not self.motions:
            raise InputError(f"{folder} holds no motion of speech; make it first: mimaface train spoken.")

    def batch(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Random windows with steps and noise, see `TransformerModel.losses`."""
        motion, speech = [], []
        for number in torch.randint(len(self.motions), (count,), generator=generator).tolist():
            one = self.motions[number]
            take = int(torch.randint(len(one.codes), (), generator=generator))
            start = int(torch.randint(one.codes.shape[1] - WINDOW, (), generator=generator))
            motion.append(one.codes[take, start : start + WINDOW + 1])
            speech.append(one.speech[TOKENS_A_FRAME * start : TOKENS_A_FRAME * (start + WINDOW + 1)])
        return {
            "motion": torch.stack(motion),
            "speech": torch.stack(speech),
            "t": torch.randint(TRAINING_STEPS, (count,), generator=generator),
            "noise": torch.randn(count, WINDOW, motion[0].shape[1], generator=generator),
        }


def train_transformer(config: TransformerConfig, precision: Precision, data: Path, out: Path) -> None:
    """Train the transformer, or resume; writes `transformer.safetensors` and its log.

    Args:
        config: of the stage.
        precision: of the training.
        data: folder with the motion in `spoken`.
        out: folder of the checkpoint.

    Raises:
        InputError: there is no motion, or the checkpoint is of other settings.
    """
    windows = SpokenWindows(data / "spoken")
    torch.manual_seed(config.seed)
    model = TransformerModel(MotionTransformer(config.variant, DIMENSIONS, FEATURES))
    model.train()
    trainer = Trainer("transformer", out, model, ("network",), config, precision)
    batches = Prefetcher(lambda step: windows.batch(config.batch, trainer.generator(step)))
    trainer.run(lambda _: batches(trainer.step))
