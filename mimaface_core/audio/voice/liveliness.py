"""Liveliness beside speech: blinks, gaze, head and brows, drawn from statistics of people who talk or listen.

Everything is first laid out as events in seconds, then evaluated at the frames: the course is the same at every frame
rate, and a longer recording starts as a shorter one. The statistics and their sources are in `blinks`, `saccades`,
`head`, `brows` and `temperament`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.geometry import EYE_RADIUS
from .blinks import blink_closure
from .brows import brow_raise
from .head import head_angles
from .prosody import Prosody
from .saccades import draw_saccades
from .temperament import Temperament

_LID_CLOSURE_A_DEGREE = 0.018  # that the eyes look down
_MAX_LOWERED = 0.3


@dataclass(frozen=True)
class Liveliness:
    """Movement beside speech over N frames, to be added to the source's own.

    Attributes:
        lids: [N, 2], closure of the right and the left eye, 0–1.
        lowered: [N], the part of it that follows glances down, 0–0.3.
        gaze: [N, 4], eye widths as in `MotionTrack`; it compensates the turn of the head, so that the eyes stay on the
            viewer.
        angles: [N, 3], radians as in `FaceCoefficients`.
        brows: [N], how far they are raised, 0–1.
    """

    lids: Tensor
    lowered: Tensor
    gaze: Tensor
    angles: Tensor
    brows: Tensor


def draw_liveliness(
    count: int,
    fps: Fraction | float,
    style: int,
    seed: int,
    speaking: Tensor,
    stress: Tensor,
    blinks: float = 1.0,
) -> Liveliness:
    """Movement beside speech for `count` frames, frame i at (i + 0.5) / fps seconds.

    Args:
        count: N, number of frames.
        fps: frames a second.
        style: temperament, 0–45; 0 is the middle of all ranges.
        seed: course of events, ≥ 0.
        speaking: [N], 0–1, whether there is speech.
        stress: [N], 0–1, strength of its accents.
        blinks: factor of how often the eyes blink; 0 never, 1 usual.

    Raises:
        InputError: no such style.
        ValueError: `speaking` or `stress` of another length than `count`.
    """
    temperament = Temperament.of_style(style)
    speaking_course, stress_course = (
        torch.as_tensor(course).double().numpy().clip(0, 1) for course in (speaking, stress)
    )
    if speaking_course.shape != (count,) or stress_course.shape != (count,):
        shapes = f"{list(speaking_course.shape)} and {list(stress_course.shape)}"
        raise ValueError(f"{count} frames need as many values of speaking and stress, not {shapes}")
    times = (np.arange(count) + 0.5) / float(fps)
    prosody = Prosody.of(times, speaking_course, stress_course, float(fps))
    # A generator each, so that none of them depends on how much the others draw.
    gaze_rng, head_rng, blink_rng, brow_rng = (np.random.default_rng([seed, style, part]) for part in range(4))

    saccades = draw_saccades(prosody, temperament, gaze_rng)
    angles = head_angles(times, prosody, saccades, temperament, head_rng)
    # The eyes turn by where they look in the world, less the turn of the head.
    eyes = saccades.directions(times) - angles[:, [1, 0]] * [1, -1]
    gaze = EYE_RADIUS * np.sin(np.radians(eyes))
    lowered = (-_LID_CLOSURE_A_DEGREE * eyes[:, 1]).clip(0, _MAX_LOWERED)
    closure = blink_closure(times, prosody, saccades.large, blinks, temperament, blink_rng)
    lids = 1 - (1 - closure) * (1 - lowered)
    return Liveliness(
        lids=_tensor(np.stack([lids, lids], 1)),
        lowered=_tensor(lowered),
        gaze=_tensor(np.tile(gaze, 2)),
        angles=_tensor(np.radians(angles)),
        brows=_tensor(brow_raise(times, prosody, temperament, brow_rng)),
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).float()
