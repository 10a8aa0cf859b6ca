"""Which of a face model's 64 expression coefficients move what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...motion.retarget import Opening
from ...motion.track import PROCEDURAL
from .blendshapes import LID_BLENDSHAPES, MOUTH_BLENDSHAPES, QUICK_BLENDSHAPES
from .face import procedural_face


@dataclass(frozen=True)
class Modes:
    """Numbers of expression coefficients, as the motion's functions take them.

    lids: those of the right and of the left lids, none where they are not apart from the rest of the face. mouth: those of
    lips and jaw, likewise. quick: those that move within a few frames. opening: how wide eyes are, where lids are apart.
    """

    lids: Sequence[Sequence[int]]
    mouth: Sequence[int]
    quick: Sequence[int]
    opening: Opening | None


def modes_of(basis: str) -> Modes:
    """The modes of the face model `MotionTrack.basis`. Those of BFM09 each move the whole face."""
    if basis == PROCEDURAL:
        return Modes(LID_BLENDSHAPES, MOUTH_BLENDSHAPES, QUICK_BLENDSHAPES, procedural_face().eye_opening)
    return Modes((), (), range(64), None)
