"""Bicubic lookup in images.

Pixels count from the image's edge: the centre of the first is (0.5, 0.5).
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from .kernels import find


class Lookup:
    """Bicubic lookup in an image, which is prepared once; the border continues.

    Args:
        image: [C, S, S] in ±1.

    Attributes:
        image: the same.
        extent: lowest and highest x and y [2, 2] in pixels from which a lookup is not 0.
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image
        compiled = find(image)
        self._widened = None if compiled is None else compiled.widened(image)

    @cached_property
    def extent(self) -> Tensor:  # noqa: D102 - see the class
        rows, columns = (self.image != 0).any(0).nonzero().unbind(1)
        if not len(rows):
            return self.image.new_zeros(2, 2)
        corners = torch.stack([columns, rows], 1)
        return torch.stack([corners.amin(0) - 1.5, corners.amax(0) + 2.5])

    def __call__(self, pixels: Tensor, where: Tensor | None = None, spare: int = 0) -> Tensor:
        """What the image shows.

        Args:
            pixels: [N, H, W, 2], x and y in pixels of the image.
            where: bool [N, H, W], places that are looked up; everywhere when None.
            spare: further channels of what is returned, their content left open.

        Returns:
            [N, C + spare, H, W], clamped to ±1; 0 elsewhere.
        """
        compiled = find(pixels)
        if compiled is not None and self._widened is not None:
            return compiled.bicubic(self._widened, len(self.image), spare, pixels, where)
        if spare:
            return F.pad(self(pixels, where), (0, 0, 0, 0, 0, spare))
        if where is not None:
            found = self.image.new_zeros(len(self.image), *where.shape)
            found[:, where] = self(pixels[where][None, None])[0, :, 0]
            return found.transpose(0, 1)
        grid = pixels / self.image.shape[-1] * 2 - 1
        images = self.image[None].expand(len(pixels), -1, -1, -1)
        return F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)


def sample(image: Tensor, pixels: Tensor) -> Tensor:
    """What an image [C, S, S] shows in places [N, H, W, 2], see `Lookup`."""
    return Lookup(image)(pixels)
