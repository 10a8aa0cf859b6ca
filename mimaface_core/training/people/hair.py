"""Hair, ears and neck of a synthetic person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .canvas import CANVAS_PIXELS, Canvas, colour_tensor, tint
from .masks import gaussian_blur, soft_step
from .noise import fractal_noise, periodic_noise, strand_noise

Style = Literal["short", "medium", "long", "bald"]
STYLES: tuple[Style, ...] = ("short", "medium", "long", "bald")
STYLE_PROBABILITIES = (0.42, 0.2, 0.28, 0.1)
VOLUMES = {"short": (1.03, 1.13), "medium": (1.06, 1.28), "long": (1.08, 1.3), "bald": (1.02, 1.05)}  # face outlines


@dataclass(frozen=True)
class _HairShape:
    """Where hair grows; radii are multiples of the face's outline, as `Canvas.ratio`.

    Attributes:
        style: kind of haircut.
        mask: [S, S], 0–1.
        dome: [S, S], how far the top of the head rises above the outline.
    """

    style: Style
    mask: Tensor
    dome: Tensor


def add_hair(
    rng: np.random.Generator, canvas: Canvas, skin: Tensor, tone: np.ndarray, colour: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Add neck, ears and hair to a face.

    Args:
        rng: source of randomness.
        canvas: the plane to paint.
        skin: gamma-coded colours [3, S, S] of the face.
        tone: colour [3] of the skin.
        colour: colour [3] of the hair.

    Returns:
        Colours [3, S, S] in 0–1, and the opacity [S, S] of the person over the background.
    """
    face = soft_step(1.035 + 0.01 * periodic_noise(rng, canvas.angle, 5) - canvas.ratio, 0.03)
    skin, neck = _add_neck(rng, canvas, skin)
    skin, ears = _add_ears(rng, canvas, skin, tone)
    opacity = torch.maximum(torch.maximum(face, neck), ears)
    shape = _hair_shape(rng, canvas)
    hair = colour_tensor(colour) * _hair_light(rng, canvas, shape.style) + 0.015
    shadow = gaussian_blur((shape.mask * (canvas.ratio > 0.9))[None, None], 6)[0, 0] * rng.uniform(0.1, 0.4)
    skin = skin * (1 - shadow * (1 - shape.mask))
    skin = skin + shape.mask * (hair - skin)
    if shape.style == "bald" or rng.random() < 0.08:  # the skull shows above the forehead
        height = 1.02 + 0.9 * shape.dome + 0.005 * periodic_noise(rng, canvas.angle, 3)
        opacity = torch.maximum(opacity, soft_step(height - canvas.ratio, 0.012) * soft_step(canvas.y - 0.1, 0.1))
    return skin.clamp(0, 1), torch.maximum(opacity, shape.mask)


def _add_neck(rng: np.random.Generator, canvas: Canvas, skin: Tensor) -> tuple[Tensor, Tensor]:
    """Skin with the chin's shadow, and the mask [S, S] of a neck down to the collar."""
    width, collar = rng.uniform(0.42, 0.62), -rng.uniform(1.12, 1.45)
    bend = width + 0.5 * ((-1.25 - canvas.y).clamp(min=0)) ** 1.3
    neck = soft_step(bend - canvas.x.abs(), 0.03) * soft_step(-0.5 - canvas.y, 0.05)
    slope = rng.uniform(0.05, 0.7)
    neck = neck * soft_step(canvas.y - collar - slope * canvas.x.abs() + rng.uniform(0, 0.15), 0.015)
    chin = soft_step(1.14 + rng.uniform(0, 0.12) - canvas.ratio, 0.25) * soft_step(canvas.ratio - 1.01, 0.04)
    shadow = rng.uniform(0.15, 0.5) * chin * soft_step(-0.6 - canvas.y, 0.4)
    return skin * (1 - shadow) * (1 - 0.12 * soft_step(-0.95 - canvas.y, 0.2)[None]), neck


def _add_ears(rng: np.random.Generator, canvas: Canvas, skin: Tensor, tone: np.ndarray) -> tuple[Tensor, Tensor]:
    """Skin with ears, and their mask [S, S]."""
    ears = torch.zeros_like(canvas.angle)
    height, reach = rng.uniform(0.2, 0.27), rng.uniform(0.05, 0.13)
    for side in (-1, 1):
        u, v = (canvas.x - side * (0.75 + reach * 0.4)) / (reach + 0.03), (canvas.y - 0.09) / height
        inside = 1 - (u * u + v * v).sqrt()
        ears = torch.maximum(ears, soft_step(inside, 0.1))
        skin = skin * (1 - 0.35 * torch.exp(-(((inside - 0.3) / 0.12) ** 2)) * ears * (canvas.ratio > 1.0))
    ears = ears * soft_step(canvas.ratio - 0.97, 0.02)
    return tint(skin, tone * [1.0, 0.75, 0.7], 0.25 * ears), ears


