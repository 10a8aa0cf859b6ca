"""Canvas of skin and hair: a plane over the mean face, seen from the front."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS, LIP_MIDDLES, OVAL
from ...morphable.bundled.geometry import OUTLINE_CENTRE

CANVAS_HALF_SIDE = 1.7  # model units
CANVAS_PIXELS = 608  # along a side
COLOUR_RANGE = (0.015, 0.97)  # no painted colour is quite black or white


@dataclass(frozen=True)
class Canvas:
    """Coordinates of the painted plane; maps are [S, S] with S = CANVAS_PIXELS.

    Attributes:
        x: map in model units, growing to the image's right.
        y: map in model units, growing upwards.
        angle: map of the direction from the face's centre, rad, 0 at the top and growing to the image's right.
        ratio: map of the distance from the face's centre as a multiple of the outline's distance in that direction.
        mesh: points [468, 2] of the mean face, in model units.
    """

    x: Tensor
    y: Tensor
    angle: Tensor
    ratio: Tensor
    mesh: np.ndarray

    @property
    def lips(self) -> float:
        """Height of the closed lips, model units."""
        return float(self.mesh[LIP_MIDDLES, 1].mean())

    def mesh_pixels(self, index: list[int]) -> np.ndarray:
        """Canvas pixels [P, 2] of mesh points."""
        return to_pixels(self.mesh[index])


def to_pixels(points: np.ndarray) -> np.ndarray:
    """Canvas pixels [..., 2], y down, of positions in model units, y up."""
    return (points * [1, -1] / CANVAS_HALF_SIDE + 1) / 2 * CANVAS_PIXELS


@lru_cache(maxsize=1)
def canvas() -> Canvas:
    """The canvas over the mean face, which all people share."""
    mesh = bundled_face().model.mean_shape[:FACE_POINTS, :2].double().numpy()
    axis = ((torch.arange(CANVAS_PIXELS) + 0.5) / CANVAS_PIXELS * 2 - 1) * CANVAS_HALF_SIDE
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    outline = mesh[OVAL] - OUTLINE_CENTRE
    outline_angle = np.arctan2(outline[:, 0], outline[:, 1])
    outline_radius = np.linalg.norm(outline, axis=1)
    order = np.argsort(outline_angle)
    dx, dy = (x - OUTLINE_CENTRE[0]).numpy(), (y - OUTLINE_CENTRE[1]).numpy()
    angle = np.arctan2(dx, dy)
    radius = np.interp(angle, outline_angle[order], outline_radius[order], period=2 * np.pi)
    ratio = np.hypot(dx, dy) / radius
    return Canvas(x, y, torch.from_numpy(angle).float(), torch.from_numpy(ratio).float(), mesh)


def random_colour(rng: np.random.Generator, palette: np.ndarray, jitter: float = 0.02) -> np.ndarray:
    """Random colour between two neighbours of a palette.

    Args:
        rng: source of randomness.
        palette: colours [P, 3] in 0–1, in an order in which neighbours can be mixed.
        jitter: standard deviation of each channel.

    Returns:
        Colour [3] within COLOUR_RANGE.
    """
    place = rng.uniform(0, len(palette) - 1)
    low = int(place)
    colour = palette[low] + (place - low) * (palette[min(low + 1, len(palette) - 1)] - palette[low])
    return (colour + rng.normal(0, jitter, 3)).clip(*COLOUR_RANGE)


def colour_tensor(colour: np.ndarray) -> Tensor:
    """Colour [3] as a float tensor [3, 1, 1], to combine with images."""
    return torch.tensor(colour).float()[:, None, None]


def tint(image: Tensor, colour: np.ndarray, amount: Tensor) -> Tensor:
    """Image [3, H, W] mixed with a colour [3] by `amount` [H, W] (0–1)."""
    return image + amount * (colour_tensor(colour) - image)
