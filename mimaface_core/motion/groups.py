"""Expression groups: which of a face model's 64 expression coefficients move lids, mouth and lips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

EyeOpening = Callable[[Tensor, Tensor], Tensor]
LipGap = Callable[[Tensor, Tensor], Tensor]
ClosedLips = Callable[[Tensor, Tensor], Tensor]
Shape = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ExpressionGroups:
    """Blendshape indices of a face model by group; empty where each coefficient moves the whole face.

    Attributes:
        lids: indices of the blendshapes of the right lids, then of the left lids; the first of each shuts the eye.
        eyes: indices of those of all lids and of the skin that moves with them.
        mouth: indices of those of lips and jaw.
        quick: indices of those that move within a few frames: lids, lips and jaw.
        reach: coefficient up to which each blendshape is an ordinary movement, or one for all.
        eye_opening: height of the right and the left eye [N, 2] in model units, from identity [N, 80] and expression
            [N, 64].
        blink: coefficients of the blendshapes that shut the eyes [N, 2], from how far they do in model units [N, 2].
        lip_gap: distance between the lips [N] in model units, below 0 where they overlap, from the same.
        closed_lips: the expression [1, 64] with the lips together, from the same of one frame.
        shape: points of the face [N, V, 3] in model units, from the same.
    """

    lids: Sequence[Sequence[int]] = ()
    eyes: Sequence[int] = ()
    mouth: Sequence[int] = ()
    quick: Sequence[int] = ()
    reach: Sequence[float] = (1.0,)
    eye_opening: EyeOpening | None = None
    blink: Callable[[Tensor], Tensor] | None = None
    lip_gap: LipGap | None = None
    closed_lips: ClosedLips | None = None
    shape: Shape | None = None

    @property
    def both_lids(self) -> list[int]:
        """Indices of the blendshapes of all lids."""
        return [index for side in self.lids for index in side]
