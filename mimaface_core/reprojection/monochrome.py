"""Monochrome photographs (black and white, sepia): detect their tone, and match synthesised pixels to it."""

from __future__ import annotations

import torch
from torch import Tensor

DEGREE = 3  # of the polynomial from brightness to colour
MAX_DEVIATION = 0.02  # root mean square, of ±1: an image whose colours lie nearer to the polynomial is monochrome
SAMPLE_STEP = 4  # pixels between the examined ones, in rows and columns


def detect_tone(image: Tensor) -> Tensor | None:
    """Colour as a polynomial of brightness.

    Args:
        image: [3, H, W] in ±1.

    Returns:
        Coefficients [3, DEGREE + 1]; None where the image has several hues.
    """
    colours = image[:, ::SAMPLE_STEP, ::SAMPLE_STEP].flatten(1)
    powers = _powers(colours.mean(0))
    tone = torch.linalg.lstsq(powers.T, colours.T).solution.T
    return tone if (tone @ powers - colours).square().mean().sqrt() < MAX_DEVIATION else None


def apply_tone(images: Tensor, tone: Tensor) -> Tensor:
    """Images [N, 3, H, W] in ±1 with unchanged brightness in the colours of `tone`; see `detect_tone`."""
    return (tone @ _powers(images.mean(1).flatten(1))).unflatten(2, images.shape[2:]).clamp(-1, 1)


def _powers(brightness: Tensor) -> Tensor:
    """[..., P] to [..., DEGREE + 1, P]."""
    return torch.stack([brightness**k for k in range(DEGREE + 1)], -2)
