"""Estimators of the ablation: small networks that regress motion and identity from latents, trained on the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...appearance.mia import MOTION_GROUPS, MOTION_SIZE
from ..config import EstimatorsConfig, LatentsConfig, Precision
from ..engine.checkpoint import load_averaged
from ..engine.trainer import Trainer
from .latent_cache import Latents

FEATURES = 64
WIDTHS = (32, 64, 96)  # channels of the convolutions
INVERSE_TEMPERATURE = 8.0  # of the classification by person
MAX_NOISE = 0.2  # σ of noise on latents in training, since sampled latents are noisy too
FACE_WEIGHT = 1.0  # loss weight in the training data above which a place belongs to the face
PIECE_FRAMES = 8  # of a clip, for the Fréchet distance


class LatentRegressor(nn.Module):
    """A convolution network from latents to features [N, 64] to numbers.

    Args:
        channels: C, of the latents.
        count: numbers that come out.
    """

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for before, after in pairwise((channels, *WIDTHS)):
            blocks += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(
            *blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * WIDTHS[-1], FEATURES), nn.SiLU()
        )
        self.head = nn.Linear(FEATURES, count)

    def forward(self, latents: Tensor) -> Tensor:
        """Numbers [N, count] of latents [N, C, h, w]."""
        return self.head(self.body(latents))


class Estimators(nn.Module):
    """Motion from whole images, identity from the face alone, both from latents.

    Args:
        channels: C, of the latents.
        people: number of persons that are learned.
        middle: [71], mean of the motion.
        spread: [71], standard deviation of the motion.
    """

    # checkpoints hold these children and buffers under their names
    middle: Tensor
    spread: Tensor

    def __init__(self, channels: int, people: int, middle: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.motion, self.identity = LatentRegressor(channels, MOTION_SIZE), LatentRegressor(channels, FEATURES)
        self.people = nn.Linear(FEATURES, people, bias=False)
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)

    def read_motion(self, latents: Tensor) -> Tensor:
        """Motion [N, 71] of latents [N, C, h, w]."""
        return self.motion(latents) * self.spread + self.middle

    def read_identity(self, latents: Tensor, weight: Tensor) -> Tensor:
        """Identity as unit vectors.

        Args:
            latents: [N, C, h, w].
            weight: [N, h, w], loss weights, which locate the face.

        Returns:
            [N, 64].
        """
        return F.normalize(self.identity(latents * (weight > FACE_WEIGHT)[:, None]), dim=-1)

    def features(self, latents: Tensor) -> Tensor:
        """Features [N, 64] from which the motion is regressed."""
        return self.motion.body(latents)

    def forward(
        self, target: Tensor, motion: Tensor, weight: Tensor, person: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        """The losses on the truth.

        Args:
            target: [N, C, h, w], latents.
            motion: [N, 71].
            weight: [N, h, w], loss weights.
            person: [N], number among the learned persons.
            noise: like `target`, added to it.
        """
        noisy = target + noise
        motion_loss = (self.motion(noisy) - (motion - self.middle) / self.spread).square().mean()
        cosines = self.read_identity(noisy, weight) @ F.normalize(self.people.weight, dim=-1).T
        person_loss = F.cross_entropy(INVERSE_TEMPERATURE * cosines, person)
        return {"loss": motion_loss + person_loss, "motion": motion_loss, "person": person_loss}


def train_estimators(
    settings: EstimatorsConfig, precision: Precision, latents: LatentsConfig, learned: Latents, key: str, out: Path
) -> Estimators:
    """Train the estimators, or resume; writes `estimators.safetensors` to `out`.

    Args:
        settings: of the estimators.
        precision: of the training.
        latents: settings of the latents, on which the checkpoint depends.
        learned: latents to train on.
        key: of these latents, on which the checkpoint depends too.
        out: folder of the checkpoint.

    Returns:
        the estimators with averaged weights, frozen.

    Raises:
        InputError: the checkpoint has other settings.
    """
    torch.manual_seed(settings.seed)
    people = {int(person): number for number, person in enumerate(learned.person.unique())}
    motion = torch.cat([sample["motion"] for sample in learned.samples])
    channels = learned.samples[0]["target"].shape[1]
    model = Estimators(channels, len(people), motion.mean(0), motion.std(0).clamp(min=1e-3))
    saved = ("motion", "identity", "people", "middle", "spread")
    depends = {"latents": latents, "autoencoder": key}
    trainer = Trainer("estimators", out, model, saved, settings, precision, depends)

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        rows = learned.rows[torch.randint(len(learned.rows), (settings.batch,), generator=generator)]
        frames = learned.frames(rows, ("target", "motion", "weight"))
        level = MAX_NOISE * torch.rand(len(rows), 1, 1, 1, generator=generator)
        person = torch.tensor([people[int(learned.person[sample])] for sample in rows[:, 0]])
        return {**frames, "person": person, "noise": level * torch.randn(frames["target"].shape, generator=generator)}

    trainer.run(draw)
    load_averaged(out / "estimators.safetensors", dict(model.named_children()))
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Scores:
    """Measures of sampled clips by the estimators; `ablation.json` holds them under these names.

    Attributes:
        expression: RMS difference of the 64 blendshapes from those of the truth, in standard deviations.
        pose: mean absolute difference of the three head angles, degrees.
        identity: mean cosine to the mean of the person's true frames.
        distance: Fréchet distance between features of sampled and true clips.
        jump: error of the changes at clip boundaries, relative to that of the other changes; 0 without boundaries.
    """

    expression: float
    pose: float
    identity: float
    distance: float
    jump: float


@torch.no_grad()
def score(estimators: Estimators, clips: list[Tensor], held: Latents, boundaries: list[int]) -> Scores:
    """Measure sampled clips.

    Args:
        estimators: from `train_estimators`.
        clips: latents [N, C, h, w] of each held-out sample with all its frames.
        held: the held-out samples.
        boundaries: first new frame of every clip but the first, within each track.
    """
    samples = [{name: value.float() for name, value in held.samples[i].items()} for i in held.clips.tolist()]
    device, angles = estimators.middle.device, MOTION_GROUPS["angles"]
    expression = slice(angles, angles + MOTION_GROUPS["expression"])
    blendshape_errors, angle_errors, cosines, at_boundary, elsewhere = [], [], [], [], []
    features: tuple[list[Tensor], list[Tensor]] = ([], [])
    for sampled, sample in zip(clips, samples, strict=True):
        clip, truth, weight = (x.to(device) for x in (sampled, sample["target"], sample["weight"]))
        error = (estimators.read_motion(clip) - estimators.read_motion(truth)).cpu()
        blendshape_errors.append((error / estimators.spread.cpu())[:, expression].square().mean())
        angle_errors.append(error[:, :angles].abs().mean().rad2deg())
        person = F.normalize(estimators.read_identity(truth, weight).mean(0), dim=0)
        cosines.append((estimators.read_identity(clip, weight) @ person).mean().cpu())
        change = ((clip - truth)[1:] - (clip - truth)[:-1]).square().mean((1, 2, 3)).sqrt().cpu()
        is_boundary = torch.zeros(len(change), dtype=torch.bool)
        is_boundary[[first - 1 for first in boundaries]] = True
        at_boundary.append(change[is_boundary])
        elsewhere.append(change[~is_boundary])
        for pieces, frames in zip(features, (clip, truth), strict=True):
            pieces += piece_features(estimators.features(frames).cpu())
    jump = float(torch.cat(at_boundary).mean() / torch.cat(elsewhere).mean().clamp(min=1e-9)) if boundaries else 0.0
    distance = frechet(*(torch.stack(pieces) for pieces in features))
    return Scores(_mean(blendshape_errors) ** 0.5, _mean(angle_errors), _mean(cosines), distance, jump)


def _mean(values: Sequence[Tensor]) -> float:
    return float(torch.stack(list(values)).mean())


def piece_features(features: Tensor, length: int = PIECE_FRAMES) -> list[Tensor]:
    """Mean and mean absolute change of features in half-overlapping pieces of a clip.

    Args:
        features: [N, D].
        length: frames of a piece.

    Returns:
        [2·D] for each piece.
    """
    pieces = features.unfold(0, min(length, len(features)), max(1, length // 2)).transpose(1, 2)
    return [torch.cat([piece.mean(0), (piece[1:] - piece[:-1]).abs().mean(0)]) for piece in pieces]


def frechet(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of two sets [N, D], each a normal distribution with independent dimensions.

    The few held-out clips do not determine a full covariance.
    """
    means = (first.mean(0) - second.mean(0)).square().sum()
    return float(means + (first.std(0, unbiased=False) - second.std(0, unbiased=False)).square().sum())
