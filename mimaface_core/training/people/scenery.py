"""Background and clothes of a synthetic person."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .masks import gaussian_blur, soft_step
from .noise import fractal_noise, periodic_noise, strand_noise

KINDS = ("plain", "clouds", "shapes", "stripes", "busy")
KIND_PROBABILITIES = (0.25, 0.2, 0.3, 0.1, 0.15)
SHAPES = (2, 14)  # least number, one more than the greatest


def paint_background(rng: np.random.Generator, size: int) -> Tensor:
    """Wall, scenery or shapes behind clothed shoulders.

    Args:
        rng: source of randomness.
        size: side in pixels.

    Returns:
        Gamma-coded image [3, size, size] in 0–1.
    """
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = rng.uniform(0, 2 * math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    first = _random_colour(rng)
    image = first + (along + 1) / 2 * (_random_colour(rng) - first) * rng.uniform(0, 1)
    kind = rng.choice(KINDS, p=KIND_PROBABILITIES)
    if kind in ("clouds", "busy"):
        cells, strength = int(rng.integers(2, 10)), rng.uniform(0.03, 0.22)
        grey = strength * fractal_noise(rng, size, cells, 5, 0.6)
        image = image + grey + strength * rng.uniform(0, 0.6) * fractal_noise(rng, size, cells, 4, 0.6, 3)
    if kind in ("shapes", "busy"):
        for _ in range(rng.integers(*SHAPES)):
            image = _add_shape(rng, image, x, y)
    if kind == "stripes":
        wave = torch.sin(along * rng.uniform(8, 60) + periodic_noise(rng, y * 2, 2))
        image = image + soft_step(wave, 0.3) * rng.uniform(0.1, 0.7) * (_random_colour(rng) - image)
    if rng.random() < 0.5 and kind != "plain":
        image = gaussian_blur(image[None], float(rng.uniform(1, 9)))[0]
    image = image * (1 + rng.uniform(0, 0.04) * fractal_noise(rng, size, 60, 3, 0.8)) * rng.uniform(0.5, 1.05)
    return _add_clothes(rng, image, x, y).clamp(0, 1)


def _random_colour(rng: np.random.Generator, dullness: float = 0.5) -> Tensor:
    """Colour [3, 1, 1] in 0–1; dullness: share of grey in it."""
    grey = rng.uniform(0.02, 0.98)
    return torch.tensor(grey + (1 - dullness) * (rng.uniform(0, 1, 3) - grey)).float().clamp(0, 1)[:, None, None]


def _add_shape(rng: np.random.Generator, image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Add one turned rectangle or ellipse."""
    turn, centre_x, centre_y = rng.uniform(0, math.pi), *rng.uniform(-1, 1, 2)
    u = (x - centre_x) * math.cos(turn) + (y - centre_y) * math.sin(turn)
    v = (y - centre_y) * math.cos(turn) - (x - centre_x) * math.sin(turn)
    width, height = rng.uniform(0.05, 0.7, 2)
    if rng.random() < 0.6:
        inside = 1 - torch.maximum((u / width).abs(), (v / height).abs())
    else:
        inside = 1 - ((u / width) ** 2 + (v / height) ** 2).sqrt()
    return image + soft_step(inside, 0.02) * rng.uniform(0.3, 1) * (_random_colour(rng, 0.3) - image)


def _add_clothes(rng: np.random.Generator, image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Add shoulders in front of the background; y grows downwards, the chin is near 0.55."""
    half_width, height = rng.uniform(0.75, 1.2), rng.uniform(0.66, 0.86)
    middle = rng.normal(0, 0.05)
    aside = ((x - middle) / half_width).abs()
    neck = 0.18 * torch.exp(-((aside / 0.4) ** 2))
    shoulder = height + 0.3 * aside**2.5 + 0.02 * periodic_noise(rng, x * 2, 4) - neck
    body = soft_step(y - shoulder, 0.015)
    cloth = _random_colour(rng, 0.4).expand_as(image) * rng.uniform(0.3, 1.0)
    size = x.shape[-1]
    folds = strand_noise(rng, x + 0.3 * y + 0.1 * fractal_noise(rng, size, 3, 3)[0], y, 5, 2, 2)
    cloth = cloth * (1 + 0.2 * folds + 0.05 * fractal_noise(rng, size, 90, 2, 0.9)[0])
    if rng.random() < 0.35:
        pattern = torch.sin((x + rng.normal(0, 0.4) * y) * rng.uniform(20, 90))
        if rng.random() < 0.5:
            pattern = pattern * torch.sin(y * rng.uniform(20, 80))
        cloth = cloth + soft_step(pattern, 0.4) * 0.6 * (_random_colour(rng, 0.2) - cloth)
    light = 0.85 + 0.25 * (1 - aside.clamp(max=1.3))
    chin_shadow = 1 - 0.45 * torch.exp(-((aside / 0.45) ** 2)) * soft_step(height + 0.06 - y, 0.2)
    return image + body * (cloth * light * chin_shadow - image)
