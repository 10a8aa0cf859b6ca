"""Faces cut out of images by their alignment, as the released inference cuts them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from ..tensors import from_whole_centres, invert_affine, sampling_grid


def aligned(image: Tensor, alignment: Tensor, size: int = 256) -> Tensor:
    """Faces cut out as the released inference does it: bilinear, nothing averaged, 0 (grey) outside the image.

    Args:
        image: [N, 3, H, W] in ±1.
        alignment: [N, 2, 3], image pixels to pixels of the result, with whole-number pixel centres on both sides, as
            OpenCV and the released inference count; converted here to the convention of `tensors.sampling_grid`.
        size: side of the result in pixels.

    Returns:
        [N, 3, size, size] in ±1.

    Raises:
        ValueError: the shapes do not fit.
        InputError: a matrix cannot be inverted.
    """
    if image.ndim != 4 or image.shape[1] != 3 or tuple(alignment.shape) != (len(image), 2, 3):
        raise ValueError(f"{list(image.shape)} and {list(alignment.shape)} are not images and matrices of N faces")
    matrix = from_whole_centres(alignment.to("cpu", torch.float64))  # some devices have no float64
    try:
        back = invert_affine(matrix)
    except torch.linalg.LinAlgError as error:
        raise InputError("An alignment squeezes the image to a line; find the face again.") from error
    # align_corners keeps the released numbers to the bit
    grid = sampling_grid(back, range(size), range(size), (image.shape[2], image.shape[3]), align_corners=True)
    return F.grid_sample(image, grid.to(image), mode="bilinear", padding_mode="zeros", align_corners=True)
