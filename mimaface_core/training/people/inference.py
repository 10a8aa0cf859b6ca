"""Inference (fit, retarget, render) on training samples; per-pixel loss weights."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor

from ...face.crop import CROP_SIZE, PLANE, plane_alignment
from ...face.fit import fit_landmarks
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import (
    FACE_POINTS,
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
from ...reprojection.renderer import ReprojectionRenderer

FPS = Fraction(25)
FRAMES_AT_ONCE = 4  # rendered together, which bounds the memory
WEIGHT_PIXELS = 64  # side of the weights, as of the latents
WEIGHT_UNIT, FREEDOM_UNIT = 1 / 32, 1 / 255  # of weights and freedom stored as bytes
BACKGROUND_WEIGHT = 0.5
FACE_WEIGHT = 1.0  # in addition
RIM_WEIGHT = 2.5  # in addition, along lids and lips
RIM_WIDTH = 2  # latent pixels, in which it falls to 1/e
RIMS = RIGHT_UPPER_LID + RIGHT_LOWER_LID + LEFT_UPPER_LID + LEFT_LOWER_LID + INNER_UPPER_LIP + INNER_LOWER_LIP


@torch.no_grad()
def fit_and_render(source: Tensor, landmarks: Tensor) -> tuple[MotionTrack, Tensor]:
    """Motion and renders of a clip as inference makes them: fit, retarget, photo re-projection.

    Args:
        source: source crop [3, 512, 512] in ±1.
        landmarks: tracked landmarks [1 + N, 478, 3] in crop pixels, the source's first.

    Returns:
        Track of N frames, and renders [N, 4, 512, 512] as `ReprojectionRenderer.draw` gives them.
    """
    face = bundled_face()
    source_track = fit_motion(landmarks[:1])
    motion = retarget(fit_motion(landmarks), source_track, expression_groups(source_track.basis), reference=0)[1:]
    renderer = ReprojectionRenderer(face, source, landmarks[0], source_track)
    starts = range(0, len(motion), FRAMES_AT_ONCE)
    return motion, torch.cat([renderer.draw(motion[i : i + FRAMES_AT_ONCE]) for i in starts])


def loss_weights(points: Tensor) -> Tensor:
    """Loss weight of each latent's place: 0.5 on the background, 1.5 on the face, up to 4 at lids and lips.

    Args:
        points: [N, V, 3] in crop pixels, the 468 points of the face first; the depth has no effect.

    Returns:
        Weights [N, 64, 64].
    """
    face = bundled_face()
    points = points[:, :FACE_POINTS] * torch.tensor([WEIGHT_PIXELS / CROP_SIZE, WEIGHT_PIXELS / CROP_SIZE, 1])
    triangles = face.model.triangles[face.part_triangles["face"]]
    covered = rasterize(points, triangles, WEIGHT_PIXELS, WEIGHT_PIXELS, near=-math.inf).mask.float()
    centres = torch.arange(WEIGHT_PIXELS) + 0.5
    place = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), -1).reshape(-1, 2)
    distance = torch.cdist(place.expand(len(points), -1, -1), points[:, RIMS, :2]).amin(-1)
    near_rim = torch.exp(-((distance.view_as(covered) / RIM_WIDTH) ** 2))
    return BACKGROUND_WEIGHT + FACE_WEIGHT * covered + RIM_WEIGHT * near_rim


def fit_motion(landmarks: Tensor) -> MotionTrack:
    """Track of the face model fitted to landmarks [N, 478, 3] in crop pixels."""
    coefficients, gaze = fit_landmarks(bundled_face(), landmarks * (PLANE / CROP_SIZE))
    n = len(landmarks)
    return MotionTrack(coefficients, gaze, plane_alignment(n), torch.ones(n, dtype=torch.bool), FPS)
