"""Textures of the mouth's inside: teeth, tongue and cavity, painted in a photograph's light and completed from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

MOUTH_LAYERS = ("upper_teeth", "lower_teeth", "tongue", "cavity")  # from front to back, and down the texture
LAYER_INSET = 0.03  # share of a layer's rows at either end that its mesh does not reach
FULL_EVIDENCE_TEXELS = 400  # visible texels of teeth that fix the colour of all others
LEAST_TEETH = 0.25  # of the texels that a photograph shows, from which on it tells the gaps between teeth
DARK_LEVEL = 0.4  # of the light's brightness: darker colours lie deep in the mouth
BLEED_TEXELS = 5  # by which visible colours are continued
# hues of skin, sclera and (by teeth) light, medians of 127 public-domain portraits; how far skins differ, and how much
# of a light's hue follows from each
USUAL_SKIN, USUAL_WHITE, USUAL_LIGHT = (1.30, 0.92, 0.80), (1.12, 0.97, 0.91), (1.045, 0.985, 0.96)
SKINS_DIFFER, HUE_BY_SKIN, HUE_BY_WHITE = 0.15, 0.6, 0.4
UNEVENNESS = 0.012  # standard deviation of the lengths of teeth, in rows of the layer
TOOTH_SEED, TONGUE_SEED = 3, 5  # of the noise that makes them irregular


class Teeth(NamedTuple):
    """One row of teeth; tuples go from the middle to the back, rows from 0 at the gum to 1 at the edge of the layer.

    Attributes:
        widths: of the teeth, mm.
        edge: row at which the first tooth ends.
        shorter: rows by which each tooth is shorter than that.
        pointed: rows by which each tooth's corners are shorter than its middle.
        gum: row at which the gum ends.
        bright: brightness against the light.
        back: place at which the row ends, 0 in the middle to 1 at the mesh's side.
    """

    widths: tuple[float, ...]
    edge: float
    shorter: tuple[float, ...]
    pointed: tuple[float, ...]
    gum: float
    bright: float
    back: float


# crowns of about the usual widths
UPPER_TEETH = Teeth(
    widths=(8.5, 6.6, 7.6, 7.0, 6.8, 8.0),
    edge=0.90,
    shorter=(0.0, 0.03, 0.01, 0.06, 0.08, 0.09),
    pointed=(0.0, 0.01, 0.05, 0.05, 0.05, 0.04),
    gum=0.22,
    bright=1.0,
    back=0.95,
)
LOWER_TEETH = Teeth(
    widths=(5.2, 5.8, 6.8, 7.0, 7.0, 7.0),
    edge=0.90,
    shorter=(0.0, 0.0, -0.01, 0.03, 0.05, 0.06),
    pointed=(0.0, 0.0, 0.04, 0.04, 0.04, 0.04),
    gum=0.30,
    bright=0.85,
    back=0.75,
)
TEETH_ROWS_OF = {"upper_teeth": UPPER_TEETH, "lower_teeth": LOWER_TEETH}


def light_of(skin: Tensor, white: Tensor | None = None) -> Tensor:
    """Estimated colour of the light on a face: the colour that white has in it.

    Skins differ among people; only one that is far warmer than the usual tells of a warm light.

    Args:
        skin: [3] in 0–1, colour of the skin.
        white: [3] in 0–1, colour of the whites of the eyes; None where no eye shows them.

    Returns:
        [3], about 0.2–1.5.
    """
    level, apart = 1.3 * skin.mean(), _hue_from(skin, USUAL_SKIN)
    warm = (-apart[2]).clamp(min=0).square()
    hue = HUE_BY_SKIN * apart * warm / (warm + SKINS_DIFFER**2)
    if white is not None:
        level, hue = level.maximum(1.2 * white.mean()), hue + HUE_BY_WHITE * _hue_from(white, USUAL_WHITE)
    return level.clamp(0.3, 1.03) * hue.exp().clamp(0.6, 1.5) * skin.new_tensor(USUAL_LIGHT)


def _hue_from(colour: Tensor, usual: tuple[float, float, float]) -> Tensor:
    """Logarithm [3] of the hue of a colour [3] against the usual one."""
    hue = (colour / colour.mean().clamp(min=0.02)).clamp(min=0.1)
    return (hue / hue.new_tensor(usual)).log()


def paint(name: str, light: Tensor, side: int) -> Tensor:
    """Paint a layer of the mouth without shadows.

    Args:
        name: one of MOUTH_LAYERS.
        light: [3], see `light_of`.
        side: width of the texture T in texels.

    Returns:
        [4, T / 4, T]: colour in ±1, and opacity in 0–1.
    """
    rows, columns = ((torch.arange(n) + 0.5) / n for n in (side // 4, side))
    along, across = torch.meshgrid((rows - LAYER_INSET) / (1 - 2 * LAYER_INSET), columns * 2 - 1, indexing="ij")
    if name in TEETH_ROWS_OF:
        colour, opacity = _teeth(TEETH_ROWS_OF[name], along, across)
    elif name == "tongue":
        colour, opacity = _tongue(along, across)
    else:
        colour = _mix((0.44, 0.18, 0.16), (0.28, 0.10, 0.09), along / 0.6) * (1 - 0.5 * across.abs() ** 1.5)
        opacity = torch.ones_like(along)
    return torch.cat([(colour * light[:, None, None]).clamp(0, 0.98) * 2 - 1, opacity[None]])


def _mix(first: tuple[float, ...], second: tuple[float, ...], share: Tensor) -> Tensor:
    """Colours [3, h, w] between two, `first` where share [h, w] is 0."""
    a, b = torch.tensor(first)[:, None, None], torch.tensor(second)[:, None, None]
    return a + (b - a) * share.clamp(0, 1)


def _teeth(row: Teeth, along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [3, h, w] in 0–1 and opacity [h, w] of one row; along: 0 at the gum to 1 at the edge; across: ±1."""
    widths = torch.tensor(row.widths)
    ends = F.pad(widths.cumsum(0) / widths.sum(), (1, 0))
    number = torch.bucketize(across.abs(), ends[1:-1])
    t = 2 * (across.abs() - ends[number]) / (ends[1:] - ends[:-1])[number] - 1  # −1 to 1 over each tooth
    generator = torch.Generator().manual_seed(TOOTH_SEED)
    irregular = torch.randn(2, 2 * len(widths), generator=generator)[:, number + len(widths) * (across > 0)]
    corner = 0.035 * t.abs() ** 4 + 0.02 * t.clamp(min=0) ** 2
    shorter = torch.tensor(row.shorter)[number]
    edge = row.edge - shorter - torch.tensor(row.pointed)[number] * t.abs() - corner + UNEVENNESS * irregular[0]
    opacity = ((edge - along) / 0.045 + 0.5).clamp(0, 1) * ((row.back - across.abs()) / 0.2).clamp(0, 1)

    high = ((along - row.gum) / (edge - row.gum)).clamp(0, 1)  # 0 at the neck of the tooth to 1 at its edge
    enamel = _mix((0.88, 0.80, 0.69), (0.97, 0.92, 0.84), high / 0.45)
    enamel = enamel + (_mix((0.86, 0.84, 0.79), (0.86, 0.84, 0.79), high) - enamel) * ((high - 0.75) / 0.4).clamp(0, 1)
    canine = (number == 2).float()
    enamel = enamel * (1 + 0.025 * irregular[1]) * _mix((1, 1, 1), (0.98, 0.95, 0.89), canine)
    beside = (1 - t.abs()) * widths[number] / 2  # mm from the next tooth
    enamel = enamel * (1 - 0.14 * t**2) * (1 - (0.14 + 0.22 * high) * torch.exp(-((beside / 0.4) ** 2)))
    enamel = enamel + 0.07 * torch.exp(-(((t + 0.25) / 0.3) ** 2) - ((high - 0.45) / 0.25) ** 2)
    scallop = row.gum + 0.04 * t**2 * (1 + irregular[1] * 0.2)
    gum = _mix((0.62, 0.33, 0.32), (0.78, 0.46, 0.44), along / row.gum)
    colour = enamel + (gum - enamel) * ((scallop - along) / 0.05 + 0.5).clamp(0, 1)
    return row.bright * colour * (1 - 0.62 * across.abs() ** 1.8), opacity


