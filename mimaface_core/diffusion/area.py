"""The part of the latents where frames may depart from their renders: what lies around it is not computed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

LEAST_FREEDOM = 0.02  # of a render's fourth channel: with less, a usual change is a sixth of an 8-bit level
MARGIN = 3  # latents around it that are computed, too: networks see a little beyond
START, END = 8, 2  # latents: the area begins at the grid of the U-Net's lowest level, and ends near one of its higher
SMALLEST = 16  # latents to a side


@dataclass(frozen=True)
class Area:
    """A rectangle of latents of an image.

    Attributes:
        rows: of the latents.
        columns: of the latents.
        size: height and width of the whole, in latents.
    """

    rows: slice
    columns: slice
    size: tuple[int, int]

    def cut(self, whole: Tensor, scale: int = 1) -> Tensor:
        """The area of [..., H, W], which has `scale` pixels to a latent."""
        rows, columns = (slice(side.start * scale, side.stop * scale) for side in (self.rows, self.columns))
        return whole[..., rows, columns]

    def grown(self, by: int) -> Area:
        """The area with so many more latents on every side, where the image has them."""
        rows, columns = (
            slice(max(side.start - by, 0), min(side.stop + by, end))
            for side, end in zip((self.rows, self.columns), self.size, strict=True)
        )
        return Area(rows, columns, self.size)

    def placed(self, part: Tensor, around: float = 0.0) -> Tensor:
        """The whole [..., h, w], a number around the area."""
        if part.shape[-2:] == self.size:
            return part
        whole = part.new_full((*part.shape[:-2], *self.size), around)
        whole[..., self.rows, self.columns] = part
        return whole


def whole_area(size: tuple[int, int]) -> Area:
    """All of an image of `size`, height and width in latents."""
    return Area(slice(0, size[0]), slice(0, size[1]), size)


def free_area(freedom: Tensor, size: tuple[int, int]) -> Area:
    """The rectangle in which frames may depart from their renders.

    Args:
        freedom: [N, H, W] in 0–1, of the frames of a clip, which share the area.
        size: height and width of the whole, in latents.
    """
    free = freedom.amax(0) > LEAST_FREEDOM
    scale = freedom.shape[-1] // size[1]
    sides = []
    for axis, length in zip((1, 0), size, strict=True):
        places = free.any(axis).nonzero()[:, 0]
        low, high = (int(places[0]) // scale, int(places[-1]) // scale + 1) if len(places) else (0, 0)
        start = min(max(low - MARGIN, 0), max(length - SMALLEST, 0)) // START * START
        stop = max(-(-(high + MARGIN) // END) * END, start + SMALLEST)
        sides.append(slice(start, min(stop, length)))
    return Area(sides[0], sides[1], size)
