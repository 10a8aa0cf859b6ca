"""Photographs of one tone, black and white or sepia: what is made up in them takes their tone."""

from __future__ import annotations

import torch
from torch import Tensor

DEGREE = 3  # of the polynomial from brightness to colour
ONE_TONE = 0.02  # of ±1: colours that lie nearer than this to it, as root mean square, are one tone
EVERY = 4  # pixels are looked at


def tone_of(picture: Tensor) -> Tensor | None:
    """Colour as a polynomial of brightness, coefficients [3, DEGREE + 1], of a picture [3, H, W] in ±1; None where it has hues."""
    colours = picture[:, ::EVERY, ::EVERY].flatten(1)
    powers = _powers(colours.mean(0))
    tone = torch.linalg.lstsq(powers.T, colours.T).solution.T
    return tone if (tone @ powers - colours).square().mean().sqrt() < ONE_TONE else None


def toned(pictures: Tensor, tone: Tensor) -> Tensor:
    """Pictures [N, 3, H, W] in ±1 in that tone alone, as bright as before."""
    return (tone @ _powers(pictures.mean(1).flatten(1))).unflatten(2, pictures.shape[2:]).clamp(-1, 1)


def _powers(brightness: Tensor) -> Tensor:
    """[..., P] to [..., DEGREE + 1, P]."""
    return torch.stack([brightness**k for k in range(DEGREE + 1)], -2)
