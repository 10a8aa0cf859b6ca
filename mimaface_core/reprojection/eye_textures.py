"""Complete occluded textures: iris, sclera, closed eyelids and lips."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.geometry import EYE_RADIUS, EYE_SPAN

IRIS_RINGS = 10  # rings of the iris, whose mean colours replace what is hidden
PUPIL_RINGS = 4  # of these, those of the pupil
HIDDEN_IRIS = (-0.60, -0.70, -0.76)  # colour of an iris of which nothing is visible, in ±1
SEAM_DARKNESS = 0.55  # share of its light that the skin loses where an opening closes
EVEN = 1e-3  # of ±1: light that differs less is the same
MAX_GRAIN = 0.05  # of ±1, the most that painted skin varies


def _push_pull(colour: Tensor, known: Tensor, fallback: Tensor) -> Tensor:
    """Inpaint colours [3, T, T] by push–pull: from known places (weight [T, T]) to all others, the nearest first.

    fallback: [3], where nothing is known.
    """
    levels = [((colour * known)[None], known[None, None])]
    while max(levels[-1][0].shape[-2:]) > 1:
        sums, weight = levels[-1]
        levels.append((F.avg_pool2d(sums, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True)))
    filled = fallback[None, :, None, None]
    for sums, weight in reversed(levels):
        filled = F.interpolate(filled, size=sums.shape[-2:], mode="bilinear", align_corners=False)
        share = (weight * 16).clamp(max=1)
        filled = share * sums / weight.clamp(min=1e-6) + (1 - share) * filled
    return filled[0]


def iris_texture(shown: Tensor, known: Tensor, iris: float) -> Tensor:
    """Texture of an iris seen from the front of the pupil; what lids hide takes the mean colour of its ring.

    Args:
        shown: [3, T, T] in ±1, the photograph's colours at the texels.
        known: [T, T] in 0–1, where the eye is open.
        iris: radius of the iris in eye widths.

    Returns:
        [5, T, T]: colour in ±1, share taken from the photograph, opacity.
    """
    side = shown.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    rim = math.asin(min(0.95, max(0.15, min(0.26, iris)) / EYE_RADIUS)) / EYE_SPAN
    ring = (radius / rim * IRIS_RINGS).long().clamp(max=IRIS_RINGS)
    known = known * (radius <= rim * 1.1)
    masks = [known * (ring == k) for k in range(IRIS_RINGS + 1)]
    amount = torch.stack([mask.sum() for mask in masks])
    profile = torch.stack([(shown * mask).sum((1, 2)) for mask in masks], 1) / amount.clamp(min=1e-3)
    # rings that are hidden altogether take the mean of the visible iris, or a dark colour where none is visible
    share = (amount.sum() / 20).clamp(max=1)
    mean = (shown * known).sum((1, 2)) / known.sum().clamp(min=1e-3)
    usual = share * mean + (1 - share) * shown.new_tensor(HIDDEN_IRIS)
    usual = usual[:, None].repeat(1, IRIS_RINGS + 1)
    usual[:, :PUPIL_RINGS] = torch.minimum(usual[:, :PUPIL_RINGS], shown.new_tensor(-0.9))
    share = (amount / 6).clamp(max=1)
    profile = share * profile + (1 - share) * usual
    colour = shown * known + profile[:, ring] * (1 - known)
    opacity = ((rim * 1.06 - radius) / (rim * 0.16)).clamp(0, 1)
    return torch.cat([colour, known[None], opacity[None]])


def without_iris(view: Tensor, opening: Tensor, iris: Tensor) -> Tensor:
    """The photograph around an eye with the iris painted over by the sclera.

    Args:
        view: [3, h, w] in ±1.
        opening: [h, w] in 0–1, inside the lids.
        iris: [h, w] in 0–1, inside the iris.

    Returns:
        [3, h, w] in ±1.
    """
    beside, around = opening * (iris <= 0), opening <= 0
    # the sclera is what is pale and least coloured beside the iris: not lashes, lid rims or their shadow
    pale = view.mean(0) - 1.5 * (view.amax(0) - view.amin(0))
    if (beside > 0.5).sum() > 12:
        beside = beside * (pale >= pale[beside > 0.5].quantile(0.7))
    skin = (view[:, around].median(1).values + 1) / 2
    white = (0.3 * skin + 0.7 * skin.mean()) * 1.1
    if beside.sum() > 4:
        sclera = ((view * beside).sum((1, 2)) / beside.sum() + 1) / 2
        # a sclera that is hardly visible is at least as bright as the skin, and less coloured
        gain = (1.12 * skin.mean() / sclera.mean().clamp(min=0.02)).clamp(min=1.0, max=1.6)
        white = 0.7 * ((0.5 * sclera + 0.5 * sclera.mean()) * gain) + 0.3 * white
    white = white.clamp(max=0.97) * 2 - 1
    share = iris * (opening > 0)
    fill = 0.25 * _push_pull(view, beside, white) + 0.75 * white[:, None, None]
    return view * (1 - share) + fill * share


def closed_opening(view: Tensor, opening: Tensor, fold: Tensor, margin: int, line: Tensor) -> Tensor:
    """The photograph around lids or lips as if they were closed: skin over the opening and a dark line along the seam.

    Args:
        view: [3, h, w] in ±1.
        opening: [h, w] in 0–1, inside the lids or lips.
        fold: [h, w] in 0–1, the opening and the skin beside it whose fold is smoothed when it closes.
        margin: pixels around the opening that still show what lies inside.
        line: [h, w] or [3, h, w] in 0–1, the edge that meets the other.

    Returns:
        [4, h, w]: colour in ±1, and the share in 0–1 in which it replaces the photograph.
    """

    def grown(area: Tensor, by: int) -> Tensor:
        return F.max_pool2d(area[None, None], 2 * by + 1, stride=1, padding=by)[0, 0]

    cover = grown(torch.maximum(opening, fold), margin)
    ring = grown(torch.maximum(opening, fold), 3 * margin) - cover
    level = (view.mean(0) * ring).sum() / ring.sum().clamp(min=1)
    spread = ((view.mean(0) - level).square() * ring).sum().div(ring.sum().clamp(min=1)).sqrt()
    skin = ring * (view.mean(0) >= level - 0.5 * spread - EVEN)  # neither lashes nor creases
    colour = (view * skin).sum((1, 2)) / skin.sum().clamp(min=1)
    fill = _push_pull(view, skin, colour)
    # a little of the skin's own grain, lest it look like wax; what stands out more are lashes
    grain = (view - _box_blur(view[None])[0]).mean(0)
    fill = fill + grain * (1 - (grain / MAX_GRAIN).square()).clamp(min=0) * (1 - opening)
    fill = (fill + 1) * (1 - SEAM_DARKNESS * line) - 1
    return torch.cat([fill, _box_blur(cover[None, None])[0]])


def _box_blur(x: Tensor) -> Tensor:
    """Mean of [N, C, h, w] over 5 × 5 pixels; the border continues."""
    return F.avg_pool2d(F.pad(x, (2,) * 4, mode="replicate"), 5, stride=1)
