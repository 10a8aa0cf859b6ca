"""Motion statistics: mean and deviation of a track, and the same motion made calmer, livelier, or like another's.

IF-MDM (2024) gives its generator these statistics as tokens; here they act on the track itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .groups import ExpressionGroups, EyeOpening, LipGap
from .limits import limit_expression, limit_gaze
from .track import BUNDLED, MotionTrack

SIZES = {"angles": 3, "translation": 3, "expression": 64, "gaze": 4}
MIN_EYE_OPENING = 1e-3  # model units
MIN_DEVIATION = 1e-4  # a number that deviates less than this does not move: there is nothing to make larger
MAX_GAIN = 4.0  # so that a tracker's jitter is not made into motion
CLOSED_SHARE = 0.1  # share of the frames, those in which the mouth is least open
OPEN_QUANTILE = 0.8  # of the eyes' openings, from which on they count as open
WHOLE_BLINK_FACTOR = 0.25  # from which on lids that shut stay shut
MAX_LID_FACTOR = 2.0  # above it, lids would pass beyond shut


@dataclass(frozen=True)
class MotionStatistics:
    """Mean and standard deviation of each number of a motion: by name of SIZES, [size]."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]

    @classmethod
    def of(cls, track: MotionTrack) -> MotionStatistics:
        """Statistics over the visible frames, or over all where there is none."""
        visible = track.visible if track.visible.any() else torch.ones_like(track.visible)
        values = {name: _values(track, name)[visible].double() for name in SIZES}
        return cls(
            {name: v.mean(0).float() for name, v in values.items()},
            {name: v.std(0, correction=0).float() for name, v in values.items()},
        )


@dataclass(frozen=True)
class Liveliness:
    """Factors by which each part of a motion is scaled: 0 holds still, 1 leaves it as it is, 2 doubles it.

    Raises:
        InputError: a factor below 0 or not finite.
    """

    head: float = 1.0
    mouth: float = 1.0
    brows: float = 1.0
    lids: float = 1.0
    gaze: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            if not (math.isfinite(factor) and factor >= 0):
                raise InputError(
                    f"Movement cannot be scaled by {name} = {factor}; use 0 for none, 1 for as it is, 2 for double."
                )


def rescale(
    track: MotionTrack, groups: ExpressionGroups, factors: Liveliness, like: MotionStatistics | None = None
) -> MotionTrack:
    """The same motion, larger or smaller.

    Args:
        track: the motion.
        groups: of its face model. The mouth is scaled about its least open frames, so that lips that meet meet whatever
            the factor; lids that shut still shut, and a calmer eye is an open one. Without `lip_gap` or `eye_opening`
            they are scaled about the mean. Brows are all blendshapes that are neither the mouth's nor the lids'.
        factors: of each part.
        like: another motion's statistics, to which the factors then apply: head, brows and gaze take over each number's
            mean and deviation; mouth and lids the deviation alone, as one number.
    """
    return _Rescaler(track, groups, factors, like).scaled()


