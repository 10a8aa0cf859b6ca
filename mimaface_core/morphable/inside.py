"""Textures of what skin hides: eyeballs and the mouth's inside, taken from the photograph and completed by rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .procedural import EYE_RADIUS, EYE_SPAN


def _spread(colour: Tensor, known: Tensor, fallback: Tensor) -> Tensor:
    """Colours [3, T, T] carried from known places (weight [T, T]) to all others, the nearest first, else `fallback` [3]."""
    out, weight = colour * known, known.clone()
    levels = [(out[None], weight[None, None])]
    while levels[-1][0].shape[-1] > 1:
        c, w = levels[-1]
        levels.append((F.avg_pool2d(c, 2), F.avg_pool2d(w, 2)))
    filled = fallback[None, :, None, None]
    for c, w in reversed(levels):
        filled = F.interpolate(filled, size=c.shape[-2:], mode="bilinear", align_corners=False)
        share = (w * 4).clamp(max=1)
        filled = share * c / w.clamp(min=1e-6) + (1 - share) * filled
    return filled[0]


def eye_texture(shown: Tensor, known: Tensor, iris: float, light: float) -> Tensor:
    """Texture [4, T, T] of an eyeball seen from the front of the pupil (colour in ±1, share taken from the photograph).

    shown: photograph colours [3, T, T] in ±1 where the texture's places lie; known [T, T]: 0–1, where the eye is open;
    iris: its radius in eye widths; light: brightness of the skin, 0–1.
    """
    side = shown.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    rim = math.asin(min(0.95, max(0.15, min(0.26, iris)) / EYE_RADIUS)) / EYE_SPAN
    white = shown.new_tensor([0.86, 0.83, 0.81]) * min(1.0, 0.35 + light) * 2 - 1

    # the white: from what is seen beside the iris, never darker than the skin would make it
    sclera_known = known * (radius > rim * 1.12)
    bright = shown.mean(0) > (white.mean() - 0.9)
    sclera = _spread(shown, sclera_known * bright, white)
    sclera = 0.8 * sclera + 0.2 * white[:, None, None]
    # the iris: what is not seen takes the mean colour of its ring
    rings = (radius / rim * 10).long().clamp(max=10)
    iris_known = known * (radius <= rim)
    profile = torch.stack(
        [(shown * (iris_known * (rings == k))).sum((1, 2)) / (iris_known * (rings == k)).sum().clamp(min=1e-3) for k in range(11)], 1
    )
    amount = torch.stack([(iris_known * (rings == k)).sum() for k in range(11)])
    default = torch.stack([shown.new_tensor([-0.92, -0.93, -0.94]) if k < 4 else shown.new_tensor([-0.62, -0.72, -0.80]) for k in range(11)], 1)
    share = (amount / 6).clamp(max=1)
    profile = share * profile + (1 - share) * default
    disc = torch.where(iris_known > 0.5, shown, profile[:, rings])
    soft = ((rim * 1.04 - radius) / (rim * 0.14)).clamp(0, 1)
    made = disc * soft + sclera * (1 - soft)
    seen = known.clone()
    return torch.cat([shown * seen + made * (1 - seen), seen[None]])


def mouth_texture(shown: Tensor, known: Tensor, light: float) -> Tensor:
    """Texture [4, T, T] of the mouth's inside: rows of upper teeth, lower teeth, tongue and cavity (see procedural._mouth).

    shown, known, light: as in `eye_texture`.
    """
    side = shown.shape[-1]
    u = (torch.arange(side) + 0.5) / side
    v, u = torch.meshgrid(u, u, indexing="ij")
    band, row = (v * 4).long(), (v * 4) % 1
    across = (u * 2 - 1).abs()
    round_off = 1 - 0.55 * across**2

    # teeth: narrower towards the back, dark lines between them, gums at their roots
    arch = torch.asin((u * 2 - 1).clamp(-0.999, 0.999)) / (math.pi / 2) * 5.0
    gap = (arch % 1 - 0.5).abs()
    line = 1 - 0.28 * ((gap - 0.42) / 0.08).clamp(0, 1)
    tooth = torch.stack([0.80 * line, 0.77 * line, 0.70 * line]) * round_off
    gum = torch.stack([0.55 * round_off, 0.27 * round_off, 0.26 * round_off])
    gummy = ((0.42 - row) / 0.1).clamp(0, 1)
    teeth = gum * gummy + tooth * (1 - gummy)
    edge = 1 - 0.25 * ((row - 0.9) / 0.1).clamp(0, 1)
    teeth = teeth * edge
    tongue = shown.new_tensor([0.56, 0.29, 0.28])[:, None, None] * (0.55 + 0.45 * (1 - row)) * round_off
    cavity = shown.new_tensor([0.16, 0.05, 0.05])[:, None, None] * (0.6 + 0.4 * row) * round_off
    made = torch.where(band <= 1, teeth, torch.where(band == 2, tongue, cavity))
    made = made * min(1.1, 0.35 + 1.0 * light) * 2 - 1
    return torch.cat([shown * known + made * (1 - known), known[None]])
