"""Stage `generator`: IF-MDM's stage 1 in the small recipes, guided by known motion.

Beside IF-MDM's losses (L₁, adversarial) there are two that only made-up data can have: codes near the true motion, and
flows that bring every landmark from where it was. The perceptual loss needs VGG19's weights; without them, the features
of a discriminator can stand in for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ...implicit.detail import centres_of, enlarged, taken_from
from ...implicit.discriminator import Discriminator
from ...implicit.face_codes import boxed_codes
from ...implicit.generator import Drawn, Generator, places_of, shares_of
from ...implicit.grow import grow
from ..config import Precision
from ..data.implicit_pool import ClipPool
from ..engine.checkpoint import load_averaged
from ..engine.prefetch import Prefetcher
from ..engine.trainer import Trainer
from ..implicit_config import GeneratorConfig
from ..people.inference import RIMS
from .perceptual import PerceptualLoss

WEIGHTS = {
    "image": 10.0,
    "taken": 5.0,
    "drawn": 3.0,
    "edges": 5.0,
    "flow": 20.0,
    "codes": 2.0,
    "perceptual": 1.0,
}  # of the losses
FEATURES, ADVERSARIAL = 1.0, 0.2
RIM, RIM_WIDTH = 4.0, 0.03  # weight around lids and lips, in addition to 1, and its reach in half sides
LEAST_FLOW = 32  # pixels, resolution from which on flows are led
ADVERSARIAL_FROM, ADVERSARIAL_FULL = 0.25, 0.5  # of the training
FIRST_FLOW, FIRST_COLOUR, FIRST_SHARE = 0.03, 0.1, 2.0  # factors on new weights, and the first raw mask
NOISE = 0.03  # of the image that motion is measured in
NEW_EVERY, NEW_CLIPS = 20, 8  # steps between two looks at a growing folder, and clips that are read in one


class GeneratorModel(nn.Module):
    """Generator and discriminator with their losses on a batch of pairs.

    Args:
        config: sizes of the networks.
        size: side of the images.
        judged: whether a discriminator learns beside the generator.
    """

    def __init__(self, config: GeneratorConfig, size: int, judged: bool = True) -> None:
        super().__init__()
        self.config, self.generator = config, Generator(**config.network(size))
        self.perceptual = None if config.vgg is None else PerceptualLoss(Path(config.vgg))
        self.discriminator = Discriminator(size, config.width) if judged else None
        with torch.no_grad():  # nothing moves at first, everything is kept, and no layer adds much colour
            for name, value in self.generator.dec.named_parameters():
                if name.startswith("to_flows.") and name.endswith(".conv.weight"):
                    value.mul_(FIRST_FLOW)
                elif name.startswith("to_rgbs.") and name.endswith(".conv.0.weight"):
                    value.mul_(FIRST_COLOUR)
                elif name == "to_flows.0.bias":
                    value[:, 2] = FIRST_SHARE

    def forward(
        self,
        source: Tensor,
        target: Tensor,
        source_codes: Tensor,
        target_codes: Tensor,
        source_places: Tensor,
        target_places: Tensor,
        seen: Tensor,
        box: Tensor,
        light: Tensor,
        adversarial: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of a batch; arguments as `ClipPool.pairs`, and the share [] of the adversarial loss."""
        start, end = (cut_out(image, box, light[:, 0], self.generator.size) for image in (source, target))
        measured = ((end + 1) * light[:, 1, :, None, None] - 1 + NOISE * torch.randn_like(end)).clamp(-1, 1)
        generator = self.generator
        basis = generator.dec.direction.basis()  # once, since the GPU waits for it
        codes = [boxed_codes(codes, box) for codes in (source_codes, target_codes)]
        encoded, motion = generator.enc(start), codes[1]
        told = torch.rand(len(start), 1, device=start.device) < self.config.told
        if self.config.told < 1:
            motion = generator.enc(measured).motion.float()
        style = encoded.style + (torch.where(told, codes[1], motion) @ basis.T).to(encoded.style)
        drawn = generator.dec.draw(style, encoded.features)
        with torch.autocast(source.device.type, enabled=False):
            before, after = ((p - box[:, None, :2]) / box[:, None, 2:] for p in (source_places, target_places))
            image, taken, made = composed(drawn, start)
            losses = image_losses(image, taken, made, end, around_rims(after, end.shape[-1]))
            if self.perceptual is not None:
                losses["perceptual"] = self.perceptual(image, end)
            losses["flow"] = flow_loss(drawn.flows, before, after, seen)
            if self.config.told < 1:
                losses["codes"] = code_loss(encoded.motion.float(), motion, *codes)
        total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
        if self.discriminator is not None:
            judged = adversarial_losses(self.discriminator, image, end)
            share = adversarial.to(end)
            total = total + share * (FEATURES * judged["features"] + ADVERSARIAL * judged["fooled"]) + judged["critic"]
            losses |= judged
        return {"loss": total, **losses}


