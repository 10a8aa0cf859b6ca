"""What the product makes of a source picture and tracked landmarks: motion, renders, and what counts where."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from ...face.crop import CROP_SIZE, PLANE, plane_alignment
from ...face.fit import fit_landmarks
from ...morphable.bundled.face import procedural_face
from ...morphable.bundled.face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from ...morphable.bundled.groups import expression_groups
from ...morphable.rasterize import rasterize
from ...motion.retarget import retarget
from ...motion.track import MotionTrack
from ...reprojection.renderer import ProjectedRenderer

TOGETHER = 4  # frames that are drawn at once
WEIGHT_SIDE = 64  # of the weights: the side of the latents
RIMS = RIGHT_UPPER_LID + RIGHT_LOWER_LID + LEFT_UPPER_LID + LEFT_LOWER_LID + INNER_UPPER_LIP + INNER_LOWER_LIP


@torch.no_grad()
def product_clip(crop: Tensor, landmarks: Tensor) -> tuple[MotionTrack, Tensor]:
    """Track of N frames and renders [N, 3, 512, 512] in ±1: fit, retarget and projected render as in use.

    crop: the source [3, 512, 512] in ±1. landmarks: [1 + N, 478, 3] in crop pixels, the source's first.
    """
    face = procedural_face()
    source = _track(landmarks[:1])
    motion = retarget(_track(landmarks), source, expression_groups(source.basis))[1:]
    renderer = ProjectedRenderer(face, crop, landmarks[0], source)
    return motion, torch.cat([renderer(motion[i : i + TOGETHER]) for i in range(0, len(motion), TOGETHER)])


def frame_weights(points: Tensor) -> Tensor:
    """What each place of the frames counts [N, 64, 64]: 0.5 for the background, 1.5 for the face, up to 4 at eyes and mouth.

    points: [N, V, 3] in crop pixels, of which the first 468 are the face's; the depth plays no part.
    """
    face = procedural_face()
    points = points[:, :468] * torch.tensor([WEIGHT_SIDE / CROP_SIZE, WEIGHT_SIDE / CROP_SIZE, 1])
    triangles = face.model.triangles[face.part_triangles["face"]]
    covered = rasterize(points, triangles, WEIGHT_SIDE, WEIGHT_SIDE, near=-math.inf).mask.float()
    steps = torch.arange(WEIGHT_SIDE) + 0.5
    place = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 2)
    distance = torch.cdist(place.expand(len(points), -1, -1), points[:, RIMS, :2]).amin(-1)
    return 0.5 + covered + 2.5 * torch.exp(-((distance.view_as(covered) / 2) ** 2))


def _track(landmarks: Tensor) -> MotionTrack:
    """Fit the model to crop landmarks [N, 478, 3]."""
    coefficients, gaze = fit_landmarks(procedural_face(), landmarks * (PLANE / CROP_SIZE))
    n = len(landmarks)
    return MotionTrack(coefficients, gaze, plane_alignment(n), torch.ones(n, dtype=torch.bool), Fraction(25))
