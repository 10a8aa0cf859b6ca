"""Paint the eyeballs and the inside of the mouth of a synthetic person, and make natural colours strange."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.procedural import EYE_RADIUS, EYE_SPAN
from .canvas import pick, tint
from .noise import cloud, curve, lookup, soft

PART_SIDE = 160  # texture of an eye or the mouth
IRISES = np.array([[62, 38, 22], [88, 56, 30], [116, 84, 44], [104, 112, 70], [96, 130, 150], [70, 100, 132], [128, 136, 138]]) / 255


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
    """Texture of the mouth's inside [3, P, P] (rows: see procedural._mouth), gamma-coded."""
    u = (torch.arange(PART_SIDE) + 0.5) / PART_SIDE
    v, u = torch.meshgrid(u, u, indexing="ij")
    row, x = (v * 4) % 1, u * 2 - 1
    round_off = 1 - rng.uniform(0.3, 0.75) * x**2
    enamel = torch.tensor(rng.uniform([0.74, 0.70, 0.60], [1.0, 0.97, 0.93])).float()[:, None, None]
    gum = torch.tensor(rng.uniform([0.5, 0.22, 0.22], [0.8, 0.5, 0.48])).float()[:, None, None]
    teeth = []
    for count, long in ((rng.uniform(3.6, 5.2), 0.3), (rng.uniform(4.5, 6.5), 0.45)):
        arch = torch.asin(x.clamp(-0.999, 0.999)) / (math.pi / 2) * count + 0.1 * curve(rng, x * 3, 2)
        gap = ((arch + (0 if rng.random() < 0.8 else 0.5)) % 1 - 0.5).abs()
        line = 1 - rng.uniform(0.1, 0.5) * ((gap - 0.42) / 0.08).clamp(0, 1)
        number = (arch.floor() + 40).long()
        each = torch.from_numpy(rng.normal(1, 0.035, 80)).float()[number.clamp(0, 79)]
        tooth = enamel * line * each * (1 - 0.15 * (1 - row))
        root = long + 0.05 * torch.cos(arch * 2 * math.pi) + rng.uniform(-0.15, 0.1)
        band = tooth + soft(root - row, 0.1) * (gum - tooth)
        edge = 0.9 + 0.07 * torch.from_numpy(rng.normal(0, 1, 80)).float()[number.clamp(0, 79)]
        dark = soft(row - edge, 0.06) * rng.uniform(0.3, 1.0)
        teeth.append(band * (1 - 0.8 * dark))
    tongue = torch.tensor(rng.uniform([0.5, 0.22, 0.22], [0.8, 0.45, 0.45])).float()[:, None, None]
    tongue = tongue * (0.5 + 0.5 * (1 - row)) * (1 + 0.1 * cloud(rng, PART_SIDE, 20, 3)) * (1 - 0.2 * torch.exp(-((x / 0.08) ** 2)))
    cavity = torch.tensor(rng.uniform([0.08, 0.02, 0.02], [0.25, 0.1, 0.1])).float()[:, None, None] * (0.6 + 0.4 * row)
    bands = [teeth[0], teeth[1], tongue, cavity]
    level = (v * 4).long().clamp(max=3)
    mouth = sum(torch.where(level == k, b, torch.zeros_like(b)) for k, b in enumerate(bands))
    return (mouth * round_off * rng.uniform(0.7, 1.0)).clamp(0, 1)


def make_strange(rng: np.random.Generator, skin: Tensor) -> Tensor:
    """Turn natural colours [3, S, S] into a painting's or a strange photograph's."""
    side = skin.shape[-1]
    if rng.random() < 0.6:  # brush marks: patches take their colour from one place
        cells = int(rng.integers(40, 140))
        jump = F.interpolate(torch.from_numpy(rng.uniform(-1, 1, (1, 2, cells, cells)).astype(np.float32)), (side, side), mode="nearest")[0]
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
