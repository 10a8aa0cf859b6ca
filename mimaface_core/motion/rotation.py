"""Head rotations: D3DFR's three angles and the matrices for row vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def rotation_of(angles: Tensor) -> Tensor:
    """Rotation matrices R = (Rz·Ry·Rx)ᵀ, for row vectors (v·R).

    Args:
        angles: [N, 3], x, y, z in radians: positive lowers the chin, turns the head to the right of the image, and
            tilts it counter-clockwise as seen in the image.

    Returns:
        [N, 3, 3].
    """
    cx, cy, cz = angles.cos().unbind(-1)
    sx, sy, sz = angles.sin().unbind(-1)
    rows = [
        torch.stack([cz * cy, sz * cy, -sy], -1),
        torch.stack([cz * sy * sx - sz * cx, sz * sy * sx + cz * cx, cy * sx], -1),
        torch.stack([cz * sy * cx + sz * sx, sz * sy * cx - cz * sx, cy * cx], -1),
    ]
    return torch.stack(rows, -2)


def angles_of(rotation: Tensor) -> Tensor:
    """Angles [N, 3] in radians whose `rotation_of` is `rotation` [N, 3, 3] (y within ±90°)."""
    y = torch.asin((-rotation[:, 0, 2]).clamp(-1, 1))
    z = torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0])
    x = torch.atan2(rotation[:, 1, 2], rotation[:, 2, 2])
    return torch.stack([x, y, z], 1)
