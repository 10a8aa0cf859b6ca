"""The source's own detail on drawn frames, at any size: what the generator misses of the photograph moves along.

Not in the published system. A small generator draws the source itself imperfectly; the difference between the
photograph and that drawing is carried by the flow by which the generator moves its finest features, so that a face
that does not move is the photograph, and one that moves keeps its pores, hair and background.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .generator import Drawn, Generator, Source, places_of, shares_of


def missing_detail(generator: Generator, source: Source, photograph: Tensor) -> Tensor:
    """What the generator's drawing of the source lacks: [B, 3, R, R].

    Args:
        generator: that encoded the source.
        source: B images.
        photograph: the same images [B, 3, R, R] in ±1, R at least the generator's size.
    """
    drawn = generator.dec.coarse(source.style, source.features, [source.motion])
    return photograph - enlarged(drawn, photograph.shape[-1])


def with_detail(drawn: Drawn, detail: Tensor) -> Tensor:
    """Drawn frames with the source's detail.

    Args:
        drawn: B frames of S × S pixels.
        detail: [1 or B, 3, R, R], from `missing_detail`.

    Returns:
        [B, 3, R, R], not clamped.
    """
    size, flow = detail.shape[-1], drawn.flows[-1]
    shift = (places_of(flow) - _centres(flow)).permute(0, 3, 1, 2)
    moved = enlarged(torch.cat([shift, shares_of(flow)], 1), size, "bilinear")
    places = _centres(moved) + moved[:, :2].permute(0, 2, 3, 1)
    carried = F.grid_sample(
        detail.expand(len(moved), -1, -1, -1).to(moved), places, padding_mode="border", align_corners=False
    )
    return enlarged(drawn.image, size) + carried * moved[:, 2:]


def enlarged(image: Tensor, size: int, mode: str = "bicubic") -> Tensor:
    """Images [B, C, S, S] at another size; the same where it is theirs."""
    if image.shape[-1] == size:
        return image
    return F.interpolate(image, (size, size), mode=mode, align_corners=False)


def _centres(image: Tensor) -> Tensor:
    """Centres of the pixels of images [B, C, r, r]: [r, r, 2] in ±1."""
    axis = (torch.arange(image.shape[-1], device=image.device, dtype=image.dtype) * 2 + 1) / image.shape[-1] - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)
