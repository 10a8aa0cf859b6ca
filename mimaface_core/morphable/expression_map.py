"""Linear map that carries expressions from one face model's basis to another's.

Two models divide movements differently: what one does with its coefficient 3 another does with a mixture. The map is
fitted once, from the models alone: their mean faces are aligned by the 68 landmarks, and each movement of one is
approximated, at corresponding points, by a mixture of the other's movements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .model import EXPRESSION_SIZE, MorphableModel
from .umeyama import umeyama

# indices in the 68 landmarks of the iBUG scheme
LANDMARK_COUNT = 68
RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 36, 45
LIDS_AND_LIPS = slice(36, 68)
# lengths in distances between the outer corners of the eyes (about 90 mm)
EDGE_MARGIN = 0.10  # skin nearer than this to lids or lips is left to the landmarks: its side of the gap is uncertain
MAX_MISMATCH = 0.05  # between corresponding points of two aligned mean faces
FACE_RADIUS = 0.45  # skin farther than this from every landmark is not compared
MOVEMENT_NOISE = 0.005  # standard deviation of the movements of corresponding points
EDGE_WEIGHT = 4.0  # of each landmark on lids and lips; other landmarks weigh 1 each, and the skin 68 together


@dataclass(frozen=True)
class Similarity:
    """Carries points of one model to another's: scale · points @ rotation + shift.

    Attributes:
        scale: of lengths.
        rotation: [3, 3], for row vectors.
        shift: [3].
    """

    scale: float
    rotation: Tensor
    shift: Tensor

    def __call__(self, points: Tensor) -> Tensor:
        """Carry points [V, 3] over."""
        return self.scale * points @ self.rotation + self.shift


def align(source: MorphableModel, target: MorphableModel) -> Similarity:
    """Similarity that lays `source`'s mean face over `target`'s, by least squares over the 68 landmarks."""
    points, aim = (model.mean_shape[model.keypoints[:LANDMARK_COUNT]].double()[None] for model in (source, target))
    scale, rotation, shift = umeyama(points, aim, points.new_ones(LANDMARK_COUNT), scaled=True)
    return Similarity(float(scale), rotation[0].float(), shift[0].float())


def corresponding(source: MorphableModel, target: MorphableModel, placed: Similarity) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices of two models that are the same place of a face.

    These are the 68 landmarks, and skin away from lips and lids whose vertices are each other's nearest.

    Args:
        source: one model.
        target: the other.
        placed: lays `source` over `target`.

    Returns:
        Vertices of `source` [P], of `target` [P], and their weights [P].
    """
    from scipy.spatial import cKDTree

    a, b = placed(source.mean_shape).numpy(), target.mean_shape.numpy()
    landmarks = b[target.keypoints[:LANDMARK_COUNT].numpy()]
    size = np.linalg.norm(landmarks[RIGHT_EYE_OUTER] - landmarks[LEFT_EYE_OUTER])
    distance, nearest = cKDTree(a).query(b)
    mutual = cKDTree(b).query(a)[1][nearest] == np.arange(len(b))
    from_edges = cKDTree(landmarks[LIDS_AND_LIPS]).query(b)[0]
    from_face = cKDTree(landmarks).query(b)[0]
    near = (distance < MAX_MISMATCH * size) & (from_edges > EDGE_MARGIN * size) & (from_face < FACE_RADIUS * size)
    skin = np.flatnonzero(mutual & near)
    weights = torch.ones(LANDMARK_COUNT + len(skin))
    weights[LIDS_AND_LIPS] = EDGE_WEIGHT
    weights[LANDMARK_COUNT:] = LANDMARK_COUNT / max(len(skin), LANDMARK_COUNT)
    return (
        torch.cat([source.keypoints[:LANDMARK_COUNT], torch.from_numpy(nearest[skin])]),
        torch.cat([target.keypoints[:LANDMARK_COUNT], torch.from_numpy(skin)]),
        weights,
    )


def expression_map(source: MorphableModel, target: MorphableModel) -> Tensor:
    """Matrix M that carries expressions over: `target_expression = source_expression @ M`.

    Row i is the mixture of the target's movements that reproduces a 1 in the source's coefficient i, by ridge least
    squares in the models' own units: a coefficient of 1 is taken as an ordinary movement of the target, and
    corresponding points to move alike up to MOVEMENT_NOISE, so movements that the points barely constrain stay small.
    Movements that the target lacks are lost.

    Args:
        source: model whose expressions are carried over; its keypoints are the 68 landmarks in iBUG order.
        target: model that takes them; likewise.

    Returns:
        [64, 64].
    """
    placed = align(source, target)
    theirs, ours, weights = corresponding(source, target, placed)
    root = weights.double().sqrt()[:, None, None]
    moves = source.expression_basis[theirs].double()
    moves = placed.scale * torch.einsum("pcm,cd->pdm", moves, placed.rotation.double())
    aim = (root * moves).flatten(0, 1)
    basis = (root * target.expression_basis[ours].double()).flatten(0, 1)
    landmarks = target.mean_shape[target.keypoints].double()
    noise = MOVEMENT_NOISE * (landmarks[RIGHT_EYE_OUTER] - landmarks[LEFT_EYE_OUTER]).norm()
    normal = basis.T @ basis + noise**2 * torch.eye(EXPRESSION_SIZE, dtype=torch.float64)
    return torch.linalg.solve(normal, basis.T @ aim).T.float()
