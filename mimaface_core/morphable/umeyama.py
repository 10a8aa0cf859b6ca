"""Least-squares alignment of point sets: scale, rotation and translation after Umeyama (1991)."""

from __future__ import annotations

import torch
from torch import Tensor


def umeyama(points: Tensor, target: Tensor, weight: Tensor, *, scaled: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Similarities that carry points nearest to their targets: scale · points @ rotation + translation ≈ target.

    Never a mirror image. Umeyama, "Least-squares estimation of transformation parameters between two point patterns",
    1991.

    Args:
        points: [N, V, D].
        target: [N, V, D].
        weight: [V] or [N, V], of the points; their sum does not matter.
        scaled: estimate the scale too; otherwise it is 1.

    Returns:
        Scale [N], rotation [N, D, D] for row vectors, and translation [N, D].
    """
    w = (weight / weight.sum(-1, keepdim=True)).expand(len(points), -1)[..., None]
    a, b = (points * w).sum(1, keepdim=True), (target * w).sum(1, keepdim=True)
    p, q = points - a, target - b
    u, s, vt = torch.linalg.svd((p * w).transpose(1, 2) @ q)
    sign = torch.ones_like(s)
    sign[:, -1] = torch.sign(torch.linalg.det(u @ vt))
    rotation = u @ (sign[:, :, None] * vt)
    scale = (s * sign).sum(1) / (p * p * w).sum((1, 2)) if scaled else s.new_ones(len(s))
    return scale, rotation, (b - scale[:, None, None] * a @ rotation)[:, 0]
