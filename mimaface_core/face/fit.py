"""Fit the bundled face model to tracked landmarks: regularised least squares, all frames at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..morphable.bundled.blendshapes import SPREADS
from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import (
    CHIN_MIDLINE,
    CHIN_OUTLINE,
    EAR_OUTLINE,
    EYE_CORNERS,
    FACE_POINTS,
    FOREHEAD_OUTLINE,
    GLABELLA,
    IRIS_CENTRES,
    LANDMARK_COUNT,
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LID_MIDDLES,
    LOWER_LIP,
    NOSE_RIDGE,
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

LANDMARK_NOISE = 0.012  # expected error of a landmark, model units
DEPTH_WEIGHT = 0.3  # of a landmark's depth in the shape, over that of x and y
TRACKED_DEPTH_SHARE = 0.15  # of the tracker's depth in each iteration, the rest is the model's
ITERATIONS = 16
LEAST_TRUST = 0.02  # of a point in the pose, which has to come from somewhere
LIDS = (RIGHT_UPPER_LID, RIGHT_LOWER_LID, LEFT_UPPER_LID, LEFT_LOWER_LID)


def _pose_weights() -> Tensor:
    """Per-landmark weights [468] for the rigid pose: rigid bone high, silhouette medium, lips and lids low."""
    weight = torch.full((FACE_POINTS,), 0.25)
    weight[OVAL] = 0.15
    weight[FOREHEAD_OUTLINE + EAR_OUTLINE + GLABELLA + NOSE_RIDGE] = 1.0
    for corners in EYE_CORNERS:
        weight[corners] = 1.0
    for line in [*UPPER_LIP, *LOWER_LIP, *(lid[1:-1] for lid in LIDS)]:
        weight[line] = 0.03
    weight[CHIN_OUTLINE + CHIN_MIDLINE] = 0.05
    return weight


def _shape_weights() -> Tensor:
    """Per-landmark weights [468] for the shape: edges of the lids highest, then lips, then brows."""
    weight = torch.ones(FACE_POINTS)
    for line in [*UPPER_LIP, *LOWER_LIP]:
        weight[line] = 15.0
    for lid in LIDS:
        weight[lid] = 30.0
    weight[RIGHT_BROW + LEFT_BROW] = 3.0
    return weight


def tracked_depth(model: MorphableModel, landmarks: Tensor, scale: Tensor, weight: Tensor) -> Tensor:
    """Distance from the camera by the tracker's own depth.

    Args:
        model: gives the camera.
        landmarks: [N, V, 3], pixels of the camera plane.
        scale: [N], size of the faces in pixels per model unit.
        weight: [V], of the landmarks in the mean depth.

    Returns:
        [N, V], model units.
    """
    middle = landmarks[..., 2] @ (weight / weight.sum())
    return (model.focal + landmarks[..., 2] - middle[:, None]) / scale[:, None]


class _ShapeSolver:
    """Linear least squares for the shape: identity, one for all frames or one for each, and expression of each frame.

    Solves the normal equations with a data term in the face's own axes and Gaussian priors on both groups of
    coefficients. Identity is solved with each frame's best expression eliminated (a Schur complement).

    Args:
        model: the face model.
        frames: number of frames that share one identity, which weighs the data against identity's prior.
        identity: [1, 80] of a person who is known already.
    """

    def __init__(self, model: MorphableModel, frames: int, identity: Tensor | None = None) -> None:
        self.mean = model.mean_shape[:FACE_POINTS]
        self.identity_basis = model.identity_basis[:FACE_POINTS].flatten(0, 1)
        self.expression_basis = model.expression_basis[:FACE_POINTS].flatten(0, 1)
        A, B = self.identity_basis, self.expression_basis
        precision = torch.tensor([1.0, 1.0, DEPTH_WEIGHT]) * _shape_weights()[:, None]
        precision = precision.flatten() / LANDMARK_NOISE**2
        prior = torch.diag(1 / torch.tensor(SPREADS[: B.shape[1]]).square())
        expression = torch.linalg.inv(B.T @ (precision[:, None] * B) + prior)
        weighted = B.T * precision
        self._expression = expression @ weighted
        self.shared, self._known = frames > 1, identity
        if identity is None:
            residual = torch.diag(precision) - weighted.T @ expression @ weighted
            normal = A.T @ residual @ A + torch.eye(A.shape[1]) / frames
            self._identity = torch.linalg.solve(normal, A.T @ residual)

    def __call__(self, local: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Solve for the shape of points in the face's own axes.

        Args:
            local: [N, 468, 3].

        Returns:
            Identity [1, 80] where all frames share it, else [N, 80], expression [N, 64] and shape [N, 468, 3].
        """
        A, B = self.identity_basis, self.expression_basis
        offset = (local - self.mean).flatten(1)
        if self._known is None:
            identity = (offset.mean(0, keepdim=True) if self.shared else offset) @ self._identity.T
        else:
            identity = self._known
        expression = (offset - identity @ A.T) @ self._expression.T
        shape = self.mean + (identity @ A.T).view(-1, FACE_POINTS, 3) + (expression @ B.T).view(-1, FACE_POINTS, 3)
        return identity, expression, shape