class _Rescaler:
    """One motion being scaled: its own statistics, and those it shall have."""

    def __init__(
        self, track: MotionTrack, groups: ExpressionGroups, factors: Liveliness, like: MotionStatistics | None
    ) -> None:
        self.track, self.groups, self.factors = track, groups, factors
        self.own = MotionStatistics.of(track)
        self.target, self.changed = like or self.own, like is not None

    def scaled(self) -> MotionTrack:
        c, factors = self.track.coefficients, self.factors
        expression = c.expression.clone()
        lips_and_lids = {*self.groups.mouth, *self.groups.both_lids}
        brows = [i for i in range(expression.shape[1]) if i not in lips_and_lids]
        if brows:
            expression[:, brows] = self._about_mean("expression", brows, factors.brows)
        if self.groups.mouth:
            columns = list(self.groups.mouth)
            expression[:, columns] = self._mouth(columns)
        for side, lids in enumerate(self.groups.lids):
            columns = list(lids)
            expression[:, columns] = self._lids(side, columns)
        coefficients = c.replace(
            angles=self._about_mean("angles", range(3), factors.head),
            translation=self._about_mean("translation", range(3), factors.head),
            expression=limit_expression(expression, c.expression, self.groups.reach)
            if self.track.basis == BUNDLED
            else expression,
        )
        gaze = self._about_mean("gaze", range(4), factors.gaze)
        if self.track.basis == BUNDLED:
            gaze = limit_gaze(gaze, self.track.gaze)
        return self.track.replace(coefficients=coefficients, gaze=gaze)

    def _about_mean(self, name: str, columns: Sequence[int], factor: float) -> Tensor:
        """Columns [N, n] of one of SIZES, each scaled about its mean, which becomes the target's."""
        values = _values(self.track, name)[:, columns]
        if not self.changed and factor == 1:
            return values
        mean, deviation = self.own.mean[name][columns], self.own.deviation[name][columns]
        ratio = (self.target.deviation[name][columns] / deviation.clamp(min=MIN_DEVIATION)).clamp(max=MAX_GAIN)
        gain = factor * torch.where(deviation > MIN_DEVIATION, ratio, 1.0)
        return self.target.mean[name][columns] + gain * (values - mean)

    def _gain(self, columns: Sequence[int], factor: float) -> float:
        """The factor of a whole group of blendshapes."""
        own, target = (s.deviation["expression"][columns].norm() for s in (self.own, self.target))
        return factor * float((target / own).clamp(max=MAX_GAIN)) if own > MIN_DEVIATION and self.changed else factor

    def _mouth(self, columns: list[int]) -> Tensor:
        gap = self.groups.lip_gap
        rest = _least_open(self.track, gap)[columns] if gap else self.own.mean["expression"][columns]
        values = self.track.coefficients.expression[:, columns]
        return _scaled_about(rest, values, self._gain(columns, self.factors.mouth))

    def _lids(self, side: int, columns: list[int]) -> Tensor:
        factor = self._gain(columns, self.factors.lids)
        if self.groups.eye_opening is not None:
            return _scaled_lids(self.track, self.groups.eye_opening, side, columns, factor)
        values = self.track.coefficients.expression[:, columns]
        return _scaled_about(self.own.mean["expression"][columns], values, factor)


def _values(track: MotionTrack, name: str) -> Tensor:
    return track.gaze if name == "gaze" else getattr(track.coefficients, name)


def _scaled_about(rest: Tensor, values: Tensor, factor: float) -> Tensor:
    return values if factor == 1 else rest + factor * (values - rest)


def _least_open(track: MotionTrack, gap: LipGap) -> Tensor:
    """Mean expression [64] of the frames with the smallest lip gap; overlapping lips count as touching."""
    c = track.coefficients
    distance = gap(c.identity, c.expression).clamp(min=0)
    return c.expression[distance <= distance.quantile(CLOSED_SHARE)].mean(0)


def _scaled_lids(track: MotionTrack, opening: EyeOpening, side: int, columns: list[int], factor: float) -> Tensor:
    """Lid blendshapes [N, columns] of one side, scaled along a curve that keeps shut lids shut."""
    c = track.coefficients
    values = c.expression[:, columns]
    if factor == 1:
        return values
    openings = opening(c.identity, c.expression)[:, side]
    usual = openings.quantile(OPEN_QUANTILE)
    rest = values[openings >= usual].mean(0)
    shut = (1 - openings / usual.clamp(min=MIN_EYE_OPENING)).clamp(0, 1)
    # The curve from open to shut has the slope `factor` where the eye is open.
    factor = min(factor, MAX_LID_FACTOR)
    bend = shut**3 if factor < 1 else shut
    share = factor + (1 - factor) * min(1.0, factor / WHOLE_BLINK_FACTOR) * bend
    return rest + share[:, None] * (values - rest)
