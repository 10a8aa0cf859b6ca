"""Edit: add a turn, a shift, a zoom, an expression and a gaze to every frame of a track."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .track import MotionTrack

# D3DFR's camera, which all face models share: its distance in model units, its focal length in pixels of its plane.
CAMERA_DISTANCE, FOCAL_LENGTH = 10.0, 1160.0
CROP_SIZE = 512  # side of the crop, pixels


def edit(
    track: MotionTrack,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    roll: float = 0.0,
    shift: Sequence[float] = (0.0, 0.0),
    zoom: float = 1.0,
    expression: Tensor | None = None,
    gaze: Sequence[float] = (0.0, 0.0),
) -> MotionTrack:
    """A track with the same change in every frame.

    Args:
        track: N frames.
        yaw: radians, positive turns the head to the right of the image.
        pitch: radians, positive raises the chin.
        roll: radians, positive tilts the head clockwise as seen in the image.
        shift: x to the right of the image and y up, as shares of the crop's side.
        zoom: size of the head over its own, above 0.
        expression: [64] or [N, 64], added to the coefficients.
        gaze: x to the right of the image and y up, in eye widths, added for both eyes.

    Raises:
        InputError: the zoom is not positive.
    """
    if not zoom > 0:
        raise InputError(f"The head cannot be zoomed by {zoom}; use a number above 0, 1 for its own size.")
    c = track.coefficients
    angles = c.angles + torch.tensor([-pitch, yaw, -roll])

    # Nearer is larger. The place in the image scales with the depth, so that it stays where it is.
    depth = (CAMERA_DISTANCE - c.translation[:, 2:]) / zoom
    side = CROP_SIZE * track.alignment[..., :2].det().sqrt()[:, None]  # of the crop, on the camera plane
    place = c.translation[:, :2] / zoom + torch.tensor(tuple(shift)) * side / FOCAL_LENGTH * depth
    groups = {"angles": angles, "translation": torch.cat([place, CAMERA_DISTANCE - depth], 1)}
    if expression is not None:
        groups["expression"] = c.expression + expression
    return track.replace(coefficients=c.replace(**groups), gaze=track.gaze + torch.tensor([*gaze, *gaze]))
