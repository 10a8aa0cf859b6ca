"""Smoothing that neither lags nor eats blinks: a bilateral filter in time over each group of a track."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .track import FaceCoefficients, MotionTrack

# seconds over which a group is averaged, and the step between two frames (in the group's unit) above which it is not
POSE = (0.08, 0.02)  # rad; translation in units of 0.02 beside it
SLOW_EXPRESSION = (0.07, 0.10)
FAST_EXPRESSION = (0.05, 0.08)  # lids and lips, which move within a few frames
GAZE = (0.06, 0.03)
TRANSLATION_SCALE = 1.0  # a model unit (100 mm) weighs as much as a radian


def bilateral(values: Tensor, fps: float, seconds: float, step: float) -> Tensor:
    """Values [N, D] averaged over neighbours in time that are alike; rows with all their columns are compared.

    seconds: standard deviation in time. step: distance between two rows from which on they are no neighbours.
    Both sides of a frame are treated alike, so nothing is delayed; where the motion is fast nothing is averaged.
    """
    spread = seconds * fps
    reach = min(math.ceil(2.5 * spread), len(values) - 1)
    total, weights = values.clone(), torch.ones(len(values), 1)
    for offset in range(1, reach + 1):
        apart = (values[offset:] - values[:-offset]).square().sum(1, keepdim=True)
        weight = torch.exp(-((offset / spread) ** 2) / 2 - apart / (2 * step**2))
        total[offset:] += weight * values[:-offset]
        total[:-offset] += weight * values[offset:]
        weights[offset:] += weight
        weights[:-offset] += weight
    return total / weights


def smooth(
    track: MotionTrack,
    pose: float = 0.4,
    expression: float = 0.3,
    gaze: float = 0.3,
    quick: Sequence[int] = (),
) -> MotionTrack:
    """The same movement without the trembling of the tracker.

    pose, expression, gaze: from 0 (as it is) to 1 (all that can be taken away without losing movement).
    quick: numbers of the expression coefficients that move fast (lids, lips); each of them is looked at alone.
    """
    fps, c = float(track.fps), track.coefficients

    def towards(values: Tensor, strength: float, kind: tuple[float, float]) -> Tensor:
        return values + strength * (bilateral(values, fps, *kind) - values)

    head = torch.cat([c.angles, c.translation * TRANSLATION_SCALE], 1)
    head = towards(head, pose, POSE)
    moved = c.expression.clone()
    slow = [i for i in range(moved.shape[1]) if i not in set(quick)]
    for columns, kind in ((slow, SLOW_EXPRESSION), (quick, FAST_EXPRESSION)):
        for i in columns:
            moved[:, i : i + 1] = towards(moved[:, i : i + 1], expression, kind)
    eyes = torch.cat([towards(track.gaze[:, i : i + 2], gaze, GAZE) for i in (0, 2)], 1)
    coefficients = FaceCoefficients(c.values).replace(
        angles=head[:, :3], translation=head[:, 3:] / TRANSLATION_SCALE, expression=moved
    )
    return track.replace(coefficients=coefficients, gaze=eyes)
