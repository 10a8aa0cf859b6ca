"""Domain randomisation of colours: brush marks, strokes, mixed channels, posterisation."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .noise import fractal_noise, strand_noise


def randomise_colours(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Make natural colours look like a painting or an unusual photograph.

    Args:
        rng: source of randomness.
        image: gamma-coded image [3, S, S] in 0–1.

    Returns:
        Image of the same shape in 0–1.
    """
    size = image.shape[-1]
    if rng.random() < 0.6:
        image = _add_brush_marks(rng, image)
    if rng.random() < 0.7:
        strokes = strand_noise(rng, *_turned_axes(rng, size), float(rng.uniform(60, 160)), 6)
        image = image * (1 + rng.uniform(0.02, 0.09) * strokes)
    image = image + rng.uniform(0.0, 0.1) * fractal_noise(rng, size, int(rng.integers(3, 30)), 3, 0.7, 3)
    if rng.random() < 0.3:
        mixing = torch.from_numpy(np.eye(3) + rng.normal(0, 0.2, (3, 3))).float()
        image = torch.einsum("ij,jhw->ihw", mixing, image)
    if rng.random() < 0.2:
        levels = int(rng.integers(4, 9))
        image = image + 0.7 * ((image * levels).round() / levels - image)
    return image.clamp(0, 1)


def _add_brush_marks(rng: np.random.Generator, image: Tensor) -> Tensor:
    """Sample the image at places that jump from patch to patch."""
    size = image.shape[-1]
    patches = int(rng.integers(40, 140))
    offsets = torch.from_numpy(rng.uniform(-1, 1, (1, 2, patches, patches)).astype(np.float32))
    offsets = F.interpolate(offsets, (size, size), mode="nearest")[0]
    axis = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    place = torch.stack([x, y], -1) + (rng.uniform(0.3, 1.0) * offsets / patches).permute(1, 2, 0)
    return F.grid_sample(image[None], place[None], mode="bilinear", padding_mode="border", align_corners=False)[0]


def _turned_axes(rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Coordinates [S, S] across and along strokes of a random direction, slightly bent."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = rng.uniform(0, math.pi)
    bend = 0.1 * fractal_noise(rng, size, 4, 2)[0]
    return x * math.cos(angle) + y * math.sin(angle) + bend, y * math.cos(angle) - x * math.sin(angle)
