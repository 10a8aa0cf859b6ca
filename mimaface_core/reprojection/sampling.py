"""Places in images: how far maps stretch, distances from lines and polygons, boxes of pixels.

Pixels count from the image's edge: the centre of the first is (0.5, 0.5). Blur and polygon masks are ours, since
kornia, which has both, may be absent from a ComfyUI.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..kernels import find


@dataclass(frozen=True)
class PixelBox:
    """A rectangle of pixels.

    Attributes:
        rows: of the image.
        columns: of the image.
        centres: [h, w, 2], x and y of the pixels' centres.
    """

    rows: slice
    columns: slice
    centres: Tensor

    @property
    def index(self) -> tuple[slice, slice, slice]:
        """Index of the box in an image [C, H, W]."""
        return slice(None), self.rows, self.columns

    @property
    def corner(self) -> tuple[int, int]:
        """Column and row of its first pixel."""
        return self.columns.start, self.rows.start


def pixel_box(points: Tensor, reach: int, size: int | tuple[int, int]) -> PixelBox:
    """Pixels of an image near points.

    Args:
        points: [..., 2], x and y in pixels.
        reach: pixels by which the box extends beyond the points on every side.
        size: side of the image, or its height and width; the box is cut to it, and is at least 2 × 2.
    """
    height, width = (size, size) if isinstance(size, int) else size
    limit = torch.tensor([width, height], device=points.device)
    low = (points.reshape(-1, 2).amin(0) - reach).floor().long().clamp(min=0).minimum(limit - 2).tolist()
    high = (points.reshape(-1, 2).amax(0) + reach).ceil().long().clamp(min=2).minimum(limit).tolist()
    x, y = slice(low[0], max(high[0], low[0] + 2)), slice(low[1], max(high[1], low[1] + 2))
    columns, rows = (torch.arange(of.start, of.stop, device=points.device) + 0.5 for of in (x, y))
    return PixelBox(y, x, torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1))


def stretch(pixels: Tensor, cover: Tensor, low: float, high: float) -> Tensor:
    """Local distortion of a map: Frobenius norm of its Jacobian less the identity, 0 for a shift.

    Args:
        pixels: [N, H, W, 2], the place that each pixel is taken from.
        cover: bool [N, H, W], where the map is meant; elsewhere pixels stay.
        low: distortion that counts as none.
        high: distortion that counts as 1.

    Returns:
        [N, 1, H, W] in 0–1.
    """
    compiled = find(pixels)
    if compiled is not None:
        return compiled.stretch(pixels, cover, low, high)
    total = pixels.new_zeros(pixels.shape[:3])
    for axis, plane in enumerate(pixels.unbind(-1)):
        line = torch.arange(plane.shape[2 - axis], device=plane.device) + 0.5
        move = torch.where(cover, plane - (line[:, None] if axis else line), 0)
        right, down = move[:, :, 1:] - move[:, :, :-1], move[:, 1:] - move[:, :-1]
        total[:, :, :-1].addcmul_(right, right)
        total[:, :-1].addcmul_(down, down)
    return ((total.sqrt_()[:, None] - low) / (high - low)).clamp_(0, 1)


def line_distance(points: Tensor, line: Tensor) -> Tensor:
    """Distance [...] of points [..., 2] from an open line through the corners [P, 2]."""
    (start_x, start_y), (dx, dy) = line[:-1].unbind(1), (line[1:] - line[:-1]).unbind(1)
    x, y = points[..., :1] - start_x, points[..., 1:] - start_y  # [..., P - 1]
    t = ((x * dx + y * dy) / (dx.square() + dy.square()).clamp(min=1e-6)).clamp_(0, 1)
    return (x - t * dx).square_().add_((y - t * dy).square_()).amin(-1).sqrt()


def inside_polygon(points: Tensor, polygon: Tensor, margin: float) -> Tensor:
    """Soft mask of a polygon, by the even–odd rule.

    Args:
        points: [..., 2].
        polygon: [P, 2], its corners.
        margin: pixels from the edge inwards that do not count.

    Returns:
        [...]: 0 outside and within the margin, 1 from `margin` + 1 pixels inwards.
    """
    a, b, inside = polygon, polygon.roll(-1, 0), points.new_zeros(points.shape[:-1])
    near = ((points >= polygon.amin(0)) & (points <= polygon.amax(0))).all(-1)
    p = points[near]
    beside = (a[:, 1] > p[:, 1:]) != (b[:, 1] > p[:, 1:])
    edge_x = (b[:, 0] - a[:, 0]) * (p[:, 1:] - a[:, 1]) / (b[:, 1] - a[:, 1] + 1e-9) + a[:, 0]
    crosses = (beside & (p[:, :1] < edge_x)).sum(-1)
    distance = line_distance(p, torch.cat([polygon, polygon[:1]]))
    inside[near] = (distance - margin).clamp(0, 1) * (crosses % 2)
    return inside
