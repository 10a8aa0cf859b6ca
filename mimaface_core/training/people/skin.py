"""Paint a synthetic face: skin, lips, lids, brows and folds."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.face_mesh import (  # fmt: skip
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from .canvas import SIDE, Plane, tint, to_pixels
from .noise import Brush, blur, cloud, curve, lookup, soft

FOLDS = 3  # painted folds that deepen with an expression: beside the nose, round the eyes, across the forehead


def paint_skin(rng: np.random.Generator, p: Plane, tone: np.ndarray, hair: np.ndarray) -> Tensor:
    """Face and neck colours [3, S, S], gamma-coded."""
    dark = 1 - tone.mean()
    rough = rng.uniform(0.3, 1.0)
    skin = torch.tensor(tone).float()[:, None, None].expand(3, SIDE, SIDE).clone()
    skin = skin * (1 + rough * 0.05 * cloud(rng, SIDE, 4, 4, 0.6, 1) + rough * 0.02 * cloud(rng, SIDE, 6, 3, 0.7, 3))
    pores = cloud(rng, SIDE, 150, 3, 1.0, 1)
    skin = skin * (1 + rng.uniform(0.01, 0.05) * pores)
    red = np.array([tone[0] * 1.0, tone[1] * 0.72, tone[2] * 0.70])
    for (cx, cy), spread, share in (
        ((-0.46, -0.12), 0.2, 1),
        ((0.46, -0.12), 0.2, 1),
        ((0.0, -0.10), 0.13, 0.8),
        ((0, -0.8), 0.16, 0.3),
    ):
        blush = torch.exp(-((p.x - cx) ** 2 + (p.y - cy) ** 2) / (2 * spread**2))
        skin = tint(skin, red, rng.uniform(0, 0.5) * share * blush)
    for cx in (-0.34, 0.34):  # shadow round the eyes
        ring = torch.exp(-(((p.x - cx) / 0.2) ** 2 + ((p.y - 0.2) / 0.11) ** 2) / 2)
        skin = skin * (1 - rng.uniform(0, 0.28) * ring)
    # freckles, moles
    if rng.random() < 0.3:
        brush, amount = Brush(SIDE), int(rng.integers(60, 500))
        for x, y in rng.normal([0, 0.05], [0.4, 0.25], (amount, 2)):
            brush.dot(*to_pixels(np.array([x, y])), rng.uniform(0.6, 2.0), rng.uniform(0.2, 0.6))
        skin = tint(skin, tone * [0.72, 0.58, 0.48], brush.mask(0.7))
    if rng.random() < 0.5:
        brush = Brush(SIDE)
        for _ in range(rng.integers(1, 7)):
            brush.dot(*to_pixels(rng.uniform([-0.65, -0.85], [0.65, 0.75])), rng.uniform(1.0, 3.2), rng.uniform(0.4, 1))
        skin = tint(skin, tone * [0.4, 0.32, 0.3], 0.9 * brush.mask(0.6))
    # beard: a shadow, stubble or hair
    if rng.random() < 0.4:
        zone = soft(
            0.12
            - p.y
            - 0.35 * curve(rng, p.x * 2, 2).abs() * 0.3
            - 0.9 * (0.75 - p.x.abs()).clamp(min=0) * (p.y > -0.25),
            0.15,
        )
        mouth = soft(1 - ((p.x / 0.3) ** 2 + ((p.y + 0.43) / 0.13) ** 2), 0.5)
        upper = soft(0.09 - ((p.y + 0.29) / 0.6).abs() - 0.25 * (p.x.abs() - 0.2).clamp(min=0), 0.05)
        zone = torch.maximum(zone * soft(-0.22 - p.y + 0.9 * (p.x.abs() - 0.3).clamp(min=0), 0.2), upper) * (1 - mouth)
        zone = zone * soft(1.02 - p.ratio, 0.1)
        full = rng.random() < 0.4
        strands = lookup(rng, p.x + 0.25 * p.y * p.x.sign(), p.y, 130, 14)
        amount = (
            0.75 + 0.3 * strands if full else rng.uniform(0.1, 0.45) * (0.7 + 0.5 * cloud(rng, SIDE, 200, 2, 1.0)[0])
        ).clamp(0, 1)
        skin = tint(skin, hair * (0.8 if full else 1.0), (zone * amount).clamp(0, 1))
    # wrinkles that are always there
    folds = fold_masks(rng, p)
    skin = skin * (1 - rng.uniform(0, 0.35) * rng.random() * folds.amax(0) * (1 + 0.3 * dark))
    # nostrils, lips
    brush = Brush(SIDE)
    for side in (-1, 1):
        centre = to_pixels(p.mesh[[97, 98, 60] if side < 0 else [326, 327, 290]].mean(0) + [0, 0.012])
        angle = np.linspace(0, 2 * np.pi, 16)
        brush.polygon(
            centre
            + np.stack([9.5 * np.cos(angle), 4.2 * np.sin(angle) - side * 1.5 * np.cos(angle)], 1)
            * rng.uniform(0.8, 1.15)
        )
    skin = skin * (1 - rng.uniform(0.6, 0.85) * brush.mask(1.3))
    return _make_up(rng, p, _lips(rng, p, skin, tone), hair)


def _lips(rng: np.random.Generator, p: Plane, skin: Tensor, tone: np.ndarray) -> Tensor:
    brush = Brush(SIDE)
    for outer, inner in ((OUTER_UPPER_LIP, INNER_UPPER_LIP), (OUTER_LOWER_LIP, INNER_LOWER_LIP)):
        brush.polygon(p.pixels(outer + inner[::-1]))
    lips = brush.mask(rng.uniform(0.8, 2.5))
    painted = rng.random() < 0.3
    natural = (tone * [rng.uniform(0.78, 0.98), rng.uniform(0.52, 0.72), rng.uniform(0.5, 0.74)]).clip(0, 1)
    colour = rng.uniform([0.45, 0.05, 0.08], [0.85, 0.35, 0.45]) if painted else natural
    lines = lookup(rng, p.x, p.y, 120, 10)
    texture = (1 + 0.08 * lines + 0.05 * cloud(rng, SIDE, 40, 3, 0.8)[0])[None]
    lit = (torch.tensor(colour).float()[:, None, None] * texture).clamp(0, 1)
    skin = skin + lips * rng.uniform(0.7, 0.95) * (lit - skin)
    # the line between the lips, darker corners
    brush = Brush(SIDE)
    brush.line(p.pixels(INNER_UPPER_LIP), 3, 1.0), brush.line(p.pixels(INNER_LOWER_LIP), 3, 1.0)
    return skin * (1 - rng.uniform(0.15, 0.5) * brush.mask(1.5))


def _make_up(rng: np.random.Generator, p: Plane, skin: Tensor, hair: np.ndarray) -> Tensor:
    """Lid shadow, the dark edge of the lids, lashes and brows."""
    brow_colour = (hair * rng.uniform(0.5, 1.0) if hair.mean() < 0.5 else hair * rng.uniform(0.35, 0.8)).clip(0, 1)
    shadow = rng.uniform(0.05, 0.6, 3) if rng.random() < 0.2 else None
    lash, strength, liner = Brush(SIDE), rng.uniform(0.3, 0.9), rng.random() < 0.3
    for upper, lower, brow in (
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_BROW),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_BROW),
    ):
        edge, low = p.mesh[upper], p.mesh[lower]
        if shadow is not None:
            middle = edge.mean(0) + [0, 0.05]
            skin = tint(
                skin,
                shadow,
                rng.uniform(0.2, 0.6)
                * torch.exp(-(((p.x - middle[0]) / 0.17) ** 2 + ((p.y - middle[1]) / 0.06) ** 2) / 2),
            )
        crease = Brush(SIDE)
        crease.line(to_pixels(edge[1:-1] + [0, rng.uniform(0.03, 0.065)]), 1.5, 1.0)
        skin = skin * (1 - rng.uniform(0.1, 0.45) * crease.mask(1.4))
        lash.line(to_pixels(edge), 3.4 if liner else 2.0, strength)
        lash.line(to_pixels(low), 1.5, 0.5 * strength)
        outwards = np.sign(edge[0, 0] - edge[-1, 0])
        for t in np.linspace(0, 1, 26) if rng.random() < 0.6 else ():
            at = np.array([np.interp(t * 8, range(9), edge[:, k]) for k in (0, 1)])
            tip = at + [outwards * 0.05 * (0.6 - t), rng.uniform(0.02, 0.045)]
            lash.line(to_pixels(np.stack([at, tip])), 0.5, 0.7 * strength)
        # brow: strokes from the lower to the upper edge, leaning outwards
        brush, thick, dense = Brush(SIDE), rng.uniform(0.35, 1.1), int(rng.integers(60, 260))
        top, bottom = p.mesh[brow[:5]], p.mesh[brow[5:]]
        lift = rng.normal(0, 0.015)
        for t in rng.uniform(0, 1, dense):
            at = [np.array([np.interp(t * 4, range(5), line[:, k]) for k in (0, 1)]) for line in (top, bottom)]
            middle, half = (at[0] + at[1]) / 2 + [0, lift], (at[0] - at[1]) / 2
            foot = middle + half * thick * rng.uniform(-1, 0.6)
            lean = outwards * (0.02 + 0.06 * (1 - t) * rng.uniform(0.6, 1.3)) * -1
            tip = foot + [-lean, rng.uniform(0.0, 0.05) * (0.3 + t)]
            brush.line(
                to_pixels(np.stack([foot, (foot + tip) / 2 + [0, 0.004], tip])),
                rng.uniform(0.5, 1.4),
                rng.uniform(0.4, 1.0),
            )
        mask = brush.mask(rng.uniform(0.3, 1.0))
        mask = (mask + rng.uniform(0, 0.5) * blur(mask[None, None], 4)[0, 0]).clamp(max=1)
        skin = tint(skin, brow_colour, rng.uniform(0.5, 1.0) * mask)
    return tint(skin, np.array([0.06, 0.04, 0.035]), 0.9 * lash.mask(0.5))


def fold_masks(rng: np.random.Generator, p: Plane) -> Tensor:
    """Masks [FOLDS, S, S] of folds: beside the nose, outside the eyes, across the forehead."""
    masks = []
    brush = Brush(SIDE)
    for side in (-1, 1):
        t = np.linspace(0, 1, 12)[:, None]
        path = (1 - t) ** 2 * [side * 0.24, -0.08] + 2 * t * (1 - t) * [side * 0.33, -0.2] + t**2 * [side * 0.37, -0.46]
        brush.line(to_pixels(path + rng.normal(0, 0.008, 2)), 3.5, 1.0)
    masks.append(brush.mask(2.6))
    brush = Brush(SIDE)
    for side in (-1, 1):
        for k in range(4):
            start = np.array([side * 0.53, 0.265 + 0.03 * (k - 1.5)])
            brush.line(
                to_pixels(
                    np.stack(
                        [start, start + [side * 0.06, 0.014 * (k - 1.5)], start + [side * 0.11, 0.045 * (k - 1.5)]]
                    )
                ),
                1.2,
                0.9,
            )
    masks.append(brush.mask(1.2))
    brush = Brush(SIDE)
    for k in range(rng.integers(2, 5)):
        x = np.linspace(-0.42, 0.42, 14)
        brush.line(
            to_pixels(np.stack([x, 0.58 + 0.07 * k + 0.02 * np.cos(x * 7 + k) + rng.normal(0, 0.006, 14)], 1)),
            1.6,
            rng.uniform(0.5, 1),
        )
    masks.append(brush.mask(1.6))
    return torch.stack(masks)
