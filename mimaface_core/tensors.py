"""Conversions of image tensors between their number types."""

from __future__ import annotations

from torch import Tensor


def to_uint8(image: Tensor) -> Tensor:
    """An image of any shape in 0–1, clamped and rounded to uint8."""
    return (image.clamp(0, 1) * 255).round().byte()


def to_float(image: Tensor) -> Tensor:
    """An image of any shape as float32 in 0–1: uint8 is divided by 255, floats are taken to be in 0–1 already."""
    return image.float() if image.is_floating_point() else image.float() / 255


def between(before: Tensor, after: Tensor, share: Tensor) -> Tensor:
    """Linear interpolation of [N, ...]: `before` where share [N] is 0, `after` where it is 1."""
    weight = share.reshape(-1, *[1] * (before.ndim - 1))
    return before * (1 - weight) + after * weight
