"""What an alignment does: faces cut out of pictures as the released inference cuts them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError


def aligned(picture: Tensor, alignment: Tensor, size: int = 256) -> Tensor:
    """Cut faces out as the released inference does: bilinear, nothing averaged, 0 (grey) outside of the picture.

    Args:
        picture: [N, 3, H, W] in ±1.
        alignment: [N, 2, 3] from picture pixels to those of the result, both counted so that a pixel's centre
            has whole coordinates (as OpenCV does).
        size: side of the result in pixels.

    Returns:
        [N, 3, size, size] in ±1.

    Raises:
        InputError: the shapes do not fit, or a matrix cannot be inverted.
    """
    if picture.ndim != 4 or picture.shape[1] != 3 or tuple(alignment.shape) != (len(picture), 2, 3):
        raise InputError(
            f"To cut faces out, give pictures [N, 3, H, W] and matrices [N, 2, 3], not {list(picture.shape)} "
            f"and {list(alignment.shape)}."
        )
    alignment = alignment.to("cpu", torch.float64)  # not every device has doubles
    linear, errors = torch.linalg.inv_ex(alignment[..., :2])
    if errors.any():
        raise InputError("An alignment squeezes the picture to a line; find the face again.")
    back = torch.cat([linear, -linear @ alignment[..., 2:]], -1)
    steps = torch.arange(size, dtype=back.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    grid = torch.einsum("hwk,nck->nhwc", torch.stack([x, y, torch.ones_like(x)], -1), back)
    height, width = picture.shape[2:]
    grid = grid * grid.new_tensor([2 / (width - 1), 2 / (height - 1)]) - 1
    return F.grid_sample(picture, grid.to(picture), mode="bilinear", padding_mode="zeros", align_corners=True)
