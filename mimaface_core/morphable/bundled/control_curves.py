"""Positions of controls that come nearest to a motion: what `apply_controls` would have made it of."""

from __future__ import annotations

import torch
from torch import Tensor

from ...motion.edit import CAMERA_DISTANCE, CROP_SIZE, FOCAL_LENGTH
from ...motion.track import BUNDLED, MotionTrack
from .blendshapes import blendshape, blendshapes
from .controls import COMBINED, CONTROLS
from .face import bundled_face
from .lip_contact import lips_together
from .sliders import BLINK_SLIDERS, GAZE_X, GAZE_Y, MEASURED

LEAST_CLOSING = 0.05  # coefficient of eyeBlink or mouthClose that counts as closing an eye or the lips


def positions_of(motion: MotionTrack, own: MotionTrack) -> dict[str, Tensor]:
    """Positions of the controls, but for those that move several at once, in each frame.

    Corrective blendshapes, the finest movements of lips and lids, have no control and are lost.

    Args:
        motion: N frames.
        own: the face at rest, one frame of the same face model; on another one than the bundled, only head and gaze
            have positions.

    Returns:
        control → [N], within its range.
    """
    found = {**_head(motion, own), **_gaze(motion, own)}
    if motion.basis == BUNDLED:
        found |= _expression(motion, own)
    return {name: found[name].clamp(CONTROLS[name].low, CONTROLS[name].high) for name in CONTROLS if name in found}


def _head(motion: MotionTrack, own: MotionTrack) -> dict[str, Tensor]:
    c, rest = motion.coefficients, own.coefficients
    pitch, yaw, roll = torch.rad2deg(c.angles - rest.angles).unbind(1)
    distance = CAMERA_DISTANCE - rest.translation[:, 2]
    zoom = distance / (CAMERA_DISTANCE - c.translation[:, 2])
    side = CROP_SIZE * own.alignment[..., :2].det().sqrt()
    scale = 100 * FOCAL_LENGTH / (side * distance)
    across, up = ((c.translation[:, :2] * zoom[:, None] - rest.translation[:, :2]) * scale[:, None]).unbind(1)
    return {"yaw": yaw, "pitch": -pitch, "roll": -roll, "shift_x": across, "shift_y": up, "zoom": zoom}


def _gaze(motion: MotionTrack, own: MotionTrack) -> dict[str, Tensor]:
    moved = motion.gaze - own.gaze
    names = ("gaze_x_right", "gaze_y_right", "gaze_x_left", "gaze_y_left")
    reaches = (GAZE_X, GAZE_Y, GAZE_X, GAZE_Y)
    return {name: moved[:, k] / reach for k, (name, reach) in enumerate(zip(names, reaches, strict=True))}


def _expression(motion: MotionTrack, own: MotionTrack) -> dict[str, Tensor]:
    c = motion.coefficients
    change = c.expression - own.coefficients.expression
    found = {}
    for name, control in CONTROLS.items():
        if control.group == COMBINED or name in MEASURED or not control.blendshapes:
            continue
        main, amount = next(iter(control.blendshapes.items()))
        position = change[:, blendshape(main)] / amount
        if control.opposite is not None:
            position = position - change[:, blendshape(next(iter(control.opposite)))]
        found[name] = position
    shut = blendshapes("eyeBlink")
    without = c.expression.clone()
    without[:, shut] -= change[:, shut]
    face = bundled_face()
    full = face.blink(face.eye_opening(c.identity, without)).clamp(min=LEAST_CLOSING)
    for name, side in BLINK_SLIDERS.items():
        found[name] = change[:, shut[side]] / full[:, side]
    closing = change[:, blendshape("mouthClose")]
    without = c.expression.clone()
    without[:, blendshape("mouthClose")] -= closing
    found["mouth_close"] = closing / lips_together(face, c.identity, without).clamp(min=LEAST_CLOSING)
    return found