def adversarial_losses(discriminator: Discriminator, image: Tensor, real: Tensor) -> dict[str, Tensor]:
    """The generator's losses by a discriminator that stands still, and the discriminator's own.

    Args:
        discriminator: of both.
        image: [B, 3, S, S], made.
        real: [B, 3, S, S].
    """
    still = {name: value.detach() for name, value in discriminator.named_parameters()}
    still |= dict(discriminator.named_buffers())
    fooled, made = functional_call(discriminator, still, (image,), {"features": True})
    true_score, seen = discriminator(real, features=True)
    distances = [(a - b.detach()).abs().mean() for a, b in zip(made, seen, strict=True)]
    critic = F.softplus(-true_score).mean() + F.softplus(discriminator(image.detach())).mean()
    return {"features": torch.stack(distances).mean(), "fooled": F.softplus(-fooled).mean(), "critic": critic}


def cut_out(image: Tensor, box: Tensor, light: Tensor, size: int) -> Tensor:
    """Images [B, 3, size, size] in ±1 of uint8 [B, 3, S, S], cut out by boxes [B, 3] and lit by gains [B, 3]."""
    x = F.avg_pool2d(image.float() / 255, image.shape[-1] // size) * light[:, :, None, None]
    matrix = torch.zeros(len(x), 2, 3, device=x.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = box[:, 2]
    matrix[:, :, 2] = box[:, :2]
    grid = F.affine_grid(matrix, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False).clamp(0, 1) * 2 - 1


def around_rims(places: Tensor, size: int) -> Tensor:
    """Weights [B, 1, S, S] that rise around lids and lips, whose landmarks lie at [B, 468, 2] in ±1."""
    coarse = size // 4
    centres = centres_of(places.new_empty(1, 1, coarse, coarse)).view(1, -1, 2).expand(len(places), -1, -1)
    distance = torch.cdist(centres, places[:, RIMS]).amin(-1).view(-1, 1, coarse, coarse)
    weight = 1 + RIM * torch.exp(-((distance / RIM_WIDTH) ** 2))
    return F.interpolate(weight, (size, size), mode="bilinear", align_corners=False)


def composed(drawn: Drawn, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Frames [B, 3, S, S] of a source's pixels and drawn ones; what is taken, and what is drawn, apart."""
    flow = drawn.flows[-1].float()
    taken, share = taken_from(source, places_of(flow) - centres_of(flow), shares_of(flow))
    made = enlarged(drawn.image.float(), source.shape[-1])
    return torch.lerp(made, taken, share), taken, made


def image_losses(image: Tensor, taken: Tensor, made: Tensor, real: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """Differences of what `composed` gives from real frames [B, 3, S, S], by WEIGHTS' names; weight: [B, 1, S, S]."""
    losses = {"image": image, "taken": taken, "drawn": made}
    return {
        **{name: (weight * (one - real).abs()).mean() for name, one in losses.items()},
        "edges": edge_difference(image, real, weight),
    }


def edge_difference(image: Tensor, real: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute difference of neighbours' differences."""
    error = image - real
    across = (weight[..., 1:] * (error[..., 1:] - error[..., :-1]).abs()).mean()
    return across + (weight[..., 1:, :] * (error[..., 1:, :] - error[..., :-1, :]).abs()).mean()


def code_loss(source: Tensor, target: Tensor, source_codes: Tensor, target_codes: Tensor) -> Tensor:
    """Mean absolute distance of codes [B, K] from true motion, and of their change from the true change."""
    change = (target - source) - (target_codes - source_codes)
    return (source - source_codes).abs().mean() + (target - target_codes).abs().mean() + change.abs().mean()


def flow_loss(flows: list[Tensor], source: Tensor, target: Tensor, seen: Tensor) -> Tensor:
    """Mean distance, in half sides, of where landmarks are taken from and where they were.

    Args:
        flows: raw, of the resolutions 8, 16, … S.
        source: places of the landmarks in the source [B, 468, 2] in ±1.
        target: in the target.
        seen: bool [B, 468], in both.
    """
    led = [flow for flow in flows if flow.shape[-1] >= LEAST_FLOW]
    inside = (seen & (target.abs() < 1).all(-1)).float()
    inside[:, RIMS] *= 1 + RIM
    total = source.new_zeros(())
    for flow in led:
        field = places_of(flow.float()).permute(0, 3, 1, 2)
        taken = F.grid_sample(field, target[:, :, None], padding_mode="border", align_corners=False)[..., 0]
        total = total + ((taken.transpose(1, 2) - source).abs().sum(-1) * inside).sum() / inside.sum() / len(led)
    return total


def train_generator(config: GeneratorConfig, precision: Precision, data: Path, out: Path) -> None:
    """Train generator and discriminator from size to size, or resume.

    Writes `generator.safetensors` with its log, and `generator-S.safetensors` for each smaller size S.

    Args:
        config: of the stage.
        precision: of the training.
        data: folder with the clips in `moves`.
        out: folder of the checkpoints.

    Raises:
        InputError: there are no clips, or a checkpoint is of other settings.
    """
    pool, before = ClipPool(data / "moves"), None
    for number, (side, share) in enumerate(config.sizes.items(), 1):
        last = number == len(config.sizes)
        torch.manual_seed(config.seed + number)
        model = GeneratorModel(config, int(side), judged=last and config.judged)
        if before is not None:
            grow(before, model.generator)
        settings = replace(config, steps=max(1, round(config.steps * share)), minutes=config.minutes * share)
        name, saved = ("generator", ("generator", "discriminator")) if last else (f"generator-{side}", ("generator",))
        trainer = Trainer(name, out, model, saved, settings, precision)
        trainer.run(batches_of(pool, config.batch, trainer))
        before = model.generator.cpu()


def train_renderer(config: GeneratorConfig, precision: Precision, data: Path, out: Path) -> None:
    """Train the renderer on, with true codes and an encoder that stands still; writes `renderer.safetensors`.

    IF-MDM's phase that leaves all but the renderer alone. Once the encoder is known, the renderer learns faster by
    itself, and what it draws need not be finer than `drawn`.

    Args:
        config: of the stage.
        precision: of the training.
        data: folder with the clips in `moves`.
        out: folder of the checkpoints, with `generator.safetensors`.

    Raises:
        InputError: there are no clips, or a checkpoint is missing or of other settings.
    """
    torch.manual_seed(config.seed)
    model = GeneratorModel(config, max(int(side) for side in config.sizes), judged=False)
    load_averaged(out / "generator.safetensors", {"generator": model.generator})
    for name, parameter in model.generator.named_parameters():
        parameter.requires_grad_(name.startswith("dec.") and not name.startswith("dec.direction"))
    trainer = Trainer("renderer", out, model, ("generator",), config, precision)
    trainer.run(batches_of(ClipPool(data / "moves"), config.batch, trainer))


def batches_of(pool: ClipPool, batch: int, trainer: Trainer) -> Callable[[torch.Generator], dict[str, Tensor]]:
    """The batches of a training, with the share of the adversarial loss, which rises."""

    def make(step: int) -> dict[str, Tensor]:
        if step % NEW_EVERY == 0:
            pool.read_new(NEW_CLIPS)
        return pool.pairs(batch, trainer.generator(step))

    batches = Prefetcher(make)

    def draw(_: torch.Generator) -> dict[str, Tensor]:
        rise = (trainer.progress - ADVERSARIAL_FROM) / (ADVERSARIAL_FULL - ADVERSARIAL_FROM)
        return {**batches(trainer.step), "adversarial": torch.tensor(min(1.0, max(0.0, rise)))}

    return draw
