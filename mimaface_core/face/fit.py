"""Fit the bundled face model to tracked landmarks: regularised least squares, all frames at once."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError
from ..morphable.bundled.face import ProceduralFace
from ..morphable.bundled.face_mesh import (
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)
from ..morphable.model import MorphableModel
from ..morphable.umeyama import umeyama
from ..motion.rotation import angles_of
from ..motion.track import FaceCoefficients
from .gaze import gaze_of_irises

NOISE = 0.012  # expected error of a landmark, model units
DEPTH_TRUST = 0.3  # weight of a tracker's depth against its picture coordinates
EXPRESSION_SPREAD = 0.6  # standard deviation expected of an expression coefficient
DEPTH_SHARE = 0.15  # how much of the tracker's depth enters each round
ROUNDS = 16


def _pose_weights() -> Tensor:
    """How far each of the 468 points tells the head's pose: bone much, outline some, lips and lids hardly."""
    weight = torch.full((468,), 0.25)
    weight[OVAL] = 0.15
    weight[
        [
            10,
            338,
            297,
            332,
            284,
            109,
            67,
            103,
            54,
            168,
            6,
            197,
            195,
            5,
            4,
            1,
            33,
            133,
            263,
            362,
            8,
            9,
            151,
            234,
            454,
            127,
            356,
        ]
    ] = 1.0
    for ring in [
        *UPPER_LIP,
        *LOWER_LIP,
        RIGHT_UPPER_LID[1:-1],
        RIGHT_LOWER_LID[1:-1],
        LEFT_UPPER_LID[1:-1],
        LEFT_LOWER_LID[1:-1],
    ]:
        weight[ring] = 0.03
    weight[[152, 148, 377, 175, 199, 200, 176, 400]] = 0.05
    return weight


def _shape_weights() -> Tensor:
    """How much each of the 468 points counts for the shape: the edges of lips and lids most, then brows."""
    weight = torch.ones(468)
    for ring in [*UPPER_LIP, *LOWER_LIP]:
        weight[ring] = 15.0
    for edge in (RIGHT_UPPER_LID, RIGHT_LOWER_LID, LEFT_UPPER_LID, LEFT_LOWER_LID):
        weight[edge] = 30.0
    weight[RIGHT_BROW + LEFT_BROW] = 3.0
    return weight


def tracked_depth(model: MorphableModel, landmarks: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """Distance [N, V] from the camera by the tracker's own depth, for faces of `scale` [N] pixels a unit."""
    middle = landmarks[..., 2] @ (weight / weight.sum())
    return (model.focal + landmarks[..., 2] - middle[:, None]) / scale[:, None]


def fit_landmarks(face: ProceduralFace, landmarks: Tensor) -> tuple[FaceCoefficients, Tensor]:
    """Identity (one for all frames), expression, angles, translation and gaze from tracked landmarks.

    landmarks: [N, 478, 3], pixels of the 256-pixel camera plane, third the tracker's depth in the same unit (smaller =
    nearer). Returns FaceCoefficients of N frames (texture and lighting 0) and gaze [N, 4] in eye widths.
    Raises InputError for other shapes or numbers that are not finite.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (478, 3) or not len(landmarks):
        raise InputError(f"Landmarks must have shape [N, 478, 3] with at least one frame, not {list(landmarks.shape)}.")
    if not torch.isfinite(landmarks).all():
        raise InputError("The landmarks hold numbers that are not finite; track the face again.")
    model, mesh = face.model, landmarks[:, :468].float()
    mean = model.mean_shape[:468]
    identity_basis, expression_basis = model.identity_basis[:468], model.expression_basis[:468]

    # normal equations of the linear part: data term in the face's own axes, Gaussian priors on both coefficient groups
    trust = (torch.tensor([1.0, 1.0, DEPTH_TRUST]) * _shape_weights()[:, None]).flatten() / NOISE**2
    A, B = identity_basis.reshape(-1, 80), expression_basis.reshape(-1, 64)
    inner = torch.linalg.inv(B.T @ (trust[:, None] * B) + torch.eye(64) / EXPRESSION_SPREAD**2)
    # what is left of the data once each frame's best expression is taken out
    BW = B.T * trust
    free = torch.diag(trust) - BW.T @ inner @ BW
    outer = torch.linalg.inv(A.T @ free @ A + torch.eye(80) / len(mesh))

    weight = _pose_weights()
    flat = torch.stack([mesh[..., 0] - model.centre, model.centre - mesh[..., 1], -mesh[..., 2]], -1)
    shape = mean.expand(len(mesh), -1, -1)
    for _ in range(2):  # distance: a face that comes out too large stands too far away
        scale = umeyama(shape, flat, weight, scaled=True)[0]
        world = model.camera_points(mesh, tracked_depth(model, mesh, scale, weight))
        scale = scale * umeyama(shape, world, weight, scaled=True)[0]
    depth = tracked_depth(model, mesh, scale, weight)
    for _ in range(ROUNDS):
        # pose: points on their camera rays at the depth believed so far (orthogonal iteration, Lu et al. 2000)
        world = model.camera_points(mesh, depth)
        _, rotation, translation = umeyama(shape, world, weight, scaled=False)
        # shape: the linear part in the face's own axes
        local = (world - translation[:, None]) @ rotation.transpose(1, 2)
        offset = (local - mean).flatten(1)
        identity = outer @ (A.T @ (free @ offset.mean(0)))
        expression = (offset - A @ identity) @ (inner @ BW).T
        shape = mean + (A @ identity).view(-1, 3) + (expression @ B.T).view(-1, 468, 3)
        # depth: the model's, a little of the tracker's
        modelled = model.camera - (shape @ rotation + translation[:, None])[..., 2]
        depth = modelled + DEPTH_SHARE * (tracked_depth(model, mesh, model.focal / modelled.mean(1), weight) - modelled)

    eye = (modelled[:, [33, 133, 159, 145]].mean(1) + modelled[:, [263, 362, 386, 374]].mean(1)) / 2
    iris = model.camera_points(landmarks[:, [468, 473]].float(), eye[:, None].expand(-1, 2))
    gaze = gaze_of_irises(face, local, iris, rotation, translation)
    coefficients = FaceCoefficients.zeros(len(mesh)).replace(
        identity=identity[None], expression=expression, angles=angles_of(rotation), translation=translation
    )
    return coefficients, gaze
