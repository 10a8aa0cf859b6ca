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
from .local_motion import FIELD, LocalMotion, cavity, moved_places, with_moved_eyes


class Carried(NamedTuple):
    """A photograph, and how the generator moves it to where it already is.

    Attributes:
        image: [1, 3, R, R] in ±1, or one of each frame [B, 3, R, R].
        flow: raw flow [1 or B, 3, r, r] of the source drawn with its own motion.
        local: how its places move, where codes tell; None where the generator moves all of them.
    """

    image: Tensor
    flow: Tensor
    local: LocalMotion | None = None


@torch.no_grad()
def own_flow(generator: Generator, source: Source) -> Tensor:
    """The raw flow [1, 3, r, r] by which a generator draws a source with its own motion."""
    return generator.dec.flow(source.style, source.features, [source.motion.to(source.style)])


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


def with_local_motion(flow: Tensor, photograph: Carried, local: LocalMotion, change: Tensor) -> Tensor:
    """Frames [B, 3, R, R] of the photograph alone, not clamped: its eyes and places moved, then turned with the head.

    Args:
        flow: raw, of B frames [B, 3, r, r], which turns the head.
        photograph: of their source.
        local: how its places move.
        change: of its local movements [B, 14].
    """
    flow, size = flow.float(), photograph.image.shape[-1]
    shift = (places_of(flow) - places_of(photograph.flow.float())).permute(0, 3, 1, 2)
    shift = enlarged(shift, FIELD)
    centres = centres_of(shift)
    turned = centres + shift.permute(0, 2, 3, 1)
    shift = (moved_places(turned, local, change) - centres).permute(0, 3, 1, 2)
    taken = _carried(with_moved_eyes(photograph.image, local, change), enlarged(shift, size))
    inside = F.grid_sample(cavity(local, change), turned, padding_mode="border", align_corners=False)
    inside = enlarged(inside, size)
    return torch.lerp(taken, inside[:, :3], inside[:, 3:])


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
    return _carried(image, moved[:, :2]), moved[:, 2:]


def _carried(image: Tensor, shift: Tensor) -> Tensor:
    """An image [1 or B, C, R, R] whose pixels are taken from elsewhere, as far away as shifts [B, 2, R, R] say."""
    places = centres_of(shift) + shift.permute(0, 2, 3, 1)
    image = image.expand(len(shift), -1, -1, -1)
    return F.grid_sample(image, places, padding_mode="border", align_corners=False)


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
