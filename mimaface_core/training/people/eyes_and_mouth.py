"""Paint the eyeballs and the inside of the mouth of a synthetic person, and make natural colours strange."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.geometry import EYE_RADIUS, EYE_SPAN
from ...morphable.bundled.mouth_texture import MOUTH_LAYERS, paint
from .canvas import pick, tint
from .noise import cloud, lookup, soft

PART_SIDE = 160  # texture of an eye or the mouth
IRISES = (
    np.array(
        [[62, 38, 22], [88, 56, 30], [116, 84, 44], [104, 112, 70], [96, 130, 150], [70, 100, 132], [128, 136, 138]]
    )
    / 255
)


def paint_eyes(rng: np.random.Generator) -> Tensor:
    """Eyeball texture [3, P, P], the pupil in the middle, gamma-coded."""
    axis = (torch.arange(PART_SIDE) + 0.5) / PART_SIDE * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    r, a = (x * x + y * y).sqrt(), torch.atan2(y, x)
    rim = math.asin(rng.uniform(0.165, 0.225) / EYE_RADIUS) / EYE_SPAN
    white = torch.tensor(rng.uniform([0.70, 0.64, 0.60], [0.90, 0.87, 0.85])).float()[:, None, None]
    eye = white * (1 + 0.04 * cloud(rng, PART_SIDE, 4, 3))
    veins = soft(lookup(rng, a, r, 14, 4, 2) - 1.5, 0.8) * soft(r - rim * 1.3, 0.3)
    eye = tint(eye, np.array([0.75, 0.3, 0.25]), rng.uniform(0, 0.5) * veins)
    colour = pick(rng, IRISES, 0.02) * rng.uniform(0.7, 1.3)
    streaks = 1 + 0.28 * lookup(rng, a, r, 18, 6) + 0.15 * cloud(rng, PART_SIDE, 20, 2)[0]
    ring = 1 - 0.6 * soft(r / rim - 0.86, 0.2)
    iris = torch.tensor(colour).float()[:, None, None] * streaks * ring
    inner = soft(rng.uniform(0.4, 0.7) - r / rim, 0.3) * rng.uniform(0, 0.5)
    iris = tint(iris, np.array([0.5, 0.33, 0.15]), inner)
    eye = eye + soft(rim - r, rim * 0.12) * (iris - eye)
    return (eye * (1 - 0.96 * soft(rim * rng.uniform(0.3, 0.58) - r, rim * 0.08))).clamp(0, 1)


def paint_mouth(rng: np.random.Generator) -> Tensor:
    """Texture of the mouth's inside [3, P, P] (rows: see procedural._mouth), gamma-coded.

    Teeth and tongue stand as the product paints them, so that what it cannot know are their colours, wear and light.
    """
    axis = (torch.arange(PART_SIDE) + 0.5) / PART_SIDE * 2 - 1
    dark = torch.tensor(rng.uniform([0.08, 0.02, 0.02], [0.22, 0.1, 0.1])).float()[:, None, None]
    layers = []
    for name in MOUTH_LAYERS:
        colour, opacity = paint(name, torch.ones(3), PART_SIDE).split([3, 1])
        colour = (colour + 1) / 2
        if "teeth" in name:
            enamel = torch.tensor(rng.uniform([0.78, 0.72, 0.60], [1.06, 1.04, 1.02])).float()
            wear = lookup(
                rng, axis.expand(len(colour[0]), -1), axis[: len(colour[0]), None].expand(-1, PART_SIDE), 12, 1, 2
            )
            colour = colour * enamel[:, None, None] * (1 + rng.uniform(0, 0.06) * wear)
        else:
            tone = torch.tensor(rng.uniform([0.75, 0.7, 0.7], [1.15, 1.2, 1.2])).float()
            colour = colour * tone[:, None, None] * (1 + 0.08 * cloud(rng, PART_SIDE, 20, 3)[:, : len(colour[0])])
        layers.append(dark + opacity * (colour - dark))
    return (torch.cat(layers, 1) * rng.uniform(0.75, 1.05)).clamp(0, 1)


def make_strange(rng: np.random.Generator, skin: Tensor) -> Tensor:
    """Turn natural colours [3, S, S] into a painting's or a strange photograph's."""
    side = skin.shape[-1]
    if rng.random() < 0.6:  # brush marks: patches take their colour from one place
        cells = int(rng.integers(40, 140))
        jump = F.interpolate(
            torch.from_numpy(rng.uniform(-1, 1, (1, 2, cells, cells)).astype(np.float32)), (side, side), mode="nearest"
        )[0]
        axis = (torch.arange(side) + 0.5) / side * 2 - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        place = torch.stack([x, y], -1) + (rng.uniform(0.3, 1.0) * jump / cells).permute(1, 2, 0)
        skin = F.grid_sample(skin[None], place[None], mode="bilinear", padding_mode="border", align_corners=False)[0]
    if rng.random() < 0.7:
        strokes = lookup(rng, *_turned(rng, side), float(rng.uniform(60, 160)), 6)
        skin = skin * (1 + rng.uniform(0.02, 0.09) * strokes)
    skin = skin + rng.uniform(0.0, 0.1) * cloud(rng, side, int(rng.integers(3, 30)), 3, 0.7, 3)
    if rng.random() < 0.3:
        mix = torch.from_numpy(np.eye(3) + rng.normal(0, 0.2, (3, 3))).float()
        skin = torch.einsum("ij,jhw->ihw", mix, skin)
    if rng.random() < 0.2:
        steps = rng.integers(4, 9)
        skin = skin + 0.7 * ((skin * steps).round() / steps - skin)
    return skin.clamp(0, 1)


def _turned(rng: np.random.Generator, side: int) -> tuple[Tensor, Tensor]:
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle = rng.uniform(0, math.pi)
    bent = 0.1 * cloud(rng, side, 4, 2)[0]
    return x * math.cos(angle) + y * math.sin(angle) + bent, y * math.cos(angle) - x * math.sin(angle)
