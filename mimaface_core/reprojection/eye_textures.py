"""What lids and lips hide and cover: irises and whites of the eyes, the photograph with them shut; and how to look at it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import EYE_RADIUS, EYE_SPAN

GRAIN = 0.05  # of ±1, the most that painted skin varies
PUPIL = 4  # of these rings, how many are the pupil
SHARP = (
    0.63,
    4.6,
    1.5,
)  # finest against next finest detail in a sharp photograph, pixels of blur that take 1 off it, the most
RINGS = 10  # rings of the iris whose mean colour stands in for what is hidden


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, C, H, W] with continued borders."""
    reach = int(3 * sigma + 0.5)
    k = torch.exp(-((torch.arange(-reach, reach + 1) / sigma) ** 2) / 2).to(x)
    k = k / k.sum()
    flat = F.pad(x.flatten(0, 1)[:, None], (reach, reach, reach, reach), mode="replicate")
    flat = F.conv2d(F.conv2d(flat, k[None, None, None, :]), k[None, None, :, None])
    return flat[:, 0].unflatten(0, x.shape[:2])


def softness(view: Tensor) -> float:
    """About how far a photograph [3, h, w] is out of focus: the sigma in pixels that blurs something sharp as much."""
    fine, coarse = ((view - blur(view[None], sigma)[0]).square().mean().sqrt() for sigma in (1.0, 2.0))
    sharp, slope, most = SHARP
    return min(most, max(0.0, slope * (sharp - float(fine / coarse.clamp(min=1e-6)))))


def sample(picture: Tensor, place: Tensor) -> Tensor:
    """Colours [N, 3, H, W] of a picture [3, S, S] at its pixels [N, H, W, 2]."""
    grid = place / picture.shape[-1] * 2 - 1
    picture = picture[None].expand(len(place), -1, -1, -1)
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)


def stretch(place: Tensor) -> Tensor:
    """How far a map from pixels to places [N, H, W, 2] is locally from a shift [N, 1, H, W]: the norm of its Jacobian − 1."""
    right = F.pad(place[:, :, 1:] - place[:, :, :-1], (0, 0, 0, 1))
    down = F.pad(place[:, 1:] - place[:, :-1], (0, 0, 0, 0, 0, 1))
    right[:, :, -1], down[:, -1] = place.new_tensor([1, 0]), place.new_tensor([0, 1])
    away = torch.cat([right - place.new_tensor([1, 0]), down - place.new_tensor([0, 1])], -1)
    return away.norm(dim=-1)[:, None]


def edge_distance(points: Tensor, line: Tensor) -> Tensor:
    """Distance [H, W] of points [H, W, 2] from a line of corners [P, 2]."""
    start, edge = line[:-1], line[1:] - line[:-1]
    away = points[:, :, None] - start
    t = ((away * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-6)).clamp(0, 1)
    return (away - t[..., None] * edge).square().sum(-1).amin(-1).sqrt()


def inside_polygon(points: Tensor, polygon: Tensor, margin: float) -> Tensor:
    """How far points [H, W, 2] lie inside a polygon [P, 2]: 0 outside, 1 from `margin` + 1 pixels inwards."""
    a, b, p = polygon, polygon.roll(-1, 0), points[:, :, None]
    beside = (a[:, 1] > p[..., 1]) != (b[:, 1] > p[..., 1])
    crosses = beside & (p[..., 0] < (b[:, 0] - a[:, 0]) * (p[..., 1] - a[:, 1]) / (b[:, 1] - a[:, 1] + 1e-9) + a[:, 0])
    distance = edge_distance(points, torch.cat([polygon, polygon[:1]]))
    return (distance - margin).clamp(0, 1) * (crosses.sum(-1) % 2)


def _spread(colour: Tensor, known: Tensor, fallback: Tensor) -> Tensor:
    """Colours [3, T, T] carried from known places (weight [T, T]) to all others, the nearest first, else `fallback` [3]."""
    out, weight = colour * known, known.clone()
    levels = [(out[None], weight[None, None])]
    while max(levels[-1][0].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(x, 2, ceil_mode=True) for x in levels[-1]))
    filled = fallback[None, :, None, None]
    for c, w in reversed(levels):
        filled = F.interpolate(filled, size=c.shape[-2:], mode="bilinear", align_corners=False)
        share = (w * 16).clamp(max=1)
        filled = share * c / w.clamp(min=1e-6) + (1 - share) * filled
    return filled[0]


