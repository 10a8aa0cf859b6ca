"""Face crops: the square image in which a face is animated, and its map from the full image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face_mesh import FACE_POINTS
from ..tensors import harmonic_fill, invert_affine, sampling_grid, to_uint8
from ..tracker.regions import Square
from .upright import UPRIGHT, roll_of

CROP_SIZE = 512  # side of the crop, pixels
PLANE = 256  # side of the face model's camera plane, which shows the whole crop, pixels
CENTRE = (0.5, 0.53)  # of the face's box in the crop, shares of its side: hair needs more room than the neck
MIN_SCALE = 0.7  # where a crop is smaller, the image is averaged first: samples farther apart flicker


def crop_matrix(landmarks: Tensor, share: float, size: int = CROP_SIZE) -> Tensor:
    """Map from image pixels to crop pixels under which the face's box, squared, fills a share of the crop's side.

    A head that lies, or is tilted by more than UPRIGHT, stands upright in its crop.

    Args:
        landmarks: [478, 2 or 3] in image pixels.
        share: of the crop's side, 0–1.
        size: side of the crop in pixels.

    Returns:
        [2, 3], scale and shift, for such a head also a turn; float32.
    """
    roll = roll_of(landmarks.numpy())
    if abs(roll) > UPRIGHT:
        upright = torch.from_numpy(Square(0.0, 0.0, 1.0, roll).matrix(1)[:, :2]).float()
        standing = torch.cat([landmarks[:, :2] @ upright.T, landmarks[:, 2:]], 1)
        matrix = crop_matrix(standing, share, size)
        return torch.cat([matrix[:, :2] @ upright, matrix[:, 2:]], 1)
    low, high = landmarks[:FACE_POINTS, :2].amin(0), landmarks[:FACE_POINTS, :2].amax(0)
    centre, side = (low + high) / 2, (high - low).max()
    scale = share * size / side
    shift = torch.tensor([size * CENTRE[0], size * CENTRE[1]]) - scale * centre
    return torch.tensor([[scale, 0, shift[0]], [0, scale, shift[1]]])


def transform_points(matrix: Tensor, points: Tensor) -> Tensor:
    """Points carried by a similarity.

    Args:
        matrix: [2, 3].
        points: [V, 2 or 3]; a third coordinate, the depth, is scaled like the other two.

    Returns:
        The points, in the shape they came in.
    """
    flat = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    if points.shape[1] == 2:
        return flat
    return torch.cat([flat, points[:, 2:] * matrix[:, :2].det().sqrt()], 1)


def warp(image: Tensor, matrix: Tensor, size: int = CROP_SIZE) -> Tensor:
    """Crop of an image: bicubic, averaged first where it shrinks, filled softly outside the image.

    Outside, the border's colours run into one another without its detail, which would go on in streaks. Inside,
    kornia's `warp_affine` agrees within 4e-5 but is not always there: ComfyUI lists it as non-essential.

    Args:
        image: [3, H, W], in any range; the crop stays within the image's own.
        matrix: [2, 3], image pixels to crop pixels, in the convention of `tensors.sampling_grid`: any similarity.
        size: side of the crop in pixels.

    Returns:
        [3, size, size].
    """
    scale = float(matrix[:, :2].det().abs().sqrt())
    if scale < MIN_SCALE:
        small = F.interpolate(image[None], scale_factor=scale, mode="area", recompute_scale_factor=True)[0]
        ratio = torch.tensor([small.shape[2] / image.shape[2], small.shape[1] / image.shape[1]])
        return warp(small, torch.cat([matrix[:, :2] / ratio, matrix[:, 2:]], 1), size)
    grid = sampling_grid(invert_affine(matrix)[None], range(size), range(size), (image.shape[1], image.shape[2]))
    crop = F.grid_sample(image[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0]
    crop = crop.clamp(float(image.min()), float(image.max()))
    inside = (grid[0].abs() <= 1).all(-1)
    return crop if bool(inside.all()) else harmonic_fill(crop, inside)


def plane_alignment(count: int) -> Tensor:
    """Alignment [count, 2, 3] of a track whose crop, 512 pixels wide, is shown whole on the camera plane."""
    scale = PLANE / CROP_SIZE
    return torch.tensor([[scale, 0, 0], [0, scale, 0]]).expand(count, 2, 3).clone()


def to_uint8_array(image: Tensor) -> np.ndarray:
    """Array uint8 [H, W, 3] of an image [H, W, 3]: floats in 0–1 are rounded, uint8 is shared without a copy."""
    return image.numpy() if image.dtype == torch.uint8 else to_uint8(image).cpu().numpy()
