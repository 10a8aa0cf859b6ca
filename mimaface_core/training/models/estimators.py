"""This project's own estimators for the ablation: small networks that read motion, or who it is, from a picture's latents."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...appearance.mia import MOTION_SIZE
from ..engine.checkpoint import load_averaged
from ..engine.trainer import Training
from .latent_cache import Latents

WIDTH = 64  # of the features
MARGIN = 8.0  # inverse temperature of the classification by person
NOISE = 0.2  # most noise on latents in training, since what is measured is not clean
ON_FACE = 1.0  # weight of the training data beyond which a place shows the face


class Reader(nn.Module):
    """Latents [N, C, h, w] to `count` numbers [N, count], by way of features [N, 64]."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        widths = [channels, 32, 64, 96]
        blocks = []
        for before, after in pairwise(widths):
            blocks += [nn.Conv2d(before, after, 3, 2, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(
            *blocks, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * widths[-1], WIDTH), nn.SiLU()
        )
        self.head = nn.Linear(WIDTH, count)

    def forward(self, latents: Tensor) -> Tensor:
        return self.head(self.body(latents))


class Estimators(nn.Module):
    """Reads motion from whole pictures, and who it is from the face alone, in the latents of the truth.

    channels: C. people: persons learned. spread: standard deviation of each number of the motion [71].
    """

    def __init__(self, channels: int, people: int, middle: Tensor, spread: Tensor) -> None:
        super().__init__()
        self.motion, self.identity = Reader(channels, MOTION_SIZE), Reader(channels, WIDTH)
        self.people = nn.Linear(WIDTH, people, bias=False)
        self.register_buffer("middle", middle)
        self.register_buffer("spread", spread)

    def read_motion(self, latents: Tensor) -> Tensor:
        """Motion [N, 71] of pictures."""
        return self.motion(latents) * self.spread + self.middle

    def read_person(self, latents: Tensor, weight: Tensor) -> Tensor:
        """Who it is, as unit vectors [N, 64]; weight [N, h, w] of the data says where the face is."""
        return F.normalize(self.identity(latents * (weight > ON_FACE)[:, None]), dim=-1)

    def features(self, latents: Tensor) -> Tensor:
        """What the motion is read from [N, 64]."""
        return self.motion.body(latents)

    def forward(
        self, target: Tensor, motion: Tensor, weight: Tensor, person: Tensor, noise: Tensor
    ) -> dict[str, Tensor]:
        """The loss on truths [N, C, h, w] with their motion, weight, persons [N] and noise to be added."""
        seen = target + noise
        moved = (self.motion(seen) - (motion - self.middle) / self.spread).square().mean()
        near = self.read_person(seen, weight) @ F.normalize(self.people.weight, dim=-1).T
        who = F.cross_entropy(MARGIN * near, person)
        return {"loss": moved + who, "motion": moved, "person": who}


def train_estimators(config: dict, learned: Latents, key: str, out: Path) -> Estimators:
    """Train the estimators on the truths of the training data, or go on; leaves `estimators.safetensors` in `out`."""
    settings = config["estimators"]
    torch.manual_seed(settings["seed"])
    people = {int(person): number for number, person in enumerate(learned.person.unique())}
    motion = torch.cat([sample["motion"] for sample in learned.samples])
    channels = learned.samples[0]["target"].shape[1]
    model = Estimators(channels, len(people), motion.mean(0), motion.std(0).clamp(min=1e-3))
    kept = ("motion", "identity", "people", "middle", "spread")
    training = Training("estimators", out, model, kept, config, {"latents": config["latents"], "autoencoder": key})

    def draw(generator: torch.Generator) -> dict[str, Tensor]:
        rows = learned.rows[torch.randint(len(learned.rows), (settings["batch"],), generator=generator)]
        frames = learned.frames(rows, ("target", "motion", "weight"))
        level = NOISE * torch.rand(len(rows), 1, 1, 1, generator=generator)
        person = torch.tensor([people[int(learned.person[sample])] for sample in rows[:, 0]])
        return {**frames, "person": person, "noise": level * torch.randn(frames["target"].shape, generator=generator)}

    training.run(draw)
    load_averaged(out / "estimators.safetensors", dict(model.named_children()))
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class Scored:
    """What the estimators say of made clips; see `score`."""

    expression: float
    pose: float
    identity: float
    distance: float
    jump: float


@torch.no_grad()
def score(estimators: Estimators, made: list[Tensor], held: Latents, boundaries: list[int]) -> Scored:
    """Measure clips, latents [N, C, h, w] each, of the held samples that are whole clips.

    boundaries: numbers of the first new frames of every clip but the first.

    Returns:
        expression: RMS difference of the 64 numbers from what is read from the truth, in their standard deviations; pose:
        mean difference of the three angles in degrees; identity: cosine to the mean of the person's true frames; distance:
        between features of made and true clips, after Fréchet; jump: error in changes at the boundaries, over that of the
        other changes (0 without any).
    """
    samples = [{name: value.float() for name, value in held.samples[i].items()} for i in held.clips.tolist()]
    device = estimators.middle.device
    wrong, turned, likeness, between, within, features = [], [], [], [], [], ([], [])
    for clip, sample in zip(made, samples, strict=True):
        clip, truth, weight = (x.to(device) for x in (clip, sample["target"], sample["weight"]))
        off = (estimators.read_motion(clip) - estimators.read_motion(truth)).cpu()
        wrong.append((off / estimators.spread.cpu())[:, 3:67].square().mean())
        turned.append(off[:, :3].abs().mean().rad2deg())
        who = F.normalize(estimators.read_person(truth, weight).mean(0), dim=0)
        likeness.append((estimators.read_person(clip, weight) @ who).mean().cpu())
        change = ((clip - truth)[1:] - (clip - truth)[:-1]).square().mean((1, 2, 3)).sqrt().cpu()
        at = torch.zeros(len(change), dtype=torch.bool)
        at[[first - 1 for first in boundaries]] = True
        between.append(change[at])
        within.append(change[~at])
        for found, frames in zip(features, (clip, truth), strict=True):
            found += movements(estimators.features(frames).cpu())
    jump = float(torch.cat(between).mean() / torch.cat(within).mean().clamp(min=1e-9)) if boundaries else 0.0
    distance = frechet(*(torch.stack(found) for found in features))
    means = (torch.stack(x).mean() for x in (wrong, turned, likeness))
    expression, pose, identity = (float(mean) for mean in means)
    return Scored(expression**0.5, pose, identity, distance, jump)


def movements(features: Tensor, length: int = 8) -> list[Tensor]:
    """Pieces of a clip's features [N, D], half overlapping, as their mean and mean change [2·D] each."""
    pieces = features.unfold(0, min(length, len(features)), max(1, length // 2)).transpose(1, 2)
    return [torch.cat([piece.mean(0), (piece[1:] - piece[:-1]).abs().mean(0)]) for piece in pieces]


def frechet(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of two sets [N, D], each taken as a normal distribution with independent dimensions.

    With as few clips as are held apart, a full covariance could not be told.
    """
    means = (first.mean(0) - second.mean(0)).square().sum()
    return float(means + (first.std(0, unbiased=False) - second.std(0, unbiased=False)).square().sum())
