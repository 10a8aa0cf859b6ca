"""Statistics: how much a track moves on the whole, and the same movement made calmer, livelier, or like another's.

The control that IF-MDM (2024) gives its generator as tokens, mean and deviation of each number of the motion, worked on
the track itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .retarget import Opening, within_reach
from .track import PROCEDURAL, MotionTrack

PARTS = {"angles": 3, "translation": 3, "expression": 64, "gaze": 4}
STILL = 1e-4  # a number that deviates less than this does not move: there is nothing to make larger
MOST = 4.0  # times: trembling is not made into movement
LOW = 0.1  # share of the frames in which the mouth is least open
OPEN = 0.8  # quantile of the eyes' openings at which they count as open
BLINKS_WHOLE = 0.25  # factor from which on lids that shut stay shut
Gap = Callable[[Tensor, Tensor], Tensor]  # (identity [N, 80], expression [N, 64]) -> how far the lips are apart [N]


@dataclass(frozen=True)
class MotionStatistics:
    """Mean and standard deviation of each number of a motion: by name of PARTS, [size]."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]

    @classmethod
    def of(cls, track: MotionTrack) -> MotionStatistics:
        """Over the frames in which a face was seen, or all where there is none."""
        seen = track.visible if track.visible.any() else torch.ones_like(track.visible)
        values = {name: _part(track, name)[seen].double() for name in PARTS}
        return cls(
            {name: v.mean(0).float() for name, v in values.items()},
            {name: v.std(0, correction=0).float() for name, v in values.items()},
        )


def rescale(
    track: MotionTrack,
    like: MotionStatistics | None = None,
    *,
    head: float = 1.0,
    mouth: float = 1.0,
    brows: float = 1.0,
    lids: float = 1.0,
    gaze: float = 1.0,
    mouth_modes: Sequence[int] = (),
    lid_modes: Sequence[Sequence[int]] = (),
    gap: Gap | None = None,
    opening: Opening | None = None,
) -> MotionTrack:
    """The same movement, larger or smaller: 0 holds still, 1 leaves as it is, 2 doubles.

    like: takes over how much another motion moves, to which the factors then apply: of head, brows and gaze each
    number's mean and deviation; of mouth and lids the deviation alone, as one number, so that what shuts still shuts.
    mouth_modes, lid_modes: expression modes of the mouth, and of the right and left lids; brows are all others.
    gap: how far lips are apart: the mouth is scaled about its least open frames, where it would else be about the mean;
    lips that meet there meet whatever the factor, and a calmer mouth opens less.
    opening: how wide eyes are: lids that shut still shut, and a calmer eye is an open one. Without, lids move about the mean.
    Raises InputError for factors below 0 or not finite.
    """
    for name, factor in (("head", head), ("mouth", mouth), ("brows", brows), ("lids", lids), ("gaze", gaze)):
        if not (math.isfinite(factor) and factor >= 0):
            raise InputError(
                f"Movement cannot be scaled by {name} = {factor}; use 0 for none, 1 for as it is, 2 for double."
            )
    own, c = MotionStatistics.of(track), track.coefficients
    aims = like or own
    numbers = range(c.expression.shape[1])
    upper = [i for i in numbers if i not in {*mouth_modes, *(i for side in lid_modes for i in side)}]

    def moved(name: str, columns: Sequence[int], factor: float) -> Tensor:
        """Each number about its mean, which is the other motion's where there is one."""
        values, mean, deviation = _part(track, name)[:, columns], own.mean[name][columns], own.deviation[name][columns]
        if like is None and factor == 1:
            return values
        ratio = (aims.deviation[name][columns] / deviation.clamp(min=STILL)).clamp(max=MOST)
        return aims.mean[name][columns] + factor * torch.where(deviation > STILL, ratio, 1.0) * (values - mean)

    def liveliness(columns: Sequence[int], factor: float) -> float:
        """The factor of a whole group."""
        now, aim = (s.deviation["expression"][columns].norm() for s in (own, aims))
        return factor * float((aim / now).clamp(max=MOST)) if now > STILL and like else factor

    expression = c.expression.clone()
    if upper:
        expression[:, upper] = moved("expression", upper, brows)
    if mouth_modes:
        columns = list(mouth_modes)
        rest = _least_open(track, gap)[columns] if gap else own.mean["expression"][columns]
        expression[:, columns] = _about(rest, c.expression[:, columns], liveliness(columns, mouth))
    for side, modes in enumerate(lid_modes):
        columns = list(modes)
        factor = liveliness(columns, lids)
        if opening is None:
            expression[:, columns] = _about(own.mean["expression"][columns], c.expression[:, columns], factor)
        else:
            expression[:, columns] = _lids(track, opening, side, columns, factor)
    coefficients = c.replace(
        angles=moved("angles", range(3), head),
        translation=moved("translation", range(3), head),
        expression=within_reach(expression, c.expression) if track.basis == PROCEDURAL else expression,
    )
    return track.replace(coefficients=coefficients, gaze=moved("gaze", range(4), gaze))


def _part(track: MotionTrack, name: str) -> Tensor:
    return track.gaze if name == "gaze" else getattr(track.coefficients, name)


def _about(rest: Tensor, values: Tensor, factor: float) -> Tensor:
    return values if factor == 1 else rest + factor * (values - rest)


def _least_open(track: MotionTrack, gap: Gap) -> Tensor:
    """The expression [64] of the frames in which the lips are nearest to each other, those where they overlap left out."""
    c = track.coefficients
    apart = gap(c.identity, c.expression).clamp(min=0)
    return c.expression[apart <= apart.quantile(LOW)].mean(0)


def _lids(track: MotionTrack, opening: Opening, side: int, columns: list[int], factor: float) -> Tensor:
    """Lid modes [N, columns] of one side whose way from open to shut is bent: shut stays shut, the rest is scaled."""
    c = track.coefficients
    values = c.expression[:, columns]
    if factor == 1:
        return values
    wide = opening(c.identity, c.expression)[:, side]
    usual = wide.quantile(OPEN)
    rest = values[wide >= usual].mean(0)
    shut = (1 - wide / usual.clamp(min=1e-3)).clamp(0, 1)
    # from open to shut with the slope `factor` where it is open; above 2 it would pass beyond
    factor = min(factor, 2.0)
    bend = shut**3 if factor < 1 else shut
    share = factor + (1 - factor) * min(1.0, factor / BLINKS_WHOLE) * bend
    return rest + share[:, None] * (values - rest)
