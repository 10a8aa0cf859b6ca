"""Skin of a synthetic face: complexion, spots, beard, folds and nostrils."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...morphable.model import TEXTURE_SIZE
from ...morphable.rasterize import interpolate, rasterize
from ...tensors import blur, harmonic_fill
from .canvas import CANVAS_PIXELS, Canvas, canvas, colour_tensor, tint, to_pixels
from .lids_and_lips import add_lips, add_make_up
from .masks import Brush, soft_step
from .noise import fractal_noise, periodic_noise, strand_noise

VARIETY = 0.8  # of the colours of people's skins that random ones show
FOLDS = 3  # kinds of folds that deepen with an expression: beside the nose, outside the eyes, across the forehead
# centre (model units), standard deviation, strength against the cheeks: both cheeks, nose, chin
BLUSHES = (((-0.46, -0.12), 0.2, 1), ((0.46, -0.12), 0.2, 1), ((0.0, -0.10), 0.13, 0.8), ((0, -0.8), 0.16, 0.3))
NOSTRILS = ((-1, [97, 98, 60]), (1, [326, 327, 290]))  # side in the image, landmarks around the nostril
LIPS_AT = -0.43  # height of the lips on the face for which beards are laid out, model units
EYE_CENTRES_X = (-0.34, 0.34)  # model units


def paint_face(rng: np.random.Generator, canvas: Canvas, tone: np.ndarray, hair: np.ndarray) -> Tensor:
    """Paint skin and features of a face over the whole canvas.

    Args:
        rng: source of randomness.
        canvas: the plane to paint.
        tone: colour [3] of the skin, gamma-coded in 0–1.
        hair: colour [3] of hair, brows and beard.

    Returns:
        Gamma-coded colours [3, S, S].
    """
    skin = _complexion(rng, canvas, tone)
    skin = _add_spots(rng, skin, tone)
    if rng.random() < 0.4:
        skin = _add_beard(rng, canvas, skin, hair)
    wrinkles = fold_masks(rng).amax(0)
    skin = skin * (1 - rng.uniform(0, 0.35) * rng.random() * wrinkles * (1 + 0.3 * (1 - tone.mean())))
    skin = _add_nostrils(rng, canvas, skin)
    return add_make_up(rng, canvas, add_lips(rng, canvas, skin, tone), hair)


def _complexion(rng: np.random.Generator, canvas: Canvas, tone: np.ndarray) -> Tensor:
    """Uneven skin as people's is, with pores, blushes, and shadows around the eyes."""
    unevenness = rng.uniform(0.3, 1.0)
    skin = colour_tensor(tone) * _variation(rng)
    brightness = unevenness * 0.05 * fractal_noise(rng, CANVAS_PIXELS, 4, 4, 0.6, 1)
    skin = skin * (1 + brightness + unevenness * 0.02 * fractal_noise(rng, CANVAS_PIXELS, 6, 3, 0.7, 3))
    pores = fractal_noise(rng, CANVAS_PIXELS, 150, 3, 1.0, 1)
    skin = skin * (1 + rng.uniform(0.01, 0.05) * pores)
    red = np.array([tone[0] * 1.0, tone[1] * 0.72, tone[2] * 0.70])
    for (x, y), sigma, strength in BLUSHES:
        blush = torch.exp(-((canvas.x - x) ** 2 + (canvas.y - y) ** 2) / (2 * sigma**2))
        skin = tint(skin, red, rng.uniform(0, 0.5) * strength * blush)
    for x in EYE_CENTRES_X:
        shadow = torch.exp(-(((canvas.x - x) / 0.2) ** 2 + ((canvas.y - 0.2) / 0.11) ** 2) / 2)
        skin = skin * (1 - rng.uniform(0, 0.28) * shadow)
    return skin


def _variation(rng: np.random.Generator) -> Tensor:
    """Colours of a random person's skin against their mean [3, S, S], by the face model's colours."""
    model = bundled_face().model
    coefficients = torch.from_numpy(rng.standard_normal(TEXTURE_SIZE)).float()[None]
    colours = model.texture(VARIETY * coefficients)[:, :FACE_POINTS].clamp(min=20)
    colours = (colours / colours.mean(1, keepdim=True)).clamp(0.5, 1.6)
    points = torch.from_numpy(to_pixels(canvas().mesh)).float()
    triangles = model.triangles[bundled_face().part_triangles["face"]]
    fragments = rasterize(F.pad(points, (0, 1))[None], triangles, CANVAS_PIXELS, CANVAS_PIXELS)
    drawn = interpolate(fragments, triangles, colours)[0]
    soft = harmonic_fill(drawn, fragments.mask[0])
    return blur(soft[None], 3.0)[0]


