"""Movement that fades to nothing towards the edge of the crop, which is pasted into a still image."""

from __future__ import annotations

import torch
from torch import Tensor

from ..tensors import smoothstep

EDGE_BANDS = (0.1, 0.3)  # of the crop's side: narrowest and widest band in which movement ends at the crop's edge
EDGE_SLOPE = 2.0  # width of that band, against the movement that would reach the edge: without it, images would fold


def still_at_edge(pixels: Tensor, rims: Tensor, centres: Tensor) -> Tensor:
    """A map from an image to the photograph that is the identity at the edge.

    Args:
        pixels: [N, S, S, 2], the place in the photograph of each pixel; planes in memory are fastest.
        rims: [N, P, 2], points that the change must not reach: rims of eyes and mouth, whose inside is drawn apart.
        centres: [S, S, 2], of the pixels.

    Returns:
        [N, S, S, 2].
    """
    move, size = pixels - centres, pixels.shape[1]
    border = torch.cat([move[:, 0], move[:, -1], move[:, :, 0], move[:, :, -1]], 1).norm(dim=-1).amax(1)
    room = torch.minimum(rims, size - rims).flatten(1).amin(1)
    low, high = (share * size for share in EDGE_BANDS)
    band = torch.minimum((EDGE_SLOPE * border).clamp(low, high), room.clamp(min=1))
    columns, rows = (
        smoothstep(torch.minimum(line, size - line) / band[:, None]) for line in (centres[0, :, 0], centres[:, 0, 1])
    )
    return torch.addcmul(centres, move, (rows[:, :, None] * columns[:, None])[..., None])
