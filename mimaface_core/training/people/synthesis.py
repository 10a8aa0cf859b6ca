"""Training samples of synthetic people: images from true geometry, and the renders that inference would make."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face_mesh import FACE_POINTS
from ...motion.track import MotionTrack
from .camera import from_jpeg, photograph, to_jpeg
from .covers import WORN, worn
from .inference import FREEDOM_UNIT, WEIGHT_PIXELS, WEIGHT_UNIT, fit_and_render, loss_weights
from .performance import random_performance
from .person import random_person
from .person_renderer import PersonRenderer
from .tracker_landmarks import tracker_landmarks

PERFORMANCE_STREAM, WORN_STREAM = 2, 3  # of a seed's random numbers
DEPTHS = (-1, 7)  # least and greatest distance of a head behind the model's origin, model units
FRAMES_AT_ONCE = 4  # rendered together, which bounds the memory
RENDER_QUALITY = 97  # of the renders' JPEGs


@dataclass(frozen=True)
class Sample:
    """A source image and a clip of one person.

    Attributes:
        source: JPEG file.
        targets: JPEG file of each of N frames.
        renders: JPEG file of each frame as inference draws it from the source.
        motion: coefficients [N, 71] of the track that inference fits.
        weight: loss weight of each latent's place, uint8 [N, 64, 64] in units of WEIGHT_UNIT.
        freedom: how far inference lets frames depart from renders there, uint8 [N, 64, 64] in units of FREEDOM_UNIT.
    """

    source: bytes
    targets: list[bytes]
    renders: list[bytes]
    motion: Tensor
    weight: Tensor
    freedom: Tensor


def make_sample(seed: int, frames: int = 12) -> Sample:
    """Synthetic sample.

    Args:
        seed: its number; on one machine the same one always gives the same sample.
        frames: of the clip.
    """
    person = random_person(seed)
    rng = np.random.default_rng([seed, PERFORMANCE_STREAM])
    performance = random_performance(rng, frames, depth=float(rng.uniform(*DEPTHS)))
    renderer = PersonRenderer(person, performance, rng)
    starts = range(0, frames + 1, FRAMES_AT_ONCE)
    kind = worn_by(seed)
    images = [_drawn(renderer, slice(i, i + FRAMES_AT_ONCE), kind, seed) for i in starts]
    files = [to_jpeg(image, person.look.quality) for image in torch.cat(images)]
    return complete_sample(files, tracker_landmarks(renderer, rng), loss_weights(renderer.points[1:]))


def worn_by(seed: int) -> str | None:
    """What a person has before the face, of `covers.WORN`; None for most."""
    chosen = np.random.default_rng([seed, WORN_STREAM]).random() - np.cumsum(list(WORN.values()))
    return next((kind for kind, beyond in zip(WORN, chosen, strict=True) if beyond < 0), None)


def _drawn(renderer: PersonRenderer, frames: slice, kind: str | None, seed: int) -> Tensor:
    """Photographs [n, 3, 512, 512] in 0–1 of some frames."""
    light = renderer.draw(frames)
    if kind is not None:
        light = worn(light, renderer.points[frames, :FACE_POINTS], kind, seed)
    return photograph(light, renderer.person.look)


def complete_sample(files: list[bytes], landmarks: Tensor, weights: Tensor) -> Sample:
    """Sample of a source and N targets, with the renders of inference.

    Args:
        files: JPEG files [1 + N], the source's first, 512×512.
        landmarks: tracked landmarks [1 + N, 478, 3] in their pixels.
        weights: loss weights [N, 64, 64].
    """
    source = from_jpeg(files[0]).float() / 127.5 - 1
    motion, renders = fit_and_render(source, landmarks)
    return _sample(files[0], files[1:], renders, motion, weights)


def finished_sample(source: bytes, targets: Tensor, renders: Tensor, motion: MotionTrack, weights: Tensor) -> Sample:
    """Sample of a source's JPEG file, targets [N, 3, 512, 512] in ±1, renders [N, 4, …], motion, and weights."""
    files = [to_jpeg((target.clamp(-1, 1) + 1) / 2, RENDER_QUALITY) for target in targets]
    return _sample(source, files, renders, motion, weights)


def _sample(source: bytes, targets: list[bytes], renders: Tensor, motion: MotionTrack, weights: Tensor) -> Sample:
    files = [to_jpeg((render + 1) / 2, RENDER_QUALITY) for render in renders[:, :3]]
    freedom = F.adaptive_avg_pool2d(renders[:, 3], WEIGHT_PIXELS)
    weight, free = ((x / unit).round().byte() for x, unit in ((weights, WEIGHT_UNIT), (freedom, FREEDOM_UNIT)))
    return Sample(source, targets, files, motion.motion, weight, free)