def iris_texture(shown: Tensor, known: Tensor, iris: float) -> Tensor:
    """Texture [5, T, T] of an iris seen from the front of the pupil: colour in ±1, share taken from the photograph, opacity.

    shown: photograph colours [3, T, T] in ±1 where the texture's places lie; known [T, T]: 0–1, where the eye is open;
    iris: its radius in eye widths. What lids hide takes the mean colour of its ring.
    """
    side = shown.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = (x**2 + y**2).sqrt()
    rim = math.asin(min(0.95, max(0.15, min(0.26, iris)) / EYE_RADIUS)) / EYE_SPAN
    ring = (radius / rim * RINGS).long().clamp(max=RINGS)
    known = known * (radius <= rim * 1.1)
    amount = torch.stack([(known * (ring == k)).sum() for k in range(RINGS + 1)])
    profile = torch.stack([(shown * (known * (ring == k))).sum((1, 2)) for k in range(RINGS + 1)], 1) / amount.clamp(
        min=1e-3
    )
    # rings that are hidden altogether: as what is seen of the iris, dark where nothing is
    dark = shown.new_tensor([-0.80, -0.85, -0.88])
    share = (amount.sum() / 20).clamp(max=1)
    usual = share * (shown * known).sum((1, 2)) / known.sum().clamp(min=1e-3) + (1 - share) * dark
    usual = usual[:, None].repeat(1, RINGS + 1)
    usual[:, :PUPIL] = torch.minimum(usual[:, :PUPIL], shown.new_tensor(-0.9))
    share = (amount / 6).clamp(max=1)
    profile = share * profile + (1 - share) * usual
    colour = shown * known + profile[:, ring] * (1 - known)
    opacity = ((rim * 1.06 - radius) / (rim * 0.16)).clamp(0, 1)
    return torch.cat([colour, known[None], opacity[None]])


def without_iris(view: Tensor, opening: Tensor, iris: Tensor) -> Tensor:
    """The photograph round an eye [3, h, w] (±1) with the white of the eye where the iris is.

    opening, iris: [h, w] in 0–1, how far a pixel lies inside the lids and inside the iris.
    """
    beside, around = opening * (iris <= 0), opening <= 0
    # the white is what is pale and least coloured beside the iris: not lashes, lid rims or their shadow
    pale = view.mean(0) - 1.5 * (view.amax(0) - view.amin(0))
    if (beside > 0.5).sum() > 12:
        beside = beside * (pale >= pale[beside > 0.5].quantile(0.7))
    skin = (view[:, around].median(1).values + 1) / 2
    white = (0.3 * skin + 0.7 * skin.mean()) * 1.1
    if beside.sum() > 4:
        seen = ((view * beside).sum((1, 2)) / beside.sum() + 1) / 2
        # hardly seen, it is at least as bright as the skin and less coloured
        seen = (0.5 * seen + 0.5 * seen.mean()) * (1.05 * skin.mean() / seen.mean().clamp(min=0.02)).clamp(
            min=1.0, max=1.6
        )
        white = 0.7 * seen + 0.3 * white
    white = white.clamp(max=0.97) * 2 - 1
    share = iris * (opening > 0)
    fill = 0.4 * _spread(view, beside, white) + 0.6 * white[:, None, None]
    return view * (1 - share) + fill * share


def shut(view: Tensor, opening: Tensor, fold: Tensor, margin: int, line: Tensor) -> Tensor:
    """The photograph round an opening [3, h, w] (±1) as if it were shut: skin over it and a dark line where it closes.

    opening, fold: [h, w] in 0–1, the opening of lids or lips, and the skin beside it whose fold is smoothed when it
    shuts; line: [h, w] or [3, h, w], the edge that meets the other; margin: pixels round the opening that still show what lies inside.
    Returns [4, h, w]: colour, and where it differs, 0–1.
    """

    def grown(area: Tensor, by: int) -> Tensor:
        return F.max_pool2d(area[None, None], 2 * by + 1, stride=1, padding=by)[0, 0]

    area = torch.maximum(opening, fold)
    cover = grown(area, margin)
    ring = grown(area, 3 * margin) - cover
    level = (view.mean(0) * ring).sum() / ring.sum().clamp(min=1)
    spread = ((view.mean(0) - level).square() * ring).sum().div(ring.sum().clamp(min=1)).sqrt()
    skin = ring * (view.mean(0) > level - 0.5 * spread)  # neither lashes nor creases
    colour = (view * skin).sum((1, 2)) / skin.sum().clamp(min=1)
    fill = _spread(view, skin, colour)
    # a little of the skin's own grain, so that it does not look like wax
    grain = view - F.avg_pool2d(F.pad(view[None], (2,) * 4, mode="replicate"), 5, stride=1)[0]
    fill = fill + grain.mean(0).clamp(-GRAIN, GRAIN) * (1 - opening)
    fill = (fill + 1) * (1 - 0.55 * line) - 1
    soft = F.avg_pool2d(F.pad(cover[None, None], (2,) * 4, mode="replicate"), 5, stride=1)[0]
    return torch.cat([fill, soft])
