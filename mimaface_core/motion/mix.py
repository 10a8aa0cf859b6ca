"""Mix: a driver's motion and one made by hand in one, group by group, for a part of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..tensors import smoothstep
from .limits import limit_expression
from .track import BUNDLED, MotionTrack

GROUPS = ("head", "eyes", "lids", "brows", "mouth")  # mouth: lips, jaw, cheeks and nose


@dataclass(frozen=True)
class Part:
    """How much of a group comes from each motion: 1, 1 adds the hand to the driver; 0, 1 replaces the driver."""

    driver: float = 1.0
    hand: float = 1.0


@dataclass(frozen=True)
class Window:
    """The time in which the hand acts, in seconds; outside of it the driver goes on alone.

    Attributes:
        start, end: of it; an end of 0 is the driver's.
        fade: in which it sets in after `start`, and ends before `end`.
    """

    start: float = 0.0
    end: float = 0.0
    fade: float = 0.0

    def weight(self, track: MotionTrack) -> Tensor:
        """[N, 1] in 0–1, one for each frame of a track."""
        times = torch.arange(len(track), dtype=torch.float64)[:, None] / float(track.fps)
        end = self.end or float("inf")
        inside = ((times >= self.start) & (times < end)).double()
        if self.fade > 0:
            room = torch.minimum(times - self.start, end - times) if self.end else times - self.start
            inside = inside * smoothstep((room / self.fade).clamp(0, 1))
        return inside.float()


def mix(
    driver: MotionTrack,
    hand: MotionTrack,
    source: MotionTrack,
    columns: Mapping[str, Sequence[int]],
    parts: Mapping[str, Part],
    window: Window,
    reach: Sequence[float] = (1.0,),
) -> MotionTrack:
    """The driver's departure from the source and that of the hand, each by its share, on the source.

    Args:
        driver: N frames, retargeted to the source.
        hand: of the same source; one frame holds throughout, others run from the driver's first frame on, at the
            driver's rate, and the last one holds.
        source: one frame.
        columns: indices of the blendshapes of each of GROUPS that has some.
        parts: of each of GROUPS; absent ones are added.
        window: when the hand acts.
        reach: of each blendshape, see `limits.limit_expression`.

    Returns:
        N frames; exactly the driver's where the hand does nothing.

    Raises:
        InputError: the tracks belong to different face models.
    """
    for track in (hand, source):
        track.check_basis(driver.basis)
    hand = hand if len(hand) == 1 or hand.fps == driver.fps else hand.resample(driver.fps)
    hand = hand[[min(i, len(hand) - 1) for i in range(len(driver))]]
    weight = window.weight(driver)
    d, h, s = driver.coefficients, hand.coefficients, source.coefficients

    def mixed(group: str, driven: Tensor, made: Tensor, own: Tensor) -> Tensor:
        part = parts.get(group, Part())
        return driven + weight * ((part.driver - 1) * (driven - own) + part.hand * (made - own))

    expression = d.expression.clone()
    for group, indices in columns.items():
        chosen = list(indices)
        expression[:, chosen] = mixed(group, d.expression[:, chosen], h.expression[:, chosen], s.expression[:, chosen])
    if driver.basis == BUNDLED:
        farthest = torch.maximum(d.expression.abs(), h.expression.abs())
        expression = torch.where(expression == d.expression, expression, limit_expression(expression, farthest, reach))
    coefficients = d.replace(
        expression=expression,
        angles=mixed("head", d.angles, h.angles, s.angles),
        translation=mixed("head", d.translation, h.translation, s.translation),
    )
    return driver.replace(coefficients=coefficients, gaze=mixed("eyes", driver.gaze, hand.gaze, source.gaze))
