"""Which way the skin faces: towards the viewer, or, on the far side of a turned head, away."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import FACE_POINTS, OVAL
from ..motion.track import MotionTrack
from ..tensors import smoothstep

FAR_RANGE = (0.08, 0.25)  # difference of the mean cosine at both sides of the outline: frontal, turned
LEFT_OUTLINE, RIGHT_OUTLINE = range(5, 14), range(23, 32)  # places in OVAL, from the temple to the jaw
MIDDLE = (-0.1, 0.1)  # model units, where one side of the face goes over into the other
HIDING_RANGE = (0.05, 0.3)  # cosine at the outline: it hides what is behind it, it does not


def facing(face: BundledFace, shape: Tensor, track: MotionTrack) -> Tensor:
    """Cosine [N, 468] between the normals of faces [N, V, 3], posed as in a track, and the viewing rays."""
    c, triangles = track.coefficients, face.model.triangles[face.part_triangles["face"]]
    world = face.model.transform(shape, c.angles, c.translation)[:, :FACE_POINTS]
    a, b, d = world[:, triangles].unbind(2)
    normals = torch.linalg.cross(b - a, d - a).repeat_interleave(3, 1)
    normals = torch.zeros_like(world).index_add(1, triangles.flatten(), normals)
    ray = world.new_tensor([0, 0, face.model.camera]) - world
    return (F.normalize(normals, dim=-1) * F.normalize(ray, dim=-1)).sum(-1)


def far_side(face: BundledFace, cosine: Tensor) -> Tensor:
    """Share in 0–1 in which each vertex lies on the side that a turned head hides; a frontal one hides none.

    Args:
        face: the bundled face.
        cosine: [..., 468], see `facing`; with the sign of its change turned, that side is the one that comes into view.

    Returns:
        [..., 468].
    """
    sides = ([OVAL[k] for k in side] for side in (LEFT_OUTLINE, RIGHT_OUTLINE))
    left, right = (cosine[..., side].mean(-1, keepdim=True) for side in sides)
    on_left = smoothstep(face.model.mean_shape[:FACE_POINTS, 0], *MIDDLE)
    return on_left * smoothstep(right - left, *FAR_RANGE) + (1 - on_left) * smoothstep(left - right, *FAR_RANGE)


def hiding(face: BundledFace, cosine: Tensor) -> Tensor:
    """How much each point of the outline [36] hides what lies behind it, 0–1; cosine: [468], see `facing`."""
    return (far_side(face, cosine) * (1 - smoothstep(cosine, *HIDING_RANGE)))[OVAL]
