"""The line of lashes where lids meet, and its fringe below."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...tensors import smoothstep

OUTER_END, INNER_END = (-0.2, 0.12), (0.7, 1.02)  # along the lid from its outer corner: where the line begins and ends
OPACITY = 0.8
TAPER = 0.8  # share of its thickness that the line has lost at the inner corner
FRINGE, FRINGE_OPACITY = 0.07, 0.55  # eye widths below the line in which the lashes thin out, and how dense they begin
HAIRS, SLANT, UNEVEN = 15, 0.5, 0.5  # lashes of an eye width, how far they point outwards, and share that lies between


def lash_opacity(along: Tensor, below: Tensor, shut: Tensor, thickness: Tensor, width: Tensor) -> Tensor:
    """How much the lashes of a lid that comes down hide, 0–1, of the tensors' common shape.

    Args:
        along: place along the lid, 0 at the outer and 1 at the inner corner.
        below: eye widths below its edge.
        shut: how far it has come down, 0–1; half-way lashes still point to the viewer.
        thickness: sigma of the line, eye widths.
        width: of the eye in pixels.
    """
    sigma = (thickness * (1 - TAPER * along.clamp(0, 1))).maximum(0.5 / width.clamp(min=1))
    line, under = torch.exp(-(below / sigma).square() / 2), below.clamp(min=0)
    hairs = 1 - UNEVEN * (0.5 + 0.5 * torch.sin(2 * math.pi * HAIRS * (along + SLANT * under)))
    fringe = FRINGE_OPACITY * shut.square() * hairs * torch.exp(-under / FRINGE) * (below > 0)
    ends = smoothstep(along, *OUTER_END) * (1 - smoothstep(along, *INNER_END))
    return shut * ends * torch.maximum(OPACITY * line, fringe)
