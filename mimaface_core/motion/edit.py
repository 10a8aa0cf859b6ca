"""Edit: add a turn, a shift, a zoom, an expression and a gaze to the frames of a track."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .track import MotionTrack

# D3DFR's camera, which all face models share: its distance in model units, its focal length in pixels of its plane.
CAMERA_DISTANCE, FOCAL_LENGTH = 10.0, 1160.0
CROP_SIZE = 512  # side of the crop, pixels
Amount = float | Tensor  # of all frames, or [N], one a frame


def column(amount: Amount) -> Tensor:
    """An amount as [1, 1] or [N, 1]."""
    return torch.as_tensor(amount, dtype=torch.float32).reshape(-1, 1)


def edit(
    track: MotionTrack,
    *,
    yaw: Amount = 0.0,
    pitch: Amount = 0.0,
    roll: Amount = 0.0,
    shift: Sequence[Amount] = (0.0, 0.0),
    zoom: Amount = 1.0,
    expression: Tensor | None = None,
    gaze: Sequence[Amount] = (0.0, 0.0),
) -> MotionTrack:
    """A track with a change that is the same in every frame, or one for each.

    Args:
        track: N frames.
        yaw: radians, positive turns the head to the right of the image.
        pitch: radians, positive raises the chin.
        roll: radians, positive tilts the head clockwise as seen in the image.
        shift: x to the right of the image and y up, as shares of the crop's side.
        zoom: size of the head over its own, above 0.
        expression: [64] or [N, 64], added to the coefficients.
        gaze: x to the right of the image and y up, in eye widths, added for both eyes; or four, for the right eye,
            then for the left.

    Returns:
        The same numbers exactly, where nothing is changed.

    Raises:
        InputError: the zoom is not positive.
    """
    size = column(zoom)
    if not (size > 0).all():
        raise InputError(
            f"The head cannot be zoomed by {float(size.min()):g}; use a number above 0, 1 for its own size."
        )
    c = track.coefficients
    angles = c.angles + torch.cat(torch.broadcast_tensors(-column(pitch), column(yaw), -column(roll)), 1)

    # Nearer is larger. The place in the image scales with the depth, so that it stays where it is.
    depth = CAMERA_DISTANCE - c.translation[:, 2:]
    side = CROP_SIZE * track.alignment[..., :2].det().sqrt()[:, None]  # of the crop, on the camera plane
    moved = torch.cat(torch.broadcast_tensors(*map(column, shift)), 1)
    place = c.translation[:, :2] / size + moved * side / FOCAL_LENGTH * depth / size
    nearer = c.translation[:, 2:] + depth * (1 - 1 / size)
    groups = {"angles": angles, "translation": torch.cat([place, nearer], 1)}
    if expression is not None:
        groups["expression"] = c.expression + expression
    look = torch.cat(torch.broadcast_tensors(*map(column, gaze)), 1)
    return track.replace(coefficients=c.replace(**groups), gaze=track.gaze + look.repeat(1, 4 // look.shape[1]))
