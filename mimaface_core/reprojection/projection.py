"""Projection between shapes in the face's own axes and pixels of the source's crop."""

from __future__ import annotations

import torch
from torch import Tensor

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import OUTER_EYE_CORNERS
from ..morphable.model import MorphableModel
from ..motion.track import MotionTrack

NECK_JOINT = (0.0, -0.4, -0.55)  # model units: where a head turns on its neck, below the middle between the ears


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
    return _in_crop(model, model.transform(shape, c.angles, c.translation), track)


def _in_crop(model: MorphableModel, world: Tensor, track: MotionTrack) -> Tensor:
    """Crop pixels and depth of world points [N, V, 3]."""
    points = model.project(world)
    linear = torch.linalg.inv(track.alignment[:, :, :2])
    pixels = (points[..., :2] - track.alignment[:, None, :, 2]) @ linear.transpose(1, 2)
    return torch.cat([pixels, points[..., 2:]], -1)


def project_with_surroundings(
    face: BundledFace, shape: Tensor, track: MotionTrack, source: MotionTrack, rest: Tensor
) -> Tensor:
    """What `project` gives, where what lies around the face takes part in the head's movement as it does in videos.

    A contour moves, leans and comes nearer with its head, but does not turn with it; and of a movement by few pixels,
    which is as likely the fit's as the head's, the surroundings take over less than of a large one.

    Args:
        face: the bundled model.
        shape: [N, V, 3], before the pose.
        track: N frames.
        source: one frame, the photograph, in which nothing has moved.
        rest: [V, 2], the vertices in the photograph.

    Returns:
        [N, V, 3], as `project`.
    """
    points = project(face.model, shape, track)
    contour = _contour(face.model, shape, track, source)
    moved, eyes = contour - rest, face.model.mean_shape[OUTER_EYE_CORNERS]
    unit = (rest[OUTER_EYE_CORNERS[0]] - rest[OUTER_EYE_CORNERS[1]]).norm() / (eyes[0] - eyes[1]).norm()
    far = moved.norm(dim=-1, keepdim=True)
    moved = moved * far / (far + face.inertia[:, None] * unit).clamp(min=1e-6)
    turned = face.turns[:, None] * (points[..., :2] - contour)
    points[..., :2] = rest + face.follows[:, None] * (turned + moved)
    return points


def _contour(model: MorphableModel, shape: Tensor, track: MotionTrack, source: MotionTrack) -> Tensor:
    """Crop pixels [N, V, 2] of points [N, V, 3] around a head that does not turn."""
    before, now = source.coefficients, track.coefficients
    rotation = model.rotation(before.angles)
    turn = rotation.transpose(1, 2) @ model.rotation(now.angles)
    lean = torch.atan2(turn[:, 0, 1] - turn[:, 1, 0], turn[:, 0, 0] + turn[:, 1, 1])
    sine, cosine, zero = lean.sin(), lean.cos(), torch.zeros_like(lean)
    in_plane = torch.stack([cosine, sine, zero, -sine, cosine, zero, zero, zero, zero + 1], -1).view(-1, 3, 3)
    joint = shape.new_tensor(NECK_JOINT).expand(len(shape), 1, 3)
    around = (shape - joint) @ rotation @ in_plane
    return _in_crop(model, model.transform(joint, now.angles, now.translation) + around, track)[..., :2]


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