class ShapeFit(NamedTuple):
    """Result of `fit_shapes` for N frames.

    Attributes:
        identity: [1, 80] where all frames share it, else [N, 80].
        expression: [N, 64].
        rotation: [N, 3, 3] of the head, for row vectors.
        translation: [N, 3] of the head.
        local: [N, 468, 3], the landmarks in the face's own axes.
        shape: [N, 468, 3], the model there.
        depth: [N, 468], of the model from the camera.
    """

    identity: Tensor
    expression: Tensor
    rotation: Tensor
    translation: Tensor
    local: Tensor
    shape: Tensor
    depth: Tensor


def fit_shapes(
    model: MorphableModel,
    mesh: Tensor,
    *,
    one_person: bool,
    trust: Tensor | None = None,
    identity: Tensor | None = None,
) -> ShapeFit:
    """Fit a face model, whose first 468 vertices are the landmarks, to tracked landmarks.

    Alternates the rigid pose of points on their camera rays (orthogonal iteration, Lu et al. 2000), the shape (linear
    least squares), and the depth of the points on their rays. What is not to be believed follows the model: in the
    share that is missing, a point is where the last iteration's shape has it.

    Args:
        model: the face model.
        mesh: [N, 468, 3], pixels of the camera plane and the tracker's depth.
        one_person: whether all frames show one person.
        trust: [N, 468], how far each point is to be believed, 0–1; all when None.
        identity: [1, 80] of a person who is known already; fitted when None.
    """
    solve, weight = _ShapeSolver(model, len(mesh) if one_person else 1, identity), _pose_weights()
    shape = solve.mean.expand(len(mesh), -1, -1)
    depth = _first_depth(model, mesh, shape, weight)
    for _ in range(ITERATIONS):
        world = model.camera_points(mesh, depth)
        believed = weight if trust is None else weight * trust.clamp(min=LEAST_TRUST)
        _, rotation, translation = umeyama(shape, world, believed, scaled=False)
        local = (world - translation[:, None]) @ rotation.transpose(1, 2)
        if trust is not None:
            local = shape + trust[..., None] * (local - shape)
        person, expression, shape = solve(local)
        modelled = model.camera - (shape @ rotation + translation[:, None])[..., 2]
        tracked = tracked_depth(model, mesh, model.focal / modelled.mean(1), weight)
        depth = modelled + TRACKED_DEPTH_SHARE * (tracked - modelled)
    return ShapeFit(person, expression, rotation, translation, local, shape, modelled)


def _first_depth(model: MorphableModel, mesh: Tensor, shape: Tensor, weight: Tensor) -> Tensor:
    """First distances [N, 468], from the size of the faces: a face that comes out too large stands too far away."""
    flat = torch.stack([mesh[..., 0] - model.centre, model.centre - mesh[..., 1], -mesh[..., 2]], -1)
    for _ in range(2):
        scale = umeyama(shape, flat, weight, scaled=True)[0]
        world = model.camera_points(mesh, tracked_depth(model, mesh, scale, weight))
        scale = scale * umeyama(shape, world, weight, scaled=True)[0]
    return tracked_depth(model, mesh, scale, weight)


def fit_landmarks(
    face: BundledFace, landmarks: Tensor, trust: Tensor | None = None, identity: Tensor | None = None
) -> tuple[FaceCoefficients, Tensor]:
    """Fit the bundled face model to the tracked landmarks of one person.

    Args:
        face: the bundled face model.
        landmarks: [N, 478, 3], pixels of the 256-pixel camera plane; the third is the tracker's depth in the same
            unit, smaller = nearer.
        trust: [N, 478], how far each landmark is to be believed, 0–1; all when None.
        identity: [1, 80] of a person who is known already; fitted when None.

    Returns:
        FaceCoefficients of N frames, with one identity for all and texture and lighting 0, and gaze [N, 4] in eye
        widths.

    Raises:
        InputError: the landmarks have another shape or are not finite.
    """
    if landmarks.ndim != 3 or landmarks.shape[1:] != (LANDMARK_COUNT, 3) or not len(landmarks):
        raise InputError(f"Landmarks must have shape [N, 478, 3] with at least one frame, not {list(landmarks.shape)}.")
    if not torch.isfinite(landmarks).all():
        raise InputError("The landmarks hold numbers that are not finite; track the face again.")
    model, landmarks = face.model, landmarks.float()
    believed = None if trust is None else trust[:, :FACE_POINTS]
    fit = fit_shapes(model, landmarks[:, :FACE_POINTS], one_person=True, trust=believed, identity=identity)
    lids = [fit.depth[:, [*corners, *lids]].mean(1) for corners, lids in zip(EYE_CORNERS, LID_MIDDLES, strict=True)]
    eye_depth = (lids[0] + lids[1]) / 2
    iris = model.camera_points(landmarks[:, IRIS_CENTRES], eye_depth[:, None].expand(-1, 2))
    gaze = gaze_of_irises(face, fit.local, iris, fit.rotation, fit.translation)
    coefficients = FaceCoefficients.zeros(len(landmarks)).replace(
        identity=fit.identity, expression=fit.expression, angles=angles_of(fit.rotation), translation=fit.translation
    )
    return coefficients, gaze
