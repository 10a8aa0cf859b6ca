"""Gaussian-process priors: identity and texture bases as the principal components of smooth random fields."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ANTISYMMETRIC_SHARE = 0.33  # size of asymmetries against that of symmetric components


def gaussian_process_basis(
    points: np.ndarray, mirror: np.ndarray, kernels: Sequence[tuple[float, float]], count: int, *, vectors: bool
) -> np.ndarray:
    """Strongest symmetric and antisymmetric components of a smooth random field on a mesh.

    Args:
        points: [V, 3].
        mirror: long [V], each vertex's partner on the other side.
        kernels: (length, amplitude) of squared-exponential kernels, which are summed; the amplitude is in the field's
            own unit.
        count: number K of components.
        vectors: the field holds vectors, whose x changes its sign in a mirror; otherwise colours.

    Returns:
        [V, 3, K], each component scaled to one standard deviation, the strongest first.
    """
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    kernel = sum(amplitude**2 * np.exp(-squared / (2 * length**2)) for length, amplitude in kernels)
    components = []
    for axis in range(3):
        sign = -1.0 if (axis == 0 and vectors) else 1.0
        for parity, share in ((1.0, 1.0), (-1.0, ANTISYMMETRIC_SHARE)):
            symmetric = (kernel + parity * sign * kernel[:, mirror]) / 2
            values, eigenvectors = np.linalg.eigh((symmetric + symmetric.T) / 2)
            pairs = sorted(zip(values, eigenvectors.T, strict=True), key=lambda pair: -pair[0])
            for value, eigenvector in pairs[:count]:
                field = np.zeros((len(points), 3))
                field[:, axis] = share * np.sqrt(max(value, 0)) * eigenvector
                components.append(field)
    components.sort(key=lambda field: -(field**2).sum())
    return np.stack(components[:count], -1)


def without_pose(basis: np.ndarray, points: np.ndarray) -> np.ndarray:
    """A basis [V, 3, K] on points [V, 3] without the part that turns, shifts or scales the whole mesh."""
    centred = points - points.mean(0)
    motions = []
    for axis in np.eye(3):
        motions += [np.broadcast_to(axis, points.shape), np.cross(axis, centred)]
    motions.append(centred)
    q, _ = np.linalg.qr(np.stack([motion.ravel() for motion in motions], 1))
    flat = basis.reshape(-1, basis.shape[-1])
    return (flat - q @ (q.T @ flat)).reshape(basis.shape)
