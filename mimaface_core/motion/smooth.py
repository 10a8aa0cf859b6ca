"""Smoothing: a bilateral filter in time over each group of a track, without delay, blinks kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .groups import ExpressionGroups
from .track import FaceCoefficients, MotionTrack


class Window(NamedTuple):
    """Extent of the bilateral filter: a deviation in time, and one in the values' own unit."""

    seconds: float
    step: float


POSE = Window(0.08, 0.02)  # rad, and RADIANS_PER_UNIT of translation
SLOW_EXPRESSION = Window(0.07, 0.10)
QUICK_EXPRESSION = Window(0.05, 0.08)  # lids and lips, which move within a few frames
GAZE = Window(0.06, 0.03)  # eye widths
RADIANS_PER_UNIT = 1.0  # a model unit (100 mm) of translation weighs as much as a radian


def bilateral(values: Tensor, fps: float, window: Window) -> Tensor:
    """Bilateral filter in time (Tomasi and Manduchi 1998): rows are averaged with near rows that are alike.

    Both sides of a frame weigh the same, so nothing is delayed; where the motion is fast, nothing is averaged.

    Args:
        values: [N, D]; whole rows are compared.
        fps: rows a second.
        window: standard deviations in time and in distance between rows.

    Returns:
        [N, D].
    """
    spread = window.seconds * fps
    reach = min(_reach(window, fps), len(values) - 1)
    total, weights = values.clone(), torch.ones(len(values), 1)
    for offset in range(1, reach + 1):
        distance = (values[offset:] - values[:-offset]).square().sum(1, keepdim=True)
        weight = torch.exp(-((offset / spread) ** 2) / 2 - distance / (2 * window.step**2))
        total[offset:] += weight * values[:-offset]
        total[:-offset] += weight * values[offset:]
        weights[offset:] += weight
        weights[:-offset] += weight
    return total / weights


def _reach(window: Window, fps: float) -> int:
    """Frames on either side that count."""
    return math.ceil(2.5 * window.seconds * fps)


def smooth(
    track: MotionTrack, groups: ExpressionGroups, pose: float = 0.4, expression: float = 0.3, gaze: float = 0.3
) -> MotionTrack:
    """The same motion without the tracker's jitter, without delay; shots are smoothed apart.

    Args:
        track: the motion.
        groups: of its face model; each blendshape of `groups.quick` (lids, lips) is filtered over a shorter time.
        pose: from 0 (as it is) to 1 (all jitter that can be removed without losing movement).
        expression: likewise.
        gaze: likewise.
    """
    shots = track.shot.unique()
    if len(shots) > 1:
        parts = [track[(track.shot == shot).nonzero().flatten()] for shot in shots]
        return MotionTrack.concatenate([smooth(part, groups, pose, expression, gaze) for part in parts])
    fps, c = float(track.fps), track.coefficients

    def filtered(values: Tensor, strength: float, window: Window) -> Tensor:
        return values + strength * (bilateral(values, fps, window) - values)

    head = torch.cat([c.angles, c.translation * RADIANS_PER_UNIT], 1)
    head = filtered(head, pose, POSE)
    smoothed = c.expression.clone()
    quick = set(groups.quick)
    for i in range(smoothed.shape[1]):
        window = QUICK_EXPRESSION if i in quick else SLOW_EXPRESSION
        smoothed[:, i : i + 1] = filtered(smoothed[:, i : i + 1], expression, window)
    eyes = torch.cat([filtered(track.gaze[:, i : i + 2], gaze, GAZE) for i in (0, 2)], 1)
    coefficients = FaceCoefficients(c.values).replace(
        angles=head[:, :3], translation=head[:, 3:] / RADIANS_PER_UNIT, expression=smoothed
    )
    return track.replace(coefficients=coefficients, gaze=eyes)


def smooth_pieces(
    pieces: Iterable[MotionTrack],
    groups: ExpressionGroups,
    pose: float = 0.4,
    expression: float = 0.3,
    gaze: float = 0.3,
) -> Iterator[MotionTrack]:
    """`smooth` for motion that comes in pieces: the same values, each when the frames that it depends on are there.

    Args:
        pieces: one after another, each of at least one frame.
        groups: see `smooth`.
        pose: see `smooth`.
        expression: see `smooth`.
        gaze: see `smooth`.
    """
    near: MotionTrack | None = None  # frames that are not given yet, and those before them that count
    given = 0
    for piece in pieces:
        near = piece if near is None else MotionTrack.concatenate([near, piece])
        reach = max(_reach(window, float(near.fps)) for window in (POSE, SLOW_EXPRESSION, QUICK_EXPRESSION, GAZE))
        ready = len(near) - reach
        if ready > given:
            yield smooth(near, groups, pose, expression, gaze)[given:ready]
            begin = max(0, ready - reach)
            near, given = near[begin:], ready - begin
    if near is not None:
        yield smooth(near, groups, pose, expression, gaze)[given:]
