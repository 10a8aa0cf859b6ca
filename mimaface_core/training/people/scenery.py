"""What stands still in a synthetic picture: the background and the clothes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from .noise import blur, cloud, curve, lookup, soft


def _colour(rng: np.random.Generator, dull: float = 0.5) -> Tensor:
    grey = rng.uniform(0.02, 0.98)
    return torch.tensor(grey + (1 - dull) * (rng.uniform(0, 1, 3) - grey)).float().clamp(0, 1)[:, None, None]


def background(rng: np.random.Generator, size: int) -> Tensor:
    """Wall, scenery or shapes [3, size, size] in 0–1, gamma-coded, with clothes at the bottom."""
    axis = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = rng.uniform(0, 2 * math.pi)
    ramp = (x * math.cos(angle) + y * math.sin(angle) + 1) / 2
    first = _colour(rng)
    picture = first + ramp * (_colour(rng) - first) * rng.uniform(0, 1)
    kind = rng.choice(["plain", "clouds", "shapes", "stripes", "busy"], p=[0.25, 0.2, 0.3, 0.1, 0.15])
    if kind in ("clouds", "busy"):
        cells, power = int(rng.integers(2, 10)), rng.uniform(0.03, 0.22)
        picture = (
            picture
            + power * cloud(rng, size, cells, 5, 0.6)
            + power * rng.uniform(0, 0.6) * cloud(rng, size, cells, 4, 0.6, 3)
        )
    if kind in ("shapes", "busy"):
        for _ in range(rng.integers(2, 14)):
            turn, cx, cy = rng.uniform(0, math.pi), *rng.uniform(-1, 1, 2)
            u, v = (
                (x - cx) * math.cos(turn) + (y - cy) * math.sin(turn),
                (y - cy) * math.cos(turn) - (x - cx) * math.sin(turn),
            )
            w, h = rng.uniform(0.05, 0.7, 2)
            inside = 1 - (
                torch.maximum((u / w).abs(), (v / h).abs())
                if rng.random() < 0.6
                else ((u / w) ** 2 + (v / h) ** 2).sqrt()
            )
            picture = picture + soft(inside, 0.02) * rng.uniform(0.3, 1) * (_colour(rng, 0.3) - picture)
    if kind == "stripes":
        wave = torch.sin((x * math.cos(angle) + y * math.sin(angle)) * rng.uniform(8, 60) + curve(rng, y * 2, 2))
        picture = picture + soft(wave, 0.3) * rng.uniform(0.1, 0.7) * (_colour(rng) - picture)
    if rng.random() < 0.5 and kind != "plain":
        picture = blur(picture[None], float(rng.uniform(1, 9)))[0]
    picture = picture * (1 + rng.uniform(0, 0.04) * cloud(rng, size, 60, 3, 0.8)) * rng.uniform(0.5, 1.05)
    return _clothed(rng, picture, x, y).clamp(0, 1)


def _clothed(rng: np.random.Generator, picture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Shoulders in front of the background; y grows downwards, the chin is near 0.55."""
    wide, high = rng.uniform(0.75, 1.2), rng.uniform(0.66, 0.86)
    middle = rng.normal(0, 0.05)
    u = ((x - middle) / wide).abs()
    shoulder = high + 0.3 * u**2.5 + 0.02 * curve(rng, x * 2, 4) - 0.18 * torch.exp(-((u / 0.4) ** 2))
    body = soft(y - shoulder, 0.015)
    cloth = _colour(rng, 0.4).expand_as(picture) * rng.uniform(0.3, 1.0)
    folds = lookup(rng, x + 0.3 * y + 0.1 * cloud(rng, x.shape[-1], 3, 3)[0], y, 5, 2, 2)
    cloth = cloth * (1 + 0.2 * folds + 0.05 * cloud(rng, x.shape[-1], 90, 2, 0.9)[0])
    if rng.random() < 0.35:
        wave = torch.sin((x + rng.normal(0, 0.4) * y) * rng.uniform(20, 90)) * (
            torch.sin(y * rng.uniform(20, 80)) if rng.random() < 0.5 else 1
        )
        cloth = cloth + soft(wave, 0.4) * 0.6 * (_colour(rng, 0.2) - cloth)
    light = 0.85 + 0.25 * (1 - u.clamp(max=1.3))
    shade = 1 - 0.45 * torch.exp(-((u / 0.45) ** 2)) * soft(high + 0.06 - y, 0.2)
    return picture + body * (cloth * light * shade - picture)
