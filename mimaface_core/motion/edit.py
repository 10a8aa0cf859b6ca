"""Edit: add a turn, a shift, a zoom, an expression and a look to every frame of a track."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import InputError
from .track import MotionTrack

CAMERA, FOCAL = 10.0, 1160.0  # D3DFR's camera: distance, focal length in pixels of its plane
PICTURE = 512  # side of the crop


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

    yaw, pitch, roll: radians; positive turns the head to the picture's right, up, and tilts it clockwise as seen in
    the picture. shift: x to the picture's right and y up, as shares of the crop's side. zoom: size of the head, 1
    as it is. expression: [64] or [N, 64], added to the coefficients. gaze: x to the picture's right and y up, in eye
    widths, for both eyes. Raises InputError for a zoom that is not positive.
    """
    if not zoom > 0:
        raise InputError(f"The head cannot be zoomed by {zoom}; use a number above 0, 1 for its own size.")
    c = track.coefficients
    angles = c.angles + torch.tensor([-pitch, yaw, -roll])

    # nearer is larger; what is off the centre keeps its place in the picture
    depth = (CAMERA - c.translation[:, 2:]) / zoom
    side = PICTURE * track.alignment[..., :2].det().sqrt()[:, None]  # of the crop, on the camera's plane
    place = c.translation[:, :2] / zoom + torch.tensor(tuple(shift)) * side / FOCAL * depth
    changes = {"angles": angles, "translation": torch.cat([place, CAMERA - depth], 1)}
    if expression is not None:
        changes["expression"] = c.expression + expression
    return track.replace(coefficients=c.replace(**changes), gaze=track.gaze + torch.tensor([*gaze, *gaze]))
