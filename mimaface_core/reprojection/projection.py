"""Projection between shapes in the face's own axes and pixels of the source's crop."""

from __future__ import annotations

import torch
from torch import Tensor

from ..morphable.model import MorphableModel
from ..motion.track import MotionTrack


def project(model: MorphableModel, shape: Tensor, track: MotionTrack) -> Tensor:
    """Crop pixels of shapes posed as in a track.

    Args:
        model: the face model, for its camera.
        shape: [N, V, 3], before the pose.
        track: N frames.

    Returns:
        [N, V, 3]: x and y in pixels of the crop, third the depth in model units (larger = farther).
    """
    c = track.coefficients
    points = model.project(model.transform(shape, c.angles, c.translation))
    linear = torch.linalg.inv(track.alignment[:, :, :2])
    pixels = (points[..., :2] - track.alignment[:, None, :, 2]) @ linear.transpose(1, 2)
    return torch.cat([pixels, points[..., 2:]], -1)


def unproject(model: MorphableModel, pixels: Tensor, depth: Tensor, source: MotionTrack) -> Tensor:
    """Places in the face's own axes of crop pixels at known distances, the inverse of `project`.

    Args:
        model: the face model, for its camera.
        pixels: [V, 2], pixels of the source's crop.
        depth: [V], distances from the camera in model units.
        source: one frame.

    Returns:
        [V, 3].
    """
    c, alignment = source.coefficients, source.alignment[0]
    world = model.camera_points(pixels @ alignment[:, :2].T + alignment[:, 2], depth)
    return (world - c.translation) @ model.rotation(c.angles)[0].T


def in_pixels(track: MotionTrack, pixel: float) -> MotionTrack:
    """A track in a crop whose side is `pixel` times that of the track's own crop."""
    alignment = track.alignment.clone()
    alignment[..., :2] /= pixel
    return track.replace(alignment=alignment)
