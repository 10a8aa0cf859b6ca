"""The mouth at rest: how far the lips stand apart, and the least change of a face that lets them lie together."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .blendshapes import NAMES
from .face import ProceduralFace
from .face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LOWER_LIP, UPPER_LIP

PAIRS = INNER_UPPER_LIP[1:-1], INNER_LOWER_LIP[1:-1]  # between the corners, right to left
CENTRAL = len(PAIRS[0]) // 2
SHUT = 0.02  # model units: lips that a photograph shows less far apart count as shut
TOUCH = 0.001  # model units: lips this near lie together
OVERLAP = 0.005, 0.015  # how far lips may come to pass each other, and how far those may that do already
CLOSING = ["jaw_open"] + [
    f"{lip}_lip{part}"
    for lip in ("upper", "lower")
    for part in ("_mid", "_right", "_left", "_quarter_right", "_quarter_left", "_roll", "_thick_right", "_thick_left")
]  # the modes that shut a mouth
JAW_COST = 0.3  # of what its movement of the lips would cost: the jaw shuts before the lips stretch
STIFFNESS = 0.02  # model units a unit: what a coefficient costs beside the movement that it makes


def lip_gap(face: ProceduralFace, identity: Tensor, expression: Tensor) -> Tensor:
    """How far the middles of the inner lips stand apart in N frames: [N], in units of 100 mm, below 0 where they overlap.

    identity: [N, 80] or [1, 80]; expression: [N, 64].
    """
    return lip_gaps(face, identity, expression)[:, CENTRAL]


def lip_gaps(face: ProceduralFace, identity: Tensor, expression: Tensor) -> Tensor:
    """The same at each pair of the inner lips between the corners of the mouth: [N, 9], right to left."""
    model = face.model

    def heights(ids: list[int]) -> Tensor:
        return (
            model.mean_shape[ids, 1]
            + identity @ model.identity_basis[ids, 1].T
            + expression @ model.expression_basis[ids, 1].T
        )

    return heights(PAIRS[0]) - heights(PAIRS[1])


def closed_mouth(face: ProceduralFace, identity: Tensor, expression: Tensor) -> Tensor:
    """The same face with its lips lying together: expression [1, 64] of a face's identity [1, 80] and expression [1, 64].

    The least movement of the lips that brings each pair of them within TOUCH and lets none pass by more than OVERLAP (a
    tracker sees lips that are shut so). An open jaw may shut, up to the teeth, and does not open. Corners, cheeks, lids and
    brows stay, and a shut mouth as a whole.
    """
    modes = [NAMES.index(name) for name in CLOSING]
    root, lever = _lips(face)
    gaps = lip_gaps(face, identity, expression)[0].double().numpy()
    jaw = float(expression[0, modes[0]])
    along = np.eye(1, len(modes))
    within = np.concatenate([-lever, lever, along, -along])
    passed = (-gaps).clip(*OVERLAP)
    limits = np.concatenate([gaps - TOUCH, -passed - gaps, [-max(jaw, 0.0), 0.0]])
    change = _least_change(root, within, limits)
    closed = expression.clone()
    closed[0, modes] += torch.from_numpy(change).to(expression)
    return closed


def meet(shape: Tensor, rest: Tensor, apart: Tensor) -> None:
    """Bring the lips of shapes [N, V, 3] to touch, in place, where `apart` [N] is 0, and let none pass another.

    rest: [V, 3], the shape before it moved; lips that overlap there may stay so. apart: share of the gaps that stays.
    """
    upper, lower = PAIRS
    gaps = shape[:, upper] - shape[:, lower]
    wanted = gaps * apart[:, None, None]
    wanted[..., 1] = torch.maximum(wanted[..., 1], (rest[upper, 1] - rest[lower, 1]).clamp(max=0))
    # the red of the lips follows, from its outline inwards
    for share, above, below in zip(torch.linspace(0, 0.5, len(UPPER_LIP)), UPPER_LIP, LOWER_LIP, strict=True):
        push = share * (wanted - gaps)
        shape[:, above[1:-1]] += push
        shape[:, below[1:-1]] -= push


def _lips(face: ProceduralFace) -> tuple[np.ndarray, np.ndarray]:
    """A root R of the cost |R·c|² of moving the closing modes by c, and how they change the gaps [9, modes]."""
    modes = [NAMES.index(name) for name in CLOSING]
    basis = face.model.expression_basis[:, :, modes].double().numpy()
    lips = sorted({i for ring in UPPER_LIP + LOWER_LIP for i in ring})
    moved = basis[lips].reshape(-1, len(modes))
    moved[:, 0] *= JAW_COST
    cost = moved.T @ moved / len(lips) + STIFFNESS**2 * np.eye(len(modes))
    return np.linalg.cholesky(cost).T, basis[PAIRS[0], 1] - basis[PAIRS[1], 1]


def _least_change(root: np.ndarray, within: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The c with the least |root·c| for which within·c ≥ limits, by non-negative least squares (Lawson and Hanson 1974)."""
    from scipy.optimize import nnls

    if (limits <= 0).all():
        return np.zeros(root.shape[1])
    rows = np.linalg.solve(root.T, within.T).T
    system = np.concatenate([rows.T, limits[None]])
    aim = np.zeros(len(system))
    aim[-1] = 1
    left = system @ nnls(system, aim)[0] - aim
    return np.linalg.solve(root, -left[:-1] / left[-1])