def _add_spots(rng: np.random.Generator, skin: Tensor, tone: np.ndarray) -> Tensor:
    """Add freckles and moles, to some faces each."""
    if rng.random() < 0.3:
        brush, count = Brush(CANVAS_PIXELS), int(rng.integers(60, 500))
        for place in rng.normal([0, 0.05], [0.4, 0.25], (count, 2)):
            brush.dot(to_pixels(place), rng.uniform(0.6, 2.0), rng.uniform(0.2, 0.6))
        skin = tint(skin, tone * [0.72, 0.58, 0.48], brush.mask(0.7))
    if rng.random() < 0.5:
        brush = Brush(CANVAS_PIXELS)
        for _ in range(rng.integers(1, 7)):
            place = rng.uniform([-0.65, -0.85], [0.65, 0.75])
            brush.dot(to_pixels(place), rng.uniform(1.0, 3.2), rng.uniform(0.4, 1))
        skin = tint(skin, tone * [0.4, 0.32, 0.3], 0.9 * brush.mask(0.6))
    return skin


def _add_beard(rng: np.random.Generator, canvas: Canvas, skin: Tensor, hair: np.ndarray) -> Tensor:
    """Add a shadow, stubble or a full beard."""
    x, y = canvas.x, canvas.y + LIPS_AT - canvas.lips
    cheeks = 0.9 * (0.75 - x.abs()).clamp(min=0) * (y > -0.25)
    beard = soft_step(0.12 - y - 0.35 * periodic_noise(rng, x * 2, 2).abs() * 0.3 - cheeks, 0.15)
    mouth = soft_step(1 - ((x / 0.3) ** 2 + ((y + 0.43) / 0.13) ** 2), 0.5)
    moustache = soft_step(0.09 - ((y + 0.29) / 0.6).abs() - 0.25 * (x.abs() - 0.2).clamp(min=0), 0.05)
    beard = beard * soft_step(-0.22 - y + 0.9 * (x.abs() - 0.3).clamp(min=0), 0.2)
    zone = torch.maximum(beard, moustache) * (1 - mouth)
    zone = zone * soft_step(1.02 - canvas.ratio, 0.1)
    full = rng.random() < 0.4
    strands = strand_noise(rng, x + 0.25 * y * x.sign(), y, 130, 14)
    if full:
        amount = 0.75 + 0.3 * strands
    else:
        amount = rng.uniform(0.1, 0.45) * (0.7 + 0.5 * fractal_noise(rng, CANVAS_PIXELS, 200, 2, 1.0)[0])
    return tint(skin, hair * (0.8 if full else 1.0), (zone * amount.clamp(0, 1)).clamp(0, 1))


def _add_nostrils(rng: np.random.Generator, canvas: Canvas, skin: Tensor) -> Tensor:
    """Add dark, slightly turned ellipses."""
    brush = Brush(CANVAS_PIXELS)
    angle = np.linspace(0, 2 * np.pi, 16)
    for side, landmarks in NOSTRILS:
        centre = to_pixels(canvas.mesh[landmarks].mean(0) + [0, 0.012])
        outline = np.stack([9.5 * np.cos(angle), 4.2 * np.sin(angle) - side * 1.5 * np.cos(angle)], 1)
        brush.polygon(centre + outline * rng.uniform(0.8, 1.15))
    return skin * (1 - rng.uniform(0.6, 0.85) * brush.mask(1.3))


def fold_masks(rng: np.random.Generator) -> Tensor:
    """Masks [FOLDS, S, S] of folds: beside the nose, outside the eyes, across the forehead."""
    nose = Brush(CANVAS_PIXELS)
    for side in (-1, 1):
        t = np.linspace(0, 1, 12)[:, None]
        ends = np.array([[side * 0.24, -0.08], [side * 0.33, -0.2], [side * 0.37, canvas().lips - 0.03]])
        path = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
        nose.line(to_pixels(path + rng.normal(0, 0.008, 2)), 3.5, 1.0)
    eyes = Brush(CANVAS_PIXELS)
    for side in (-1, 1):
        for row in np.arange(4) - 1.5:
            start = np.array([side * 0.53, 0.265 + 0.03 * row])
            path = np.stack([start, start + [side * 0.06, 0.014 * row], start + [side * 0.11, 0.045 * row]])
            eyes.line(to_pixels(path), 1.2, 0.9)
    forehead = Brush(CANVAS_PIXELS)
    x = np.linspace(-0.42, 0.42, 14)
    for row in range(rng.integers(2, 5)):
        y = 0.58 + 0.07 * row + 0.02 * np.cos(x * 7 + row) + rng.normal(0, 0.006, 14)
        forehead.line(to_pixels(np.stack([x, y], 1)), 1.6, rng.uniform(0.5, 1))
    return torch.stack([nose.mask(2.6), eyes.mask(1.2), forehead.mask(1.6)])
