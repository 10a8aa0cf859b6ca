"""Crops: from a face's box to the square picture in which it is animated, and back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CROP_SIZE = 512  # side of the crop
PLANE = 256  # side of the face model's camera plane, which shows the whole crop


def crop_matrix(landmarks: Tensor, share: float, size: int = CROP_SIZE) -> Tensor:
    """Matrix [2, 3] from picture pixels to crop pixels: the face's box, squared, fills `share` of the crop's side.

    landmarks: [478, 2 or 3] in picture pixels.
    """
    low, high = landmarks[:468, :2].amin(0), landmarks[:468, :2].amax(0)
    centre, side = (low + high) / 2, (high - low).max()
    k = share * size / side
    # a little of the room below goes above: hair needs more than neck
    shift = torch.tensor([size / 2, size * 0.53]) - k * centre
    return torch.tensor([[k, 0, shift[0]], [0, k, shift[1]]])


def transform_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Points [V, 2 or 3] through a similarity [2, 3]; a third coordinate is scaled alike."""
    moved = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    if points.shape[1] == 2:
        return moved
    return torch.cat([moved, points[:, 2:] * matrix[:, :2].det().sqrt()], 1)


def inverse(matrix: Tensor) -> Tensor:
    """The way back of an affine [..., 2, 3]."""
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -linear @ matrix[..., 2:]], -1)


def warp(picture: Tensor, matrix: Tensor, size: int = CROP_SIZE) -> Tensor:
    """Crop [3, size, size] of picture [3, H, W] under matrix [2, 3] (picture → crop pixels); the border continues.

    Where the crop is smaller than the picture the picture is averaged first, so that nothing flickers.
    """
    scale = float(matrix[:, :2].det().abs().sqrt())
    if scale < 0.7:
        small = F.interpolate(picture[None], scale_factor=scale, mode="area", recompute_scale_factor=True)[0]
        ratio = torch.tensor([small.shape[2] / picture.shape[2], small.shape[1] / picture.shape[1]])
        return warp(small, torch.cat([matrix[:, :2] / ratio, matrix[:, 2:]], 1), size)
    steps = torch.arange(size) + 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    back = inverse(matrix)
    grid = torch.stack([x, y, torch.ones_like(x)], -1) @ back.T
    grid = grid / torch.tensor([picture.shape[2], picture.shape[1]]) * 2 - 1
    return F.grid_sample(picture[None], grid[None], mode="bicubic", padding_mode="border", align_corners=False)[
        0
    ].clamp(float(picture.min()), float(picture.max()))


def plane_alignment(count: int, size: int = CROP_SIZE) -> Tensor:
    """Alignment [count, 2, 3] of a track whose crop is shown whole on the camera plane."""
    return torch.tensor([[PLANE / size, 0, 0], [0, PLANE / size, 0]]).expand(count, 2, 3).clone()


def to_uint8_array(picture: Tensor) -> np.ndarray:
    """uint8 [H, W, 3] from a float picture [H, W, 3] in 0–1, or unchanged when it is uint8 already."""
    if picture.dtype == torch.uint8:
        return picture.numpy()
    return (picture.clamp(0, 1) * 255).round().byte().cpu().numpy()
