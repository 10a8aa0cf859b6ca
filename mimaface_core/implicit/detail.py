"""The photograph itself, carried by the generator's flow, at any size.

Not in the published system. A small generator draws coarsely, but the flow by which it moves its features moves the
photograph as well: sharp, with its pores, hair and background. What the generator draws is only taken where it says
that the photograph has nothing to give, as inside a mouth that opens. A face that does not move is the photograph.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .encoder import Source
from .generator import Drawn, Generator, places_of, shares_of


class Carried(NamedTuple):
    """A photograph, and how the generator moves it to where it already is.

    Attributes:
        image: [1, 3, R, R] in ±1, or one of each frame [B, 3, R, R].
        flow: raw flow [1 or B, 3, r, r] of the source drawn with its own motion.
    """

    image: Tensor
    flow: Tensor


@torch.no_grad()
def carried(generator: Generator, source: Source, photograph: Tensor) -> Carried:
    """A photograph to be carried.

    Args:
        generator: that encoded the source.
        source: one image.
        photograph: the same image [1, 3, R, R] in ±1, at any size.
    """
    return Carried(photograph, generator.dec.draw(source.style, source.features, [source.motion]).flows[-1])


def with_photograph(drawn: Drawn, photograph: Carried) -> Tensor:
    """Frames out of the photograph's own pixels where it has them, and of drawn ones elsewhere.

    Args:
        drawn: B frames.
        photograph: of their source.

    Returns:
        [B, 3, R, R], not clamped.
    """
    size, flow, own = photograph.image.shape[-1], drawn.flows[-1].float(), photograph.flow.float()
    # what the generator would draw anew of the source itself, the photograph shows
    shown = torch.cat([photograph.image, 1 - enlarged(shares_of(own), size)], 1)
    taken, share = taken_from(shown, places_of(flow) - places_of(own), shares_of(flow))
    share = (share + taken[:, 3:]).clamp(max=1)
    return torch.lerp(enlarged(drawn.image.float(), size), taken[:, :3], share)


def taken_from(image: Tensor, shift: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """What a flow takes from a larger image, and how much of it is to be kept.

    Args:
        image: [1 or B, C, R, R].
        shift: where each pixel is taken from, from where it is, [B, r, r, 2] in half sides.
        share: [B, 1, r, r] in 0–1.

    Returns:
        [B, C, R, R] and [B, 1, R, R].
    """
    moved = enlarged(torch.cat([shift.permute(0, 3, 1, 2), share], 1), image.shape[-1])
    places = centres_of(moved) + moved[:, :2].permute(0, 2, 3, 1)
    image = image.expand(len(moved), -1, -1, -1)
    return F.grid_sample(image, places, padding_mode="border", align_corners=False), moved[:, 2:]


def enlarged(image: Tensor, size: int) -> Tensor:
    """Images [B, C, S, S] at another size, linear between pixels; the same where it is theirs."""
    if image.shape[-1] == size:
        return image
    return F.interpolate(image, (size, size), mode="bilinear", align_corners=False)


def centres_of(image: Tensor) -> Tensor:
    """Centres of the pixels of images [B, C, r, r]: [r, r, 2] in ±1."""
    axis = (torch.arange(image.shape[-1], device=image.device, dtype=image.dtype) * 2 + 1) / image.shape[-1] - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1)
