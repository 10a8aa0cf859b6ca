"""Textures of the mouth's inside: teeth, tongue and cavity in the light of a photograph, and what it shows of them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LAYERS = ("upper_teeth", "lower_teeth", "tongue", "cavity")  # from front to back, and down the texture
INSET = 0.03  # of a layer's rows, how many at either end its mesh does not reach
ENOUGH = 400  # texels of teeth that tell the colour of all others
DARK = 0.4  # of a white thing's brightness: what is darker lies deep in the mouth
REACH = 5  # texels by which what the photograph shows is continued


class Teeth(NamedTuple):
    """One row of teeth: widths in mm from the middle to the back, where on the mesh they end, from gum to edge (0–1),
    how much shorter each is than the first, how pointed it is, where the gum begins,
    how bright they look, and how far back they are drawn (0–1)."""

    widths: tuple[float, ...]
    edge: float
    shorter: tuple[float, ...]
    pointed: tuple[float, ...]
    gum: float
    bright: float
    back: float


# crowns of about the usual widths
UPPER = Teeth(
    (8.5, 6.6, 7.6, 7.0, 6.8, 8.0),
    0.90,
    (0.0, 0.045, 0.01, 0.07, 0.09, 0.1),
    (0.0, 0.01, 0.05, 0.05, 0.05, 0.04),
    0.22,
    1.0,
    0.95,
)
LOWER = Teeth(
    (5.2, 5.8, 6.8, 7.0, 7.0, 7.0),
    0.90,
    (0.0, 0.0, -0.01, 0.03, 0.05, 0.06),
    (0.0, 0.0, 0.04, 0.04, 0.04, 0.04),
    0.30,
    0.85,
    0.75,
)
UNEVEN = 0.012  # deviation of teeth's lengths


def light_of(skin: Tensor, white: Tensor) -> Tensor:
    """How a white thing would look in the face's light [3], 0–1, from the colours [3] of its skin and of its eyes' whites."""
    level = (1.3 * skin.mean()).maximum(1.2 * white.mean()).clamp(0.3, 1.03)
    hue = 0.4 * white / white.mean().clamp(min=0.02) + 0.1 * skin / skin.mean().clamp(min=0.02) + 0.5
    return level * hue.clamp(0.6, 1.5)


def paint(name: str, light: Tensor, side: int) -> Tensor:
    """A layer's texture [4, side / 4, side] as it would look unshaded in that light: colour in ±1 and opacity."""
    rows, columns = ((torch.arange(n) + 0.5) / n for n in (side // 4, side))
    along, across = torch.meshgrid((rows - INSET) / (1 - 2 * INSET), columns * 2 - 1, indexing="ij")
    if name in ("upper_teeth", "lower_teeth"):
        colour, opacity = _teeth(UPPER if name == "upper_teeth" else LOWER, along, across)
    elif name == "tongue":
        colour, opacity = _tongue(along, across)
    else:
        colour = _mix((0.44, 0.18, 0.16), (0.28, 0.10, 0.09), along / 0.6) * (1 - 0.5 * across.abs() ** 1.5)
        opacity = torch.ones_like(along)
    return torch.cat([(colour * light[:, None, None]).clamp(0, 0.98) * 2 - 1, opacity[None]])


def _mix(first: tuple[float, ...], second: tuple[float, ...], share: Tensor) -> Tensor:
    a, b = torch.tensor(first)[:, None, None], torch.tensor(second)[:, None, None]
    return a + (b - a) * share.clamp(0, 1)


def _teeth(row: Teeth, along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [3, h, w] in 0–1 and opacity [h, w] of one row; along: 0 at the gum's end to 1; across: −1–1."""
    widths = torch.tensor(row.widths)
    ends = F.pad(widths.cumsum(0) / widths.sum(), (1, 0))
    number = torch.bucketize(across.abs(), ends[1:-1])
    t = 2 * (across.abs() - ends[number]) / (ends[1:] - ends[:-1])[number] - 1  # −1 to 1 over each tooth
    own = torch.randn(2, 2 * len(widths), generator=torch.Generator().manual_seed(3))[
        :, number + len(widths) * (across > 0)
    ]
    corner = 0.035 * t.abs() ** 4 + 0.02 * t.clamp(min=0) ** 2
    edge = (
        row.edge
        - torch.tensor(row.shorter)[number]
        - torch.tensor(row.pointed)[number] * t.abs()
        - corner
        + UNEVEN * own[0]
    )
    opacity = ((edge - along) / 0.045 + 0.5).clamp(0, 1) * ((row.back - across.abs()) / 0.2).clamp(0, 1)

    high = ((along - row.gum) / (edge - row.gum)).clamp(0, 1)  # 0 at the neck of the tooth to 1 at its edge
    enamel = _mix((0.88, 0.80, 0.69), (0.97, 0.92, 0.84), high / 0.45)
    enamel = enamel + (_mix((0.86, 0.84, 0.79), (0.86, 0.84, 0.79), high) - enamel) * ((high - 0.75) / 0.4).clamp(0, 1)
    enamel = enamel * (1 + 0.025 * own[1]) * _mix((1, 1, 1), (0.98, 0.95, 0.89), (number == 2).float())
    beside = (1 - t.abs()) * widths[number] / 2  # mm from the next tooth
    enamel = enamel * (1 - 0.14 * t**2) * (1 - (0.14 + 0.22 * high) * torch.exp(-((beside / 0.4) ** 2)))
    enamel = enamel + 0.07 * torch.exp(-(((t + 0.25) / 0.3) ** 2) - ((high - 0.45) / 0.25) ** 2)
    scallop = row.gum + 0.04 * t**2 * (1 + own[1] * 0.2)
    gum = _mix((0.62, 0.33, 0.32), (0.78, 0.46, 0.44), along / row.gum)
    colour = enamel + (gum - enamel) * ((scallop - along) / 0.05 + 0.5).clamp(0, 1)
    return row.bright * colour * (1 - 0.62 * across.abs() ** 1.8), opacity


def _tongue(along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """The same of the tongue, from its tip (0) to its back (1)."""
    colour = _mix((0.74, 0.42, 0.39), (0.42, 0.18, 0.16), along) * (1 - 0.45 * across**2)
    colour = colour * (1 - 0.16 * torch.exp(-((across / 0.09) ** 2)) * along.clamp(0, 1))
    wet = torch.exp(-(((across.abs() - 0.28) / 0.14) ** 2) - ((along - 0.28) / 0.10) ** 2)
    grain = torch.randn(1, 1, *[n // 2 for n in along.shape], generator=torch.Generator().manual_seed(5))
    grain = F.interpolate(grain, along.shape, mode="bilinear", align_corners=False)[0, 0]
    colour = colour * (1 + 0.03 * grain) + 0.14 * wet
    return colour, ((1 - across.abs()) / 0.12).clamp(0, 1) * ((along + INSET) / 0.06).clamp(0, 1)


def toothlike(colour: Tensor, light: Tensor) -> Tensor:
    """How far colours [3, h, w] in ±1 look like teeth in that light [h, w], 0–1: neither dark nor red."""
    colour = (colour + 1) / 2
    bright, red = colour.mean(0) / light.mean(), 1 - colour.amin(0) / colour.amax(0).clamp(min=0.02)
    return ((bright - 0.38) / 0.15).clamp(0, 1) * ((0.46 - red) / 0.12).clamp(0, 1)


def teeth_edge(view: Tensor, opening: Tensor, light: Tensor) -> Tensor | None:
    """Row at which upper teeth end in a photograph [3, h, w] (±1) of a mouth's opening [h, w], None where it shows none."""
    teeth = opening & (toothlike(view, light) > 0.5)
    below = (teeth.cumsum(0) > 0) & ~teeth & opening
    first = teeth & (below.cumsum(0) < 2)  # what follows a dark line are the lower teeth
    clear = first.sum(0) >= 3
    if clear.sum() < 0.5 * opening.any(0).sum().clamp(min=6):
        return None
    rows = torch.arange(1.0, len(view[0]) + 1)[:, None]
    return (rows * first).amax(0)[clear].quantile(0.75)


def with_shown(painted: Tensor, shown: Tensor, known: Tensor, light: Tensor, teeth: bool, wide: Tensor) -> Tensor:
    """A layer [4, h, w] with what the photograph shows of it: colour, share taken from there, opacity [5, h, w].

    shown: photograph colours [3, h, w] in ±1 where the texels lie; known [h, w]: 0–1, where it shows this layer.
    wide: 0–1, how surely what is dark there is the open mouth. What it shows goes on a little; farther away painted
    teeth take its colour.
    """
    colour, opacity = painted[:3], painted[3]
    like = toothlike(shown, light)
    if teeth:
        dark = wide * known * (1 - (shown.mean(0) + 1) / 2 / light.mean() / DARK).clamp(0, 1)
        known = known * (2 * _soft(like, 2)).clamp(max=1)  # with the lines between them
        share = (known.sum() / ENOUGH).clamp(max=1)
        ratio = 1.15 * ((shown + 1) * known).sum((1, 2)) / ((colour + 1) * known).sum((1, 2)).clamp(min=1e-3)
        colour = (colour + 1) * (1 + share * (ratio.clamp(0.7, 1.6) - 1))[:, None, None] - 1
        opacity = torch.maximum(opacity * (1 - dark), known)
    else:
        known = known * (1 - like)  # teeth that the meshes do not meet stay where they are
    near = _soft(known, REACH)
    continued = _soft(shown * known, REACH) / near.clamp(min=1e-3)
    colour = colour + (near * 2).clamp(max=1) * (continued - colour)
    seen = torch.maximum(known, (near * 2).clamp(max=1))
    return torch.cat([colour + known * (shown - colour), seen[None], opacity[None]])


def _soft(x: Tensor, reach: int) -> Tensor:
    """Mean of [..., h, w] over 2·reach + 1 texels each way, nothing lying beyond."""
    return F.avg_pool2d(x.reshape(1, -1, *x.shape[-2:]), 2 * reach + 1, stride=1, padding=reach).reshape(x.shape)
