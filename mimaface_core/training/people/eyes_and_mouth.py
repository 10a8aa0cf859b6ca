"""Eye and mouth textures."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.geometry import EYE_RADIUS, EYE_SPAN
from ...morphable.bundled.mouth_texture import MOUTH_LAYERS, paint
from .canvas import colour_tensor, random_colour, tint
from .masks import soft_step
from .noise import fractal_noise, strand_noise

TEXTURE_PIXELS = 160  # along a side of the texture of an eye or the mouth
IRIS_RADIUS = (0.165, 0.225)  # eye widths
IRIS_COLOURS = (
    np.array(
        [[62, 38, 22], [88, 56, 30], [116, 84, 44], [104, 112, 70], [96, 130, 150], [70, 100, 132], [128, 136, 138]]
    )
    / 255
)
IRIS_CENTRE_COLOUR = np.array([0.5, 0.33, 0.15])
VEIN_COLOUR = np.array([0.75, 0.3, 0.25])


def paint_eyes(rng: np.random.Generator) -> Tensor:
    """Eyeball texture [3, P, P] with P = TEXTURE_PIXELS, gamma-coded in 0–1, the pupil in the middle."""
    axis = (torch.arange(TEXTURE_PIXELS) + 0.5) / TEXTURE_PIXELS * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius, angle = (x * x + y * y).sqrt(), torch.atan2(y, x)
    rim = math.asin(rng.uniform(*IRIS_RADIUS) / EYE_RADIUS) / EYE_SPAN
    white = torch.tensor(rng.uniform([0.70, 0.64, 0.60], [0.90, 0.87, 0.85])).float()[:, None, None]
    eye = white * (1 + 0.04 * fractal_noise(rng, TEXTURE_PIXELS, 4, 3))
    veins = soft_step(strand_noise(rng, angle, radius, 14, 4, 2) - 1.5, 0.8) * soft_step(radius - rim * 1.3, 0.3)
    eye = tint(eye, VEIN_COLOUR, rng.uniform(0, 0.5) * veins)
    iris = _paint_iris(rng, radius, angle, rim)
    eye = eye + soft_step(rim - radius, rim * 0.12) * (iris - eye)
    pupil = soft_step(rim * rng.uniform(0.3, 0.58) - radius, rim * 0.08)
    return (eye * (1 - 0.96 * pupil)).clamp(0, 1)


def _paint_iris(rng: np.random.Generator, radius: Tensor, angle: Tensor, rim: float) -> Tensor:
    """Iris [3, P, P] of radius `rim`, with radial streaks, a dark outer ring and a brown inner one."""
    colour = random_colour(rng, IRIS_COLOURS, 0.02) * rng.uniform(0.7, 1.3)
    streaks = 1 + 0.28 * strand_noise(rng, angle, radius, 18, 6) + 0.15 * fractal_noise(rng, TEXTURE_PIXELS, 20, 2)[0]
    ring = 1 - 0.6 * soft_step(radius / rim - 0.86, 0.2)
    iris = colour_tensor(colour) * streaks * ring
    inner = soft_step(rng.uniform(0.4, 0.7) - radius / rim, 0.3) * rng.uniform(0, 0.5)
    return tint(iris, IRIS_CENTRE_COLOUR, inner)


def paint_mouth(rng: np.random.Generator) -> Tensor:
    """Texture of the mouth's inside: teeth, tongue and cavity below one another, as in `mouth_texture.MOUTH_LAYERS`.

    The shapes of teeth and tongue are those that inference paints; only colours, wear and light vary.

    Returns:
        Gamma-coded texture [3, P, P] in 0–1 with P = TEXTURE_PIXELS.
    """
    axis = (torch.arange(TEXTURE_PIXELS) + 0.5) / TEXTURE_PIXELS * 2 - 1
    dark = torch.tensor(rng.uniform([0.08, 0.02, 0.02], [0.22, 0.1, 0.1])).float()[:, None, None]
    layers = []
    for name in MOUTH_LAYERS:
        colour, opacity = paint(name, torch.ones(3), TEXTURE_PIXELS).split([3, 1])
        colour = (colour + 1) / 2
        rows = colour.shape[1]
        if "teeth" in name:
            enamel = torch.tensor(rng.uniform([0.78, 0.72, 0.60], [1.06, 1.04, 1.02])).float()
            across, along = axis.expand(rows, -1), axis[:rows, None].expand(-1, TEXTURE_PIXELS)
            wear = strand_noise(rng, across, along, 12, 1, 2)
            colour = colour * enamel[:, None, None] * (1 + rng.uniform(0, 0.06) * wear)
        else:
            tone = torch.tensor(rng.uniform([0.75, 0.7, 0.7], [1.15, 1.2, 1.2])).float()
            colour = colour * tone[:, None, None] * (1 + 0.08 * fractal_noise(rng, TEXTURE_PIXELS, 20, 3)[:, :rows])
        layers.append(dark + opacity * (colour - dark))
    return (torch.cat(layers, 1) * rng.uniform(0.75, 1.05)).clamp(0, 1)
