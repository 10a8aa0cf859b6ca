"""Change of a motion by controls: of head and gaze on any face model, of the expression on the bundled one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import InputError
from ...motion.edit import Amount, column, edit
from ...motion.track import BUNDLED, MotionTrack
from .blendshapes import BLENDSHAPES, LIP_CORRECTIVES, SIDED_NAMES, blendshape, blendshapes
from .controls import CONTROLS, EXPRESSION_SLIDERS, check_name
from .face import BundledFace, bundled_face
from .lip_contact import lips_together

GAZE_X, GAZE_Y = 0.2, 0.12  # eye widths at a control's 1: as far as eyes turn without effort
BLINK_SLIDERS = {"blink_right": 0, "blink_left": 1}  # → side
MEASURED = (*BLINK_SLIDERS, "wink", "mouth_close")  # controls that act by how far eyes and lips are open
EXPRESSION_CONTROLS = {name: one for name, one in CONTROLS.items() if one.blendshapes}


def coefficients_of(moved: Mapping[str, float]) -> Tensor:
    """Expression coefficients [64] of blendshapes by name; a name without its side stands for both."""
    coefficients = torch.zeros(len(BLENDSHAPES))
    for name, amount in moved.items():
        coefficients[blendshapes(name)] = amount
    return coefficients


def slider_expression(face: BundledFace, identity: Tensor, expression: Tensor, values: Mapping[str, Amount]) -> Tensor:
    """Change of expression by positions of controls.

    Args:
        face: the bundled face.
        identity: [N, 80], the face's own: a wide eye needs more than a narrow one to close.
        expression: [N, 64], likewise; a blink of 1 closes the eye exactly, and so does `mouth_close` the lips.
        values: control of the expression → position, or positions [N]; absent ones are at 0.

    Returns:
        [N, 64], to be added to `expression`.
    """
    change = torch.zeros_like(expression)
    for name, value in values.items():
        if name not in MEASURED:
            control, position = EXPRESSION_CONTROLS[name], column(value)
            there = coefficients_of(control.blendshapes)
            back = there if control.opposite is None else -coefficients_of(control.opposite)
            change = change + position.clamp(min=0) * there + position.clamp(max=0) * back
    wink = column(values.get("wink", 0.0))
    right = coefficients_of(EXPRESSION_SLIDERS["wink"].blendshapes)
    change = change + wink.clamp(min=0) * right - wink.clamp(max=0) * mirrored(face, right)

    # lids and lips close from where everything else has put them
    closing = {side: column(values.get(name, 0.0)) for name, side in BLINK_SLIDERS.items()}
    closing = {0: torch.maximum(closing[0], wink), 1: torch.maximum(closing[1], -wink)} if wink.any() else closing
    if any(share.any() for share in closing.values()):
        full = face.blink(face.eye_opening(identity, expression + change))
        for side, share in closing.items():
            change[:, blendshapes("eyeBlink")[side]] += share[:, 0] * full[:, side]
    together = column(values.get("mouth_close", 0.0))
    if together.any():
        full = lips_together(face, identity, expression + change)
        change[:, blendshape("mouthClose")] += together[:, 0] * full
    return change


def apply_controls(track: MotionTrack, values: Mapping[str, Amount]) -> MotionTrack:
    """The motion with controls at positions: exactly the motion itself where they rest.

    Args:
        track: N frames.
        values: control → position, or positions [N], one a frame.

    Raises:
        InputError: there is no such control, the zoom is not positive, or the expression of another face model than
            the bundled one would move.
    """
    for name in values:
        check_name(name)
    expression = {name: value for name, value in values.items() if name in EXPRESSION_CONTROLS and _moves(value)}
    change = None
    if expression:
        if track.basis != BUNDLED:
            raise InputError(
                "The controls of the expression move the bundled face model only; leave them at 0 for a motion of this"
                " pack, or extract it with the bundled pack."
            )
        c = track.coefficients
        change = slider_expression(bundled_face(), c.identity, c.expression, expression)

    def at(name: str) -> Tensor:
        return column(values.get(name, CONTROLS[name].rest))

    look = [
        reach * (at(f"gaze_{axis}") + at(f"gaze_{axis}_{side}"))
        for side in ("right", "left")
        for axis, reach in (("x", GAZE_X), ("y", GAZE_Y))
    ]
    return edit(
        track,
        yaw=at("yaw") * math.pi / 180,
        pitch=at("pitch") * math.pi / 180,
        roll=at("roll") * math.pi / 180,
        shift=(at("shift_x") / 100, at("shift_y") / 100),
        zoom=at("zoom"),
        expression=change,
        gaze=look,
    )


def _moves(value: Amount) -> bool:
    return bool(column(value).any())


def mirrored(face: BundledFace, change: Tensor) -> Tensor:
    """Expression coefficients [64] of the mirrored face: right and left exchanged."""
    rights, lefts = blendshapes(*SIDED_NAMES)[::2], blendshapes(*SIDED_NAMES)[1::2]
    exchanged = change.clone()
    exchanged[rights], exchanged[lefts] = change[lefts], change[rights]
    exchanged[[blendshape(name) for name in LIP_CORRECTIVES]] *= face.lip_parity
    return exchanged
