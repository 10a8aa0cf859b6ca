"""Lips, lids, lashes and brows of a synthetic face, natural or made up."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.face_mesh import (
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
from .canvas import CANVAS_PIXELS, Canvas, colour_tensor, tint, to_pixels
from .masks import Brush, gaussian_blur
from .noise import fractal_noise, strand_noise

LIPSTICK = ([0.45, 0.05, 0.08], [0.85, 0.35, 0.45])  # range of its colours
LASH_COLOUR = np.array([0.06, 0.04, 0.035])
LASHES = 26  # of an upper lid
BROW_EDGE = len(RIGHT_BROW) // 2  # points of a brow's upper edge, followed by the same number of its lower edge


def add_lips(rng: np.random.Generator, canvas: Canvas, skin: Tensor, tone: np.ndarray) -> Tensor:
    """Add lips, three in ten of them with lipstick, and the line between them.

    Args:
        rng: source of randomness.
        canvas: the plane to paint.
        skin: gamma-coded colours [3, S, S].
        tone: colour [3] of the skin.

    Returns:
        Colours [3, S, S].
    """
    brush = Brush(CANVAS_PIXELS)
    for outer, inner in ((OUTER_UPPER_LIP, INNER_UPPER_LIP), (OUTER_LOWER_LIP, INNER_LOWER_LIP)):
        brush.polygon(canvas.mesh_pixels(outer + inner[::-1]))
    lips = brush.mask(rng.uniform(0.8, 2.5))
    lipstick = rng.random() < 0.3
    natural = (tone * [rng.uniform(0.78, 0.98), rng.uniform(0.52, 0.72), rng.uniform(0.5, 0.74)]).clip(0, 1)
    colour = rng.uniform(*LIPSTICK) if lipstick else natural
    lines = strand_noise(rng, canvas.x, canvas.y, 120, 10)
    texture = (1 + 0.08 * lines + 0.05 * fractal_noise(rng, CANVAS_PIXELS, 40, 3, 0.8)[0])[None]
    painted = (colour_tensor(colour) * texture).clamp(0, 1)
    skin = skin + lips * rng.uniform(0.7, 0.95) * (painted - skin)
    between = Brush(CANVAS_PIXELS)
    between.line(canvas.mesh_pixels(INNER_UPPER_LIP), 3, 1.0)
    between.line(canvas.mesh_pixels(INNER_LOWER_LIP), 3, 1.0)
    return skin * (1 - rng.uniform(0.15, 0.5) * between.mask(1.5))


def add_make_up(rng: np.random.Generator, canvas: Canvas, skin: Tensor, hair: np.ndarray) -> Tensor:
    """Add eye shadow, lid creases, lid edges, lashes and brows.

    Args:
        rng: source of randomness.
        canvas: the plane to paint.
        skin: gamma-coded colours [3, S, S].
        hair: colour [3] of the hair.

    Returns:
        Colours [3, S, S].
    """
    brow_colour = (hair * rng.uniform(0.5, 1.0) if hair.mean() < 0.5 else hair * rng.uniform(0.35, 0.8)).clip(0, 1)
    eye_shadow = rng.uniform(0.05, 0.6, 3) if rng.random() < 0.2 else None
    lashes, strength, eyeliner = Brush(CANVAS_PIXELS), rng.uniform(0.3, 0.9), rng.random() < 0.3
    for upper, lower, brow in (
        (RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_BROW),
        (LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_BROW),
    ):
        lid = canvas.mesh[upper]
        if eye_shadow is not None:
            x, y = lid.mean(0) + [0, 0.05]
            amount = rng.uniform(0.2, 0.6)
            skin = tint(
                skin, eye_shadow, amount * torch.exp(-(((canvas.x - x) / 0.17) ** 2 + ((canvas.y - y) / 0.06) ** 2) / 2)
            )
        crease = Brush(CANVAS_PIXELS)
        crease.line(to_pixels(lid[1:-1] + [0, rng.uniform(0.03, 0.065)]), 1.5, 1.0)
        skin = skin * (1 - rng.uniform(0.1, 0.45) * crease.mask(1.4))
        lashes.line(to_pixels(lid), 3.4 if eyeliner else 2.0, strength)
        lashes.line(to_pixels(canvas.mesh[lower]), 1.5, 0.5 * strength)
        outwards = float(np.sign(lid[0, 0] - lid[-1, 0]))
        if rng.random() < 0.6:
            _draw_lashes(rng, lashes, lid, outwards, strength)
        mask = _brow_mask(rng, canvas.mesh[brow], outwards)
        skin = tint(skin, brow_colour, rng.uniform(0.5, 1.0) * mask)
    return tint(skin, LASH_COLOUR, 0.9 * lashes.mask(0.5))


def _draw_lashes(rng: np.random.Generator, brush: Brush, lid: np.ndarray, outwards: float, strength: float) -> None:
    """Draw single lashes, which lean away from the middle of the lid."""
    for t in np.linspace(0, 1, LASHES):
        foot = _point_at(lid, t)
        tip = foot + [outwards * 0.05 * (0.6 - t), rng.uniform(0.02, 0.045)]
        brush.line(to_pixels(np.stack([foot, tip])), 0.5, 0.7 * strength)


def _brow_mask(rng: np.random.Generator, brow: np.ndarray, outwards: float) -> Tensor:
    """Mask [S, S] of hairs from the lower to the upper edge of a brow, leaning outwards."""
    brush, thickness, count = Brush(CANVAS_PIXELS), rng.uniform(0.35, 1.1), int(rng.integers(60, 260))
    lift = rng.normal(0, 0.015)
    for t in rng.uniform(0, 1, count):
        top, bottom = _point_at(brow[:BROW_EDGE], t), _point_at(brow[BROW_EDGE:], t)
        middle, half = (top + bottom) / 2 + [0, lift], (top - bottom) / 2
        foot = middle + half * thickness * rng.uniform(-1, 0.6)
        lean = outwards * (0.02 + 0.06 * (1 - t) * rng.uniform(0.6, 1.3))
        tip = foot + [lean, rng.uniform(0.0, 0.05) * (0.3 + t)]
        hair = np.stack([foot, (foot + tip) / 2 + [0, 0.004], tip])
        brush.line(to_pixels(hair), rng.uniform(0.5, 1.4), rng.uniform(0.4, 1.0))
    mask = brush.mask(rng.uniform(0.3, 1.0))
    return (mask + rng.uniform(0, 0.5) * gaussian_blur(mask[None, None], 4)[0, 0]).clamp(max=1)


def _point_at(line: np.ndarray, t: float) -> np.ndarray:
    """Point [2] at the share t (0–1) of the points of a polyline [P, 2]."""
    last = len(line) - 1
    return np.array([np.interp(t * last, range(last + 1), line[:, axis]) for axis in (0, 1)])
