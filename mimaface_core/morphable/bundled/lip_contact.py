"""Contact of the lips: gaps between them, the smallest change of expression that closes them, and a collision limit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .blendshapes import LIP_CORRECTIVES, blendshape, blendshapes
from .face import BundledFace
from .face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LIP,
    LOWER_LIP_POINTS,
    UPPER_LIP,
    UPPER_LIP_POINTS,
)

UPPER_EDGE, LOWER_EDGE = INNER_UPPER_LIP[1:-1], INNER_LOWER_LIP[1:-1]  # between the corners, right to left
MIDDLE_PAIR = len(UPPER_EDGE) // 2
# lengths in model units (100 mm)
SHUT_GAP = 0.02  # in a photograph: lips nearer than this count as shut
CONTACT_GAP = 0.001  # lips this near touch
MAX_OVERLAP = 0.005  # by which a closed lip may pass the other
MAX_PRIOR_OVERLAP = 0.015  # the same for lips that overlapped before: trackers report closed lips so
STIFFNESS = 0.03  # cost of a coefficient's unit beside the movement that it makes
JAW_COST = 0.03  # against the cost of the lip movement that the jaw makes: the jaw shuts before the lips stretch
# blendshapes that shut a mouth, the jaw first
CLOSING_BLENDSHAPES = blendshapes(
    "jawOpen",
    "mouthFunnel",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthPress",
    "mouthLowerDown",
    "mouthUpperUp",
    *LIP_CORRECTIVES,
)


def lip_gap(face: BundledFace, identity: Tensor, expression: Tensor) -> Tensor:
    """Distance between the middles of the inner lips.

    Args:
        face: the bundled face.
        identity: [N, 80] or [1, 80].
        expression: [N, 64].

    Returns:
        [N] in model units of 100 mm, below 0 where the lips overlap.
    """
    return lip_gaps(face, identity, expression)[:, MIDDLE_PAIR]


def lip_gaps(face: BundledFace, identity: Tensor, expression: Tensor) -> Tensor:
    """Distances between the inner lips, pair by pair.

    Args:
        face: the bundled face.
        identity: [N, 80] or [1, 80].
        expression: [N, 64].

    Returns:
        [N, 9] for the pairs between the corners of the mouth, right to left, in model units of 100 mm; below 0 where
        the lips overlap.
    """
    model = face.model

    def heights(points: list[int]) -> Tensor:
        return (
            model.mean_shape[points, 1]
            + identity @ model.identity_basis[points, 1].T
            + expression @ model.expression_basis[points, 1].T
        )

    return heights(UPPER_EDGE) - heights(LOWER_EDGE)


def lips_together(face: BundledFace, identity: Tensor, expression: Tensor) -> Tensor:
    """Coefficients of `mouthClose` [N] that bring the middles of the lips together; 0 where they touch.

    Args:
        face: the bundled face.
        identity: [N, 80] or [1, 80].
        expression: [N, 64], to which they are to be added.
    """
    rises = face.model.expression_basis[:, 1, blendshape("mouthClose")]
    reach = rises[LOWER_EDGE[MIDDLE_PAIR]] - rises[UPPER_EDGE[MIDDLE_PAIR]]
    return lip_gap(face, identity, expression).clamp(min=0) / reach


def closed_mouth(face: BundledFace, identity: Tensor, expression: Tensor) -> Tensor:
    """The same expression with the lips together, by the least movement of the lips.

    Each pair of the lips comes within CONTACT_GAP, and none passes the other by more than MAX_OVERLAP. An open jaw may
    shut, up to the teeth, and does not open. Corners, cheeks, lids and brows stay, and so does a shut mouth as a whole.

    Args:
        face: the bundled face.
        identity: [1, 80].
        expression: [1, 64].

    Returns:
        [1, 64].
    """
    root, lever = _closing_cost(face)
    gaps = lip_gaps(face, identity, expression)[0].double().numpy()
    jaw = float(expression[0, CLOSING_BLENDSHAPES[0]])
    jaw_alone = np.eye(1, len(CLOSING_BLENDSHAPES))
    constraints = np.concatenate([-lever, lever, jaw_alone, -jaw_alone])
    overlap = (-gaps).clip(MAX_OVERLAP, MAX_PRIOR_OVERLAP)
    limits = np.concatenate([gaps - CONTACT_GAP, -overlap - gaps, [-max(jaw, 0.0), 0.0]])
    change = _least_change(root, constraints, limits)
    closed = expression.clone()
    closed[0, CLOSING_BLENDSHAPES] += torch.from_numpy(change).to(expression)
    return closed


def limit_lips(shape: Tensor, rest: Tensor, openness: Tensor) -> None:
    """Move lips so that they touch where they should and none passes the other, in place.

    Args:
        shape: [N, V, 3], changed.
        rest: [V, 3], the shape before it moved; lips that overlap there may stay so.
        openness: [N], share of the gaps that stays; at 0 the lips touch.
    """
    gaps = shape[:, UPPER_EDGE] - shape[:, LOWER_EDGE]
    target = gaps * openness[:, None, None]
    target[..., 1] = torch.maximum(target[..., 1], (rest[UPPER_EDGE, 1] - rest[LOWER_EDGE, 1]).clamp(max=0))
    # the red of the lips follows, from its outline inwards
    for share, above, below in zip(torch.linspace(0, 0.5, len(UPPER_LIP)), UPPER_LIP, LOWER_LIP, strict=True):
        push = share * (target - gaps)
        shape[:, above[1:-1]] += push
        shape[:, below[1:-1]] -= push


def _closing_cost(face: BundledFace) -> tuple[np.ndarray, np.ndarray]:
    """A root R of the cost |R·c|² of moving the closing blendshapes by c, and their effect on the gaps [9, C]."""
    basis = face.model.expression_basis[:, :, CLOSING_BLENDSHAPES].double().numpy()
    lips = sorted({*UPPER_LIP_POINTS, *LOWER_LIP_POINTS})
    moved = basis[lips].reshape(-1, len(CLOSING_BLENDSHAPES))
    cost = moved.T @ moved / len(lips) + STIFFNESS**2 * np.eye(len(CLOSING_BLENDSHAPES))
    cost[0] *= JAW_COST
    cost[:, 0] *= JAW_COST
    return np.linalg.cholesky(cost).T, basis[UPPER_EDGE, 1] - basis[LOWER_EDGE, 1]


def _least_change(root: np.ndarray, constraints: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The c of least |root·c| with constraints·c ≥ limits, by non-negative least squares (Lawson and Hanson 1974)."""
    from scipy.optimize import nnls

    if (limits <= 0).all():
        return np.zeros(root.shape[1])
    rows = np.linalg.solve(root.T, constraints.T).T
    system = np.concatenate([rows.T, limits[None]])
    aim = np.zeros(len(system))
    aim[-1] = 1
    residual = system @ nnls(system, aim)[0] - aim
    return np.linalg.solve(root, -residual[:-1] / residual[-1])
