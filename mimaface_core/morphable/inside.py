"""Textures of what skin hides: eyeballs and the mouth's inside, taken from the photograph and completed by rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .procedural import EYE_RADIUS, EYE_SPAN

RINGS = 10  # rings of the iris whose mean colour stands in for what is hidden


def _spread(colour: Tensor, known: Tensor, fallback: Tensor) -> Tensor:
    """Colours [3, T, T] carried from known places (weight [T, T]) to all others, the nearest first, else `fallback` [3]."""
    out, weight = colour * known, known.clone()
    levels = [(out[None], weight[None, None])]
    while max(levels[-1][0].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1]))
    filled = fallback[None, :, None, None]
    for c, w in reversed(levels):
        filled = F.interpolate(filled, size=c.shape[-2:], mode="bilinear", align_corners=False)
        share = (w * 16).clamp(max=1)
        filled = share * c / w.clamp(min=1e-6) + (1 - share) * filled
    return filled[0]


def iris_texture(shown: Tensor, known: Tensor, iris: float) -> Tensor:
    """Texture [5, T, T] of an iris seen from the front of the pupil: colour in ±1, share taken from the photograph, opacity.

    shown: photograph colours [3, T, T] in ±1 where the texture's places lie; known [T, T]: 0–1, where the eye is open;
    iris: its radius in eye widths. What lids hide takes the mean colour of its ring.
    """
    side = shown.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    rim = math.asin(min(0.95, max(0.15, min(0.26, iris)) / EYE_RADIUS)) / EYE_SPAN
    ring = (radius / rim * RINGS).long().clamp(max=RINGS)
    known = known * (radius <= rim * 1.1)
    amount = torch.stack([(known * (ring == k)).sum() for k in range(RINGS + 1)])
    profile = torch.stack([(shown * (known * (ring == k))).sum((1, 2)) for k in range(RINGS + 1)], 1) / amount.clamp(min=1e-3)
    default = shown.new_tensor([[-0.92, -0.93, -0.94]] * 4 + [[-0.62, -0.72, -0.80]] * (RINGS - 3)).T
    share = (amount / 6).clamp(max=1)
    profile = share * profile + (1 - share) * default
    colour = shown * known + profile[:, ring] * (1 - known)
    opacity = ((rim * 1.06 - radius) / (rim * 0.16)).clamp(0, 1)
    return torch.cat([colour, known[None], opacity[None]])


def without_iris(crop: Tensor, opening: Tensor, iris: Tensor) -> Tensor:
    """The photograph [3, S, S] (±1) with the white of the eye where the iris is.

    opening, iris: [S, S] in 0–1, how far a pixel lies inside the lids and inside the iris.
    """
    rows, columns = (opening > 0).any(1).nonzero().flatten(), (opening > 0).any(0).nonzero().flatten()
    if not len(rows):
        return crop
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    view, seen, disc = crop[(slice(None), *box)], opening[box], iris[box]
    white = view.new_tensor([0.72, 0.66, 0.62]) * float(((view + 1) / 2).amax().clamp(min=0.25)) * 2 - 1
    beside = seen * (disc <= 0)
    level = (view.mean(0) * beside).sum() / beside.sum().clamp(min=1)
    beside = beside * (view.mean(0) > level - 0.15)  # lashes and the lid's shadow are not the white
    if beside.sum() > 12:
        white = (view * beside).sum((1, 2)) / beside.sum()
    fill = _spread(view, beside, white)
    share = (disc * (seen > 0)).clamp(0, 1)
    out = crop.clone()
    out[(slice(None), *box)] = view * (1 - share) + fill * share
    return out


def shut(crop: Tensor, opening: Tensor, margin: int, line: Tensor) -> tuple[Tensor, Tensor]:
    """The photograph [3, S, S] (±1) as it would be with this opening shut: skin over it and a dark line where it closes.

    opening, line: [S, S] in 0–1, the opening of lids or lips and the edge that meets the other when it shuts; margin:
    pixels round the opening that still show what lies inside. Returns the picture and where it differs [S, S], 0–1.
    """
    def grown(by: int) -> Tensor:
        return F.max_pool2d(opening[None, None], 2 * by + 1, stride=1, padding=by)[0, 0]

    rows, columns = (grown(3 * margin) > 0).any(1).nonzero().flatten(), (grown(3 * margin) > 0).any(0).nonzero().flatten()
    if not len(rows):
        return crop, torch.zeros_like(opening)
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    cover, view = grown(margin), crop[(slice(None), *box)]
    ring = ((grown(3 * margin) - cover) > 0)[box].float()
    level = (view.mean(0) * ring).sum() / ring.sum().clamp(min=1)
    spread = ((view.mean(0) - level).square() * ring).sum().div(ring.sum().clamp(min=1)).sqrt()
    skin = ring * (view.mean(0) > level - 0.5 * spread)  # neither lashes nor creases
    colour = (view * skin).sum((1, 2)) / skin.sum().clamp(min=1)
    fill = _spread(view, skin, colour)
    dark = (fill + 1) * 0.45 - 1
    fill = fill * (1 - line[box]) + dark * line[box]
    out = crop.clone()
    out[(slice(None), *box)] = fill
    soft = F.avg_pool2d(cover[None, None], 5, stride=1, padding=2)[0, 0]
    return out, soft


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
    line = 1 - 0.16 * ((gap - 0.42) / 0.08).clamp(0, 1)
    tooth = torch.stack([0.90 * line, 0.86 * line, 0.78 * line]) * round_off
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
