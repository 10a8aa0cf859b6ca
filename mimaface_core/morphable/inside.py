"""Textures of what skin hides: eyeballs and the mouth's inside, taken from the photograph and completed by rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from .procedural import EYE_RADIUS, EYE_SPAN

GRAIN = 0.05  # of ±1, the most that painted skin varies
PUPIL = 4  # of these rings, how many are the pupil
RINGS = 10  # rings of the iris whose mean colour stands in for what is hidden


def edge_distance(points: Tensor, line: Tensor) -> Tensor:
    """Distance [H, W] of points [H, W, 2] from a line of corners [P, 2]."""
    start, edge = line[:-1], line[1:] - line[:-1]
    away = points[:, :, None] - start
    t = ((away * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-6)).clamp(0, 1)
    return (away - t[..., None] * edge).norm(dim=-1).min(-1).values


def inside_polygon(points: Tensor, polygon: Tensor, margin: float) -> Tensor:
    """How far points [H, W, 2] lie inside a polygon [P, 2]: 0 outside, 1 from `margin` + 1 pixels inwards."""
    a, b, p = polygon, polygon.roll(-1, 0), points[:, :, None]
    beside = (a[:, 1] > p[..., 1]) != (b[:, 1] > p[..., 1])
    crosses = beside & (p[..., 0] < (b[:, 0] - a[:, 0]) * (p[..., 1] - a[:, 1]) / (b[:, 1] - a[:, 1] + 1e-9) + a[:, 0])
    distance = edge_distance(points, torch.cat([polygon, polygon[:1]]))
    return (distance - margin).clamp(0, 1) * (crosses.sum(-1) % 2)


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
    # rings that are hidden altogether: as what is seen of the iris, dark where nothing is
    dark = shown.new_tensor([-0.80, -0.85, -0.88])
    share = (amount.sum() / 20).clamp(max=1)
    usual = share * (shown * known).sum((1, 2)) / known.sum().clamp(min=1e-3) + (1 - share) * dark
    usual = usual[:, None].repeat(1, RINGS + 1)
    usual[:, :PUPIL] = torch.minimum(usual[:, :PUPIL], shown.new_tensor(-0.9))
    share = (amount / 6).clamp(max=1)
    profile = share * profile + (1 - share) * usual
    colour = shown * known + profile[:, ring] * (1 - known)
    opacity = ((rim * 1.06 - radius) / (rim * 0.16)).clamp(0, 1)
    return torch.cat([colour, known[None], opacity[None]])


def without_iris(view: Tensor, opening: Tensor, iris: Tensor) -> Tensor:
    """The photograph round an eye [3, h, w] (±1) with the white of the eye where the iris is.

    opening, iris: [h, w] in 0–1, how far a pixel lies inside the lids and inside the iris.
    """
    beside, around = opening * (iris <= 0), opening <= 0
    # the white is what is pale and least coloured beside the iris: not lashes, lid rims or their shadow
    pale = view.mean(0) - 1.5 * (view.amax(0) - view.amin(0))
    if (beside > 0.5).sum() > 12:
        beside = beside * (pale >= pale[beside > 0.5].quantile(0.7))
    skin = (view[:, around].median(1).values + 1) / 2
    white = (0.3 * skin + 0.7 * skin.mean()) * 1.1
    if beside.sum() > 4:
        seen = ((view * beside).sum((1, 2)) / beside.sum() + 1) / 2
        # hardly seen, it is at least as bright as the skin and less coloured
        seen = (0.5 * seen + 0.5 * seen.mean()) * (1.05 * skin.mean() / seen.mean().clamp(min=0.02)).clamp(min=1.0, max=1.6)
        white = 0.7 * seen + 0.3 * white
    white = white.clamp(max=0.97) * 2 - 1
    share = iris * (opening > 0)
    fill = 0.4 * _spread(view, beside, white) + 0.6 * white[:, None, None]
    return view * (1 - share) + fill * share


def shut(view: Tensor, opening: Tensor, fold: Tensor, margin: int, line: Tensor) -> Tensor:
    """The photograph round an opening [3, h, w] (±1) as if it were shut: skin over it and a dark line where it closes.

    opening, fold: [h, w] in 0–1, the opening of lids or lips, and the skin beside it whose fold is smoothed when it
    shuts; line: [h, w] or [3, h, w], the edge that meets the other; margin: pixels round the opening that still show what lies inside.
    Returns [4, h, w]: colour, and where it differs, 0–1.
    """

    def grown(area: Tensor, by: int) -> Tensor:
        return F.max_pool2d(area[None, None], 2 * by + 1, stride=1, padding=by)[0, 0]

    area = torch.maximum(opening, fold)
    cover = grown(area, margin)
    ring = grown(area, 3 * margin) - cover
    level = (view.mean(0) * ring).sum() / ring.sum().clamp(min=1)
    spread = ((view.mean(0) - level).square() * ring).sum().div(ring.sum().clamp(min=1)).sqrt()
    skin = ring * (view.mean(0) > level - 0.5 * spread)  # neither lashes nor creases
    colour = (view * skin).sum((1, 2)) / skin.sum().clamp(min=1)
    fill = _spread(view, skin, colour)
    # a little of the skin's own grain, so that it does not look like wax
    grain = view - F.avg_pool2d(F.pad(view[None], (2,) * 4, mode="replicate"), 5, stride=1)[0]
    fill = fill + grain.mean(0).clamp(-GRAIN, GRAIN) * (1 - opening)
    fill = (fill + 1) * (1 - 0.55 * line) - 1
    soft = F.avg_pool2d(F.pad(cover[None, None], (2,) * 4, mode="replicate"), 5, stride=1)[0]
    return torch.cat([fill, soft])


def mouth_texture(shown: Tensor, known: Tensor, skin: Tensor) -> Tensor:
    """Texture [4, T, T] of the mouth's inside: rows of upper teeth, lower teeth, tongue and cavity (see procedural._mouth).

    shown, known: as in `iris_texture`. skin: the face's mean colour [3] in 0–1, which tells the light it stands in.
    """
    # its brightness, and a quarter of its warmth: skin is not white
    light = (1.25 * skin.mean()).clamp(0.35, 1.0) * (0.75 + 0.25 * skin / skin.mean().clamp(min=0.02))
    side = shown.shape[-1]
    u = (torch.arange(side) + 0.5) / side
    v, u = torch.meshgrid(u, u, indexing="ij")
    band, row = (v * 4).long(), (v * 4) % 1
    across = (u * 2 - 1).abs()
    round_off = 1 - 0.55 * across**2

    # teeth: narrower towards the back, dark lines between them, gums at their roots
    arch = torch.asin((u * 2 - 1).clamp(-0.999, 0.999)) / (math.pi / 2) * 5.0
    gap = (arch % 1 - 0.5).abs()
    line = 1 - 0.12 * ((gap - 0.42) / 0.08).clamp(0, 1)
    tooth = torch.stack([0.96 * line, 0.91 * line, 0.82 * line]) * round_off
    gum = torch.stack([0.55 * round_off, 0.27 * round_off, 0.26 * round_off])
    gummy = ((0.42 - row) / 0.1).clamp(0, 1)
    teeth = gum * gummy + tooth * (1 - gummy)
    edge = 1 - 0.25 * ((row - 0.9) / 0.1).clamp(0, 1)
    teeth = teeth * edge
    tongue = shown.new_tensor([0.56, 0.29, 0.28])[:, None, None] * (0.55 + 0.45 * (1 - row)) * round_off
    cavity = shown.new_tensor([0.27, 0.11, 0.10])[:, None, None] * (0.6 + 0.4 * row) * round_off
    made = torch.where(band <= 1, teeth, torch.where(band == 2, tongue, cavity))
    made = (made * light[:, None, None]).clamp(max=0.98) * 2 - 1
    return torch.cat([shown * known + made * (1 - known), known[None]])
