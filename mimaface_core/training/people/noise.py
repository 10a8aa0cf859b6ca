"""Random fields from which synthetic people are painted: clouds, strands, smooth curves, strokes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def cloud(
    rng: np.random.Generator, size: int, first: int = 4, octaves: int = 4, fall: float = 0.5, channels: int = 1
) -> Tensor:
    """Multi-octave noise [channels, size, size] of about unit variance; first: cells across at the coarsest octave."""
    total, power = torch.zeros(1, channels, size, size), 0.0
    for k in range(octaves):
        cells = min(size, first * 2**k)
        grid = torch.from_numpy(rng.standard_normal((1, channels, cells, cells), dtype=np.float32))
        total += fall**k * F.interpolate(grid, (size, size), mode="bilinear", align_corners=False)
        power += fall ** (2 * k) * (1.0 if cells == size else 0.45)
    return total[0] / math.sqrt(power)


def lookup(
    rng: np.random.Generator, across: Tensor, along: Tensor, fine: float, coarse: float, sharp: int = 3
) -> Tensor:
    """Strands: noise [H, W] that changes quickly with `across` and slowly with `along` (both [H, W]).

    fine, coarse: cells a unit of `across` and `along`; sharp: octaves added across the strands.
    """
    total, power = torch.zeros_like(across), 0.0
    for k in range(sharp):
        table = torch.from_numpy(rng.standard_normal((1, 1, 32, 256), dtype=np.float32))
        place = torch.stack([_fold(across * fine * 1.9**k / 256), _fold(along * coarse / 32)], -1)
        total += (
            0.75**k
            * F.grid_sample(table, place[None], mode="bilinear", padding_mode="border", align_corners=False)[0, 0]
        )
        power += 0.45 * 0.75 ** (2 * k)
    return total / math.sqrt(power)


def _fold(x: Tensor) -> Tensor:
    """Any number to −1…1, there and back again, without a jump."""
    return 1 - 2 * ((x % 2) - 1).abs()


def curve(rng: np.random.Generator, angle: Tensor, waves: int, fall: float = 1.0) -> Tensor:
    """A smooth periodic function of an angle (rad), about unit variance: sum of `waves` harmonics."""
    total, power = torch.zeros_like(angle), 0.0
    for k in range(1, waves + 1):
        a, phase = rng.standard_normal() / k**fall, rng.uniform(0, 2 * math.pi)
        total += a * torch.cos(k * angle + phase)
        power += 0.5 / k ** (2 * fall)
    return total / math.sqrt(power)


def soft(x: Tensor, width: float) -> Tensor:
    """0 below, 1 above zero, with a soft step of `width`."""
    return (x / width + 0.5).clamp(0, 1)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, C, H, W] with continued borders; wide ones are taken at a quarter of the size."""
    if sigma >= 4 and min(x.shape[-2:]) >= 32:
        small = blur(F.avg_pool2d(x, 4), sigma / 4)
        return F.interpolate(small, size=x.shape[-2:], mode="bilinear", align_corners=False)
    reach = max(1, int(2.5 * sigma + 0.5))
    k = torch.exp(-((torch.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    k = (k / k.sum()).tolist()
    height, width = x.shape[-2:]
    x = F.pad(x, (reach, reach, reach, reach), mode="replicate")
    # sums of shifted pictures: faster on a CPU than convolving each channel
    x = sum((w * x[..., i : i + width] for i, w in enumerate(k[1:], 1)), k[0] * x[..., :width])
    return sum((w * x[..., i : i + height, :] for i, w in enumerate(k[1:], 1)), k[0] * x[..., :height, :])


class Brush:
    """Strokes and dots on a square mask, drawn at twice its size and averaged down."""

    def __init__(self, size: int) -> None:
        from PIL import Image, ImageDraw

        self.size = size
        self.image = Image.new("L", (2 * size, 2 * size))
        self.draw = ImageDraw.Draw(self.image)

    def line(self, points: np.ndarray, width: float, value: float) -> None:
        """A polyline through points [P, 2] (mask pixels)."""
        self.draw.line(
            [tuple(p) for p in (2 * points).tolist()],
            fill=int(255 * value),
            width=max(1, round(2 * width)),
            joint="curve",
        )

    def dot(self, x: float, y: float, radius: float, value: float) -> None:
        self.draw.ellipse(
            [2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius)], fill=int(255 * value)
        )

    def polygon(self, points: np.ndarray, value: float = 1.0) -> None:
        self.draw.polygon([tuple(p) for p in (2 * points).tolist()], fill=int(255 * value))

    def mask(self, softness: float = 0.0) -> Tensor:
        """The drawing [size, size], 0–1, blurred by `softness` pixels."""
        picture = torch.from_numpy(np.array(self.image.reduce(2), dtype=np.float32) / 255)
        return blur(picture[None, None], softness)[0, 0] if softness else picture
