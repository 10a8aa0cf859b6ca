"""The expression groups of each face model that a motion can belong to."""

from __future__ import annotations

from ...motion.groups import ExpressionGroups
from ...motion.track import BUNDLED
from .blendshapes import EYE_BLENDSHAPES, LID_BLENDSHAPES, MOUTH_BLENDSHAPES, QUICK_BLENDSHAPES, REACH
from .face import bundled_face
from .face_mesh import FACE_POINTS
from .lip_contact import closed_mouth, lip_gap


def expression_groups(basis: str) -> ExpressionGroups:
    """The groups of the face model `MotionTrack.basis`.

    The 64 expressions of BFM09 each move the whole face: only `quick` is given for it, and holds them all.
    """
    if basis != BUNDLED:
        return ExpressionGroups(quick=range(64))
    face = bundled_face()
    return ExpressionGroups(
        lids=LID_BLENDSHAPES,
        eyes=EYE_BLENDSHAPES,
        mouth=MOUTH_BLENDSHAPES,
        quick=QUICK_BLENDSHAPES,
        reach=REACH,
        eye_opening=face.eye_opening,
        blink=face.blink,
        lip_gap=lambda identity, expression: lip_gap(face, identity, expression),
        closed_lips=lambda identity, expression: closed_mouth(face, identity, expression),
        shape=lambda identity, expression: face.model.shape(identity, expression)[:, :FACE_POINTS],
    )
