"""Carry expressions from one face model to another: a linear map between their expression bases.

Two models name movements differently: what one does with its coefficient 3 another does with a mixture. The map is
fitted once, from the models alone: their mean faces are laid over each other by the 68 landmarks, and for each movement
of the one, the mixture of the other's is sought that moves corresponding points alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .model import EXPRESSION, MorphableModel

# lengths in distances between the outer corners of the eyes (about 90 mm)
FROM_EDGES = 0.10  # skin nearer than this to lips or lids belongs to a landmark: which side of the gap would be a guess
APART = 0.05  # corresponding points of two aligned mean faces lie no farther apart
FACE = 0.45  # skin farther than this from every landmark is not compared
NOISE = 0.005  # how well corresponding points are known to move alike
LANDMARKS = 68
RIGHT_CORNER, LEFT_CORNER = 36, 45  # outer corners of the eyes
EDGES = slice(36, 68)  # lids and lips
EDGE_WEIGHT = 4.0  # of each landmark on lids and lips, against 1 of the others and 1 of each 1/68 of the skin


@dataclass(frozen=True)
class Similarity:
    """Lays points [V, 3] of one model over another's: scale · points @ rotation + shift."""

    scale: float
    rotation: Tensor  # [3, 3], for row vectors
    shift: Tensor  # [3]

    def __call__(self, points: Tensor) -> Tensor:
        return self.scale * points @ self.rotation + self.shift


def align(source: MorphableModel, target: MorphableModel) -> Similarity:
    """The similarity that lays `source`'s mean face over `target`'s, by least squares over the 68 landmarks.

    After Umeyama 1991; never a mirror image.
    """
    a = source.mean_shape[source.keypoints[:LANDMARKS]].double()
    b = target.mean_shape[target.keypoints[:LANDMARKS]].double()
    a0, b0 = a - a.mean(0), b - b.mean(0)
    u, s, vt = torch.linalg.svd(a0.T @ b0)
    sign = torch.ones(3, dtype=s.dtype)
    sign[2] = torch.linalg.det(u @ vt).sign()
    rotation = u @ torch.diag(sign) @ vt
    scale = (s * sign).sum() / a0.square().sum()
    shift = b.mean(0) - scale * a.mean(0) @ rotation
    return Similarity(float(scale), rotation.float(), shift.float())


def corresponding(source: MorphableModel, target: MorphableModel, placed: Similarity) -> tuple[Tensor, Tensor, Tensor]:
    """Vertices that are the same place of a face: numbers in `source` [P] and in `target` [P], weights [P].

    The 68 landmarks; and of the skin away from lips and lids, vertices that are each other's nearest.
    placed: lays `source` over `target`.
    """
    from scipy.spatial import cKDTree

    a, b = placed(source.mean_shape).numpy(), target.mean_shape.numpy()
    marks = b[target.keypoints[:LANDMARKS].numpy()]
    size = np.linalg.norm(marks[RIGHT_CORNER] - marks[LEFT_CORNER])
    distance, nearest = cKDTree(a).query(b)
    back = cKDTree(b).query(a)[1]
    edge = cKDTree(marks[EDGES]).query(b)[0]
    face = cKDTree(marks).query(b)[0]
    mutual = back[nearest] == np.arange(len(b))
    skin = np.flatnonzero(mutual & (distance < APART * size) & (edge > FROM_EDGES * size) & (face < FACE * size))
    weights = torch.ones(LANDMARKS + len(skin))
    weights[EDGES] = EDGE_WEIGHT
    weights[LANDMARKS:] = LANDMARKS / max(len(skin), LANDMARKS)
    return (
        torch.cat([source.keypoints[:LANDMARKS], torch.from_numpy(nearest[skin])]),
        torch.cat([target.keypoints[:LANDMARKS], torch.from_numpy(skin)]),
        weights,
    )


def expression_map(source: MorphableModel, target: MorphableModel) -> Tensor:
    """M [64, 64] that carries expressions over: `target_expression = source_expression @ M`.

    Row i holds the mixture of the target's movements that does what a 1 in the source's coefficient i does. Ridge
    least squares in the models' own units: a coefficient of 1 is an ordinary movement in the target, and points move
    alike to within half a per cent of the eyes' distance, so that movements which the points hardly tell apart stay
    small. What the target cannot do is left out. Both models need the 68 landmarks in iBUG order.
    """
    placed = align(source, target)
    theirs, ours, weights = corresponding(source, target, placed)
    root = weights.double().sqrt()[:, None, None]
    moves = source.expression_basis[theirs].double()
    moves = placed.scale * torch.einsum("pcm,cd->pdm", moves, placed.rotation.double())
    wanted = (root * moves).flatten(0, 1)
    basis = (root * target.expression_basis[ours].double()).flatten(0, 1)
    marks = target.mean_shape[target.keypoints].double()
    noise = NOISE * (marks[RIGHT_CORNER] - marks[LEFT_CORNER]).norm()
    normal = basis.T @ basis + noise**2 * torch.eye(EXPRESSION, dtype=torch.float64)
    return torch.linalg.solve(normal, basis.T @ wanted).T.float()