def _tongue(along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    """Colour [3, h, w] in 0–1 and opacity [h, w] of the tongue; along: 0 at its tip to 1 at its back; across: ±1."""
    colour = _mix((0.74, 0.42, 0.39), (0.42, 0.18, 0.16), along) * (1 - 0.45 * across**2)
    colour = colour * (1 - 0.16 * torch.exp(-((across / 0.09) ** 2)) * along.clamp(0, 1))
    wet = torch.exp(-(((across.abs() - 0.28) / 0.14) ** 2) - ((along - 0.28) / 0.10) ** 2)
    grain = torch.randn(1, 1, *[n // 2 for n in along.shape], generator=torch.Generator().manual_seed(TONGUE_SEED))
    grain = F.interpolate(grain, along.shape, mode="bilinear", align_corners=False)[0, 0]
    colour = colour * (1 + 0.03 * grain) + 0.14 * wet
    return colour, ((1 - across.abs()) / 0.12).clamp(0, 1) * ((along + LAYER_INSET) / 0.06).clamp(0, 1)


def tooth_likeness(colour: Tensor, light: Tensor) -> Tensor:
    """Likeness to teeth, 0–1: neither dark nor red.

    Args:
        colour: [3, h, w] in ±1.
        light: [3], see `light_of`.

    Returns:
        [h, w].
    """
    colour = (colour + 1) / 2
    bright, red = colour.mean(0) / light.mean(), 1 - colour.amin(0) / colour.amax(0).clamp(min=0.02)
    return ((bright - 0.38) / 0.15).clamp(0, 1) * ((0.46 - red) / 0.12).clamp(0, 1)


def upper_teeth_edge(view: Tensor, opening: Tensor, light: Tensor) -> Tensor | None:
    """Lower edge of the upper teeth in a photograph.

    Args:
        view: [3, h, w] in ±1, the photograph around the mouth.
        opening: bool [h, w], inside the lips.
        light: [3], see `light_of`.

    Returns:
        The row of the edge, a scalar; None where the photograph shows no upper teeth.
    """
    teeth = opening & (tooth_likeness(view, light) > 0.5)
    below = (teeth.cumsum(0) > 0) & ~teeth & opening
    first = teeth & (below.cumsum(0) < 2)  # below a dark line lie the lower teeth
    clear = first.sum(0) >= 3
    if clear.sum() < 0.5 * opening.any(0).sum().clamp(min=6):
        return None
    rows = torch.arange(1.0, len(view[0]) + 1)[:, None]
    return (rows * first).amax(0)[clear].quantile(0.75)


def with_photograph(
    painted: Tensor, photograph: Tensor, known: Tensor, light: Tensor, *, teeth: bool, openness: Tensor
) -> Tensor:
    """A painted layer with the photograph where it shows the layer.

    Visible colours are continued by BLEED_TEXELS; farther away painted teeth take their mean colour.

    Args:
        painted: [4, h, w], see `paint`.
        photograph: [3, h, w] in ±1, the photograph's colours at the texels.
        known: [h, w] in 0–1, where it shows this layer.
        light: [3], see `light_of`.
        teeth: whether this layer is a row of teeth.
        openness: scalar in 0–1, how surely dark colours are the open mouth between the teeth.

    Returns:
        [5, h, w]: colour in ±1, share taken from the photograph, opacity.
    """
    colour, opacity = painted[:3], painted[3]
    likeness = tooth_likeness(photograph, light)
    if teeth:
        dark = openness * known * (1 - (photograph.mean(0) + 1) / 2 / light.mean() / DARK_LEVEL).clamp(0, 1)
        seen = known.sum()
        known = known * (2 * _box_blur(likeness, 2)).clamp(max=1)  # with the lines between them
        share = (known.sum() / FULL_EVIDENCE_TEXELS).clamp(max=1)
        # where hardly a tooth is seen, the row is hidden by the lip: its place, and so its gaps, are not known
        dark = dark * (known.sum() / (LEAST_TEETH * seen).clamp(min=1)).clamp(max=1)
        ratio = 1.15 * ((photograph + 1) * known).sum((1, 2)) / ((colour + 1) * known).sum((1, 2)).clamp(min=1e-3)
        colour = (colour + 1) * (1 + share * (ratio.clamp(0.7, 1.6) - 1))[:, None, None] - 1
        opacity = torch.maximum(opacity * (1 - dark), known)
    else:
        known = known * (1 - likeness)  # teeth that the meshes do not cover stay where they are
    near = _box_blur(known, BLEED_TEXELS)
    continued = _box_blur(photograph * known, BLEED_TEXELS) / near.clamp(min=1e-3)
    colour = colour + (near * 2).clamp(max=1) * (continued - colour)
    visible = torch.maximum(known, (near * 2).clamp(max=1))
    return torch.cat([colour + known * (photograph - colour), visible[None], opacity[None]])


def _box_blur(x: Tensor, reach: int) -> Tensor:
    """Mean of [..., h, w] over 2·reach + 1 texels each way, with zeros outside."""
    return F.avg_pool2d(x.reshape(1, -1, *x.shape[-2:]), 2 * reach + 1, stride=1, padding=reach).reshape(x.shape)
