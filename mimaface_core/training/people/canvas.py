"""The plane on which a synthetic person's skin and hair are painted: the mean face seen from the front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.face import procedural_face
from ...morphable.bundled.face_mesh import OVAL  # fmt: skip
from ...morphable.bundled.geometry import OUTLINE_CENTRE

REACH = 1.7  # half side of the painted plane in model units
SIDE = 608  # its pixels


@dataclass(frozen=True)
class Plane:
    """Coordinates on the painted plane [SIDE, SIDE]: x, y; angle and size against the face's outline; mesh [468, 2]."""

    x: Tensor
    y: Tensor
    angle: Tensor
    ratio: Tensor
    mesh: np.ndarray

    def pixels(self, index: list[int]) -> np.ndarray:
        """Texture pixels [P, 2] of mesh points."""
        return to_pixels(self.mesh[index])


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Texture pixels [..., 2] of plane positions (x right, y up)."""
    return (points * [1, -1] / REACH + 1) / 2 * SIDE


@lru_cache(maxsize=1)
def plane() -> Plane:
    mesh = procedural_face().model.mean_shape[:468, :2].double().numpy()
    axis = ((torch.arange(SIDE) + 0.5) / SIDE * 2 - 1) * REACH
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    outline = mesh[OVAL] - OUTLINE_CENTRE
    a, r = np.arctan2(outline[:, 0], outline[:, 1]), np.linalg.norm(outline, axis=1)
    order = np.argsort(a)
    dx, dy = (x - OUTLINE_CENTRE[0]).numpy(), (y - OUTLINE_CENTRE[1]).numpy()
    angle = np.arctan2(dx, dy)  # 0 at the top, growing to the picture's right
    size = np.interp(angle, a[order], r[order], period=2 * np.pi)
    ratio = np.hypot(dx, dy) / size
    return Plane(x, y, torch.from_numpy(angle).float(), torch.from_numpy(ratio).float(), mesh)


def pick(rng: np.random.Generator, palette: np.ndarray, jitter: float = 0.02) -> np.ndarray:
    """A colour between two neighbours of a palette, slightly off."""
    at = rng.uniform(0, len(palette) - 1)
    low = int(at)
    colour = palette[low] + (at - low) * (palette[min(low + 1, len(palette) - 1)] - palette[low])
    return (colour + rng.normal(0, jitter, 3)).clip(0.015, 0.97)


def tint(picture: Tensor, colour: np.ndarray, amount: Tensor) -> Tensor:
    return picture + amount * (torch.tensor(colour).float()[:, None, None] - picture)
