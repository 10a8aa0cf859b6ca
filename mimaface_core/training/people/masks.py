"""Masks: soft steps, Gaussian blur, brush strokes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

WIDE_SIGMA = 4.0  # pixels; from here on a blur is computed at a quarter of the size
SMALLEST_SIDE = 32  # pixels; smaller images are never reduced
KERNEL_SIGMAS = 2.5  # half-width of the kernel in standard deviations


def soft_step(x: Tensor, width: float) -> Tensor:
    """Linear ramp from 0 to 1 of the given `width`, centred on x = 0."""
    return (x / width + 0.5).clamp(0, 1)


def gaussian_blur(image: Tensor, sigma: float) -> Tensor:
    """Gaussian blur with replicated borders.

    kornia's gaussian_blur2d differs by 2e-7, which JPEG coding turns into up to 9/255 in single pixels: a seed would no
    longer give the sample that it gave before. For whole people it is no faster.

    Args:
        image: [N, C, H, W].
        sigma: standard deviation in pixels; from WIDE_SIGMA on, the blur is computed at a quarter of the size.

    Returns:
        Blurred image of the same shape.
    """
    if sigma >= WIDE_SIGMA and min(image.shape[-2:]) >= SMALLEST_SIDE:
        small = gaussian_blur(F.avg_pool2d(image, 4), sigma / 4)
        return F.interpolate(small, size=image.shape[-2:], mode="bilinear", align_corners=False)
    radius = max(1, int(KERNEL_SIGMAS * sigma + 0.5))
    kernel = torch.exp(-((torch.arange(-radius, radius + 1) / sigma) ** 2) / 2)
    weights: list[float] = (kernel / kernel.sum()).tolist()
    height, width = image.shape[-2:]
    padded = F.pad(image, (radius, radius, radius, radius), mode="replicate")
    rows = weights[0] * padded[..., :width]
    for i, weight in enumerate(weights[1:], 1):
        rows = rows + weight * padded[..., i : i + width]
    blurred = weights[0] * rows[..., :height, :]
    for i, weight in enumerate(weights[1:], 1):
        blurred = blurred + weight * rows[..., i : i + height, :]
    return blurred


class Brush:
    """Strokes, dots and polygons on a square mask, drawn at twice its size and averaged down.

    Positions are mask pixels, x to the right and y down; values are 0–1, and later strokes replace earlier ones.

    Args:
        size: side of the mask in pixels.
    """

    def __init__(self, size: int) -> None:
        from PIL import Image, ImageDraw

        self._image = Image.new("L", (2 * size, 2 * size))
        self._draw = ImageDraw.Draw(self._image)

    def line(self, points: np.ndarray, width: float, value: float) -> None:
        """Draw a polyline through points [P, 2], `width` pixels wide."""
        corners = [tuple(point) for point in (2 * points).tolist()]
        self._draw.line(corners, fill=int(255 * value), width=max(1, round(2 * width)), joint="curve")

    def dot(self, centre: np.ndarray, radius: float, value: float) -> None:
        """Draw a filled circle of `radius` pixels about centre [2]."""
        x, y = centre.tolist()
        box = [2 * (x - radius), 2 * (y - radius), 2 * (x + radius), 2 * (y + radius)]
        self._draw.ellipse(box, fill=int(255 * value))

    def polygon(self, points: np.ndarray) -> None:
        """Fill a polygon with corners [P, 2]."""
        self._draw.polygon([tuple(point) for point in (2 * points).tolist()], fill=255)

    def mask(self, softness: float) -> Tensor:
        """Mask [size, size] in 0–1, blurred by `softness` pixels."""
        image = torch.from_numpy(np.array(self._image.reduce(2), dtype=np.float32) / 255)
        return gaussian_blur(image[None, None], softness)[0, 0]