def _hair_shape(rng: np.random.Generator, canvas: Canvas) -> _HairShape:
    """A random haircut."""
    angle, ratio = canvas.angle, canvas.ratio
    style = STYLES[int(rng.choice(len(STYLES), p=STYLE_PROBABILITIES))]
    top = angle.cos()  # 1 above the face, −1 below
    side = angle.sin().abs()
    volume = rng.uniform(*VOLUMES[style])
    dome = rng.uniform(0.16, 0.34) * top.clamp(min=0) ** rng.uniform(1.0, 1.8)
    ragged = strand_noise(rng, angle, torch.zeros_like(angle) + 0.3, rng.uniform(40, 110), 1)
    wavy = 0.02 * periodic_noise(rng, angle, 6, 0.7) + rng.uniform(0.002, 0.02) * ragged
    outer = volume + dome + wavy
    hairline = rng.uniform(0.84, 1.0) + 0.03 * periodic_noise(rng, angle, 4)
    hairline = hairline + rng.uniform(0.005, 0.02) * strand_noise(rng, angle, ratio * 0, 90, 1)
    if style != "bald" and rng.random() < 0.3:
        depth, middle = rng.uniform(0.1, 0.42), rng.normal(0, 0.4)
        fringe = depth * torch.exp(-(((angle - middle) / 0.55) ** 2))
        hairline = hairline - fringe
    # temples and cheeks stay free, sideburns reach down to the ear
    hairline = hairline + (1.03 - hairline).clamp(min=0) * soft_step(side - rng.uniform(0.8, 0.95), 0.2)
    lowest = {"short": rng.uniform(-0.05, 0.3), "medium": rng.uniform(-0.5, 0.0), "long": -3.0, "bald": 0.25}[style]
    above = soft_step(canvas.y - lowest, 0.12)
    if style == "bald":
        hairline = hairline + 2 * soft_step(0.75 - side, 0.2)  # a rim at the sides only
    if style == "long":
        outer = outer + soft_step(-top, 0.6) * rng.uniform(0.1, 0.6)
        beside = (0.99 + 0.02 * periodic_noise(rng, angle, 3)).clamp(max=1.02)
        hairline = torch.maximum(hairline, beside) * (side > 0.7) + hairline * (side <= 0.7)
    mask = soft_step(ratio - hairline, 0.02 + 0.03 * rng.random())
    mask = mask * soft_step(outer - ratio, 0.012 + 0.03 * rng.random()) * above
    return _HairShape(style, _falling(rng, canvas, mask) if style == "long" else mask, dome)


def _falling(rng: np.random.Generator, canvas: Canvas, mask: Tensor) -> Tensor:
    """Mask [S, S] of long hair that leaves the neck free and ends in an uneven line."""
    x, y = canvas.x, canvas.y
    free = x.abs() - rng.uniform(0.36, 0.6) + 3 * soft_step(y + 0.2, 0.4) + 0.05 * periodic_noise(rng, y * 2, 3)
    mask = mask * soft_step(free, 0.04)
    return mask * soft_step(y + rng.uniform(0.9, 1.8) + 0.1 * strand_noise(rng, x, y * 0, 30, 1), 0.1)


def _hair_light(rng: np.random.Generator, canvas: Canvas, style: Style) -> Tensor:
    """Brightness [S, S] of strands, combed back from the face or falling along its outline; thin ones are brighter."""
    angle, ratio = canvas.angle, canvas.ratio
    top = angle.cos()
    combed_back = rng.random() < (0.6 if style != "long" else 0.2)
    bend = 0.05 * fractal_noise(rng, CANVAS_PIXELS, 5, 3)[0]
    if combed_back:
        across, along = angle + bend, ratio * 2
        frequency = rng.uniform(35, 80)
    else:
        across, along = ratio + bend * 0.8 + 0.1 * (canvas.x - rng.normal(0, 0.25)).abs(), angle
        frequency = rng.uniform(40, 90)
    strands = strand_noise(rng, across, along, frequency, rng.uniform(1, 4))
    locks = strand_noise(rng, across + bend, along, 8, 1.5, 2)
    if rng.random() < 0.2:  # curls
        strands = fractal_noise(rng, CANVAS_PIXELS, int(rng.integers(30, 70)), 3, 0.8)[0]
    shine = torch.exp(-(((ratio - rng.uniform(1.02, 1.2)) / 0.06) ** 2)) * soft_step(top, 0.6) * rng.uniform(0, 0.5)
    light = (1 + rng.uniform(0.12, 0.35) * strands + 0.18 * locks + shine).clamp(0.25, 2.2)
    return light * (1 - 0.35 * soft_step(1.03 - ratio, 0.1) * (1 - soft_step(top, 0.4)))
