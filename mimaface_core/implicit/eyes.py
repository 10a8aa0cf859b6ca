"""The eyes of a photograph: irises that look, and lids that come down over them, before anything else moves.

Not in the published system. A field that carries the photograph cannot shut an eye: what a lid covers has no place in
it. So here the lids are a layer over the eyeball. Each column between the corners of an eye is stretched, from the
brow to the edge of the upper lid and from there to the lower one; lashes are painted over, lest they stretch, too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.geometry import EYE_RADIUS, EYE_SPAN
from ..morphable.bundled.lash_line import lash_opacity
from ..tensors import blur, smoothstep
from .face_codes import GAZE, SHUT

MEETING = 0.12  # of the opening above the lower lid, where lids meet
FOLD, CHEEK = 0.75, 0.45  # how far lids pull the skin: share of the way to the brow; eye widths below the lower lid
EDGE = 0.12  # share of that way in which the lashes move as one
WIDEST = 0.4  # of the opening, by which eyes open further at most
PAINTED, WHOLLY = 0.2, 0.65  # shares of the way to shut from which lids are painted, and wholly
LASHES, LASHES_END = 0.5, 0.95  # shares of the way of the skin, up to which lashes are painted over, and none beyond
AROUND, SOFT = 3, 1.0  # pixels around a lash that are painted over with it, and their blur
BESIDE = 0.15  # eye widths beyond the corners, in which that fades out
UNLIKE = (0.1, 0.3)  # difference from a lid's skin, of ±1, from which lashes are painted over, and wholly
LID_EDGE = 0.2  # share of the way to the brow above the eye, in which what is brighter is its white
MARGIN = 0.1  # eye widths, of an eye's box
BARE_ABOVE, BARE_BELOW = 0.05, 0.3  # iris radii of white between iris and lids, up to which eyes look down and up
SHADE = 0.3  # share of its light that the eyeball loses behind the upper lid
UNDER_LID = 0.5  # and that it loses next to the upper lid when it moves
RIM = 2.0  # pixels inside the lids in which their shadow hides the eyeball
LID_SHADOW = 0.1  # eye widths inside the lids, in which an eyeball that moves does not take their shadow along
# iris radii around its centre within which a gaze moves all, and from which nothing
IRIS_MOVES, SCLERA_STAYS = 1.1, 2.4
EYEBALL = 7  # first of its layers


class Painted(NamedTuple):
    """What a photograph, S pixels to a side, hides of an eye.

    Attributes:
        closed: [4, S, S], the photograph with the eye shut in ±1, and the share in which it replaces the photograph.
        sclera: [3, S, S] in ±1, the photograph without irises.
        iris: [5, T, T] in ±1, as `reprojection.eye_textures.iris_texture` makes it.
        lashes: [3] in ±1, their colour.
        thickness: [], sigma of their line, eye widths.
    """

    closed: Tensor
    sclera: Tensor
    iris: Tensor
    lashes: Tensor
    thickness: Tensor


class EyePoints(NamedTuple):
    """Landmarks of one eye in pixels: lids [P, 2] between their corners, the brow's lower edge [Q, 2], iris [5, 2]."""

    upper: Tensor
    lower: Tensor
    brow: Tensor
    iris: Tensor


class Eye(NamedTuple):
    """One eye of a photograph, in a box of h × w pixels around it.

    Attributes:
        top, left: first row and column of the box.
        layers: [1, 13, h, w]: photograph, shut eye and its share, eyeball behind lids and skin, and without their
            shadow.
        heights: [6, h, w], pixels upwards: of each pixel, of upper and lower lid, of where they meet, and of where the
            skin stays above and below.
        along, up: [2], the eye's width towards the image's right in pixels, and the unit vector upwards.
        unit: 1 / the movement that shuts the eye.
        iris: [5], x and y of its centre in the box, its radius, and how far it can look down and up, in pixels.
        lashes: [3] in ±1, their colour.
        thickness: [], of their line.
        inwards: [h, w], place of the pixels along the lids, 0 at the outer and 1 at the inner corner.
    """

    top: int
    left: int
    layers: Tensor
    heights: Tensor
    along: Tensor
    up: Tensor
    unit: Tensor
    iris: Tensor
    lashes: Tensor
    thickness: Tensor
    inwards: Tensor


def eye_of(crop: Tensor, points: EyePoints, painted: Painted, shut: Tensor) -> Eye:
    """An eye of a photograph.

    Args:
        crop: [3, S, S] in ±1.
        points: its landmarks in pixels of the crop.
        painted: what the photograph hides of it.
        shut: by how much its lids move until they meet, in their unit.
    """
    size = crop.shape[-1]
    start, end = sorted((points.upper[0], points.upper[-1]), key=lambda corner: float(corner[0]))
    along = end - start
    width = along.norm()
    right = along / width
    up = torch.stack([right[1], -right[0]])
    lids = torch.cat([points.upper, points.lower])
    every = torch.cat([lids, points.brow, lids - CHEEK * width * up])
    low = (every.amin(0) - MARGIN * width).floor().long().clamp(0, size - 2).tolist()
    high = (every.amax(0) + MARGIN * width).ceil().long().clamp(2, size).tolist()
    x, y = (torch.arange(low[axis], max(high[axis], low[axis] + 2)) + 0.5 for axis in (0, 1))
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    heights = _heights(centres, points, start, right, up)
    box = (slice(None), slice(low[1], low[1] + len(y)), slice(low[0], low[0] + len(x)))
    photograph, frame = crop[box], torch.stack([right, -up], 1)
    iris = _iris((centres - points.iris[0]) @ frame / width, painted.iris)
    outside = ((centres - (start + end) / 2) @ right).abs() / width - 0.5
    unfolding = _unfolding(photograph, painted.closed[box], heights, outside)
    behind = _behind(photograph, painted.sclera[box], heights, iris, up, width)
    layers = torch.cat([photograph, unfolding, behind])[None]
    radius = (points.iris[1] - points.iris[3]).norm()[None] / 2
    above, below = ((points.iris[0] - lid[len(lid) // 2]) @ up for lid in (points.upper, points.lower))
    reach_down = (radius + above).clamp(min=0) + BARE_ABOVE * radius
    reach_up = (radius - below).clamp(min=0) + BARE_BELOW * radius
    place = torch.cat([points.iris[0] - torch.tensor([low[0], low[1]]), radius, reach_down, reach_up])
    inwards = (centres - points.upper[0]) @ (points.upper[-1] - points.upper[0]) / width.square()
    unit = 1 / shut.clamp(min=0.2 * SHUT)
    return Eye(low[1], low[0], layers, heights, along, up, unit, place, painted.lashes, painted.thickness, inwards)


def with_eyes(image: Tensor, eyes: tuple[Eye, ...], lids: Tensor, gaze: Tensor) -> Tensor:
    """A photograph whose eyes look and open otherwise.

    Args:
        image: [1, 3, S, S] in ±1.
        eyes: right and left.
        lids: change of their lids' movements [N, 2]; `local_change` gives both.
        gaze: change of the gaze [N, 2] in its unit, x and y.

    Returns:
        [N, 3, S, S].
    """
    result = image.repeat(len(lids), 1, 1, 1)
    for eye, moved in zip(eyes, lids.T, strict=True):
        height, width = eye.heights.shape[1:]
        box = (..., slice(eye.top, eye.top + height), slice(eye.left, eye.left + width))
        result[box] = _drawn(eye, (moved * eye.unit).clamp(-WIDEST, 1)[:, None, None], gaze)
    return result


def _drawn(eye: Eye, shut: Tensor, gaze: Tensor) -> Tensor:
    """Boxes [N, 3, h, w] of an eye at shares [N, 1, 1] of the way to shut, negative ones wider, with gazes [N, 2]."""
    own, upper, lower, meeting, fold, cheek = eye.heights
    above, below = upper + shut * (meeting - upper), lower + shut * (meeting - lower)  # where the lids now are
    lifted = (upper - above) * (1 - smoothstep((own - above) / (fold - above), EDGE, 1))
    lowered = (lower - below) * (1 - smoothstep((below - own) / (below - cheek), EDGE, 1))
    lid = torch.where(own > (above + below) / 2, lifted, lowered)[..., None] * eye.up
    skin, closed, share = _sampled(eye.layers[:, :EYEBALL], lid).split((3, 3, 1), 1)
    skin = torch.lerp(skin, closed, share * smoothstep(shut, PAINTED, WHOLLY)[:, None])
    look = _looking(eye, shut, gaze)
    shown, lit = _sampled(eye.layers[:, EYEBALL:], -look).split(3, 1)
    shadow = 1 - smoothstep((above - own) / (LID_SHADOW * eye.along.norm()))
    lit = (lit + 1) * (1 - UNDER_LID * shadow)[:, None] - 1
    rolled = smoothstep(2 * (look @ eye.up).abs() / (LID_SHADOW * eye.along.norm()))
    eyeball = torch.lerp(shown, lit, rolled[:, None])
    image = torch.lerp(skin, eyeball, (torch.minimum(above - own, own - below) + 0.5).clamp(0, 1)[:, None])
    width = eye.along.norm()
    line = lash_opacity(eye.inwards, (above - own) / width, smoothstep(shut, PAINTED, WHOLLY), eye.thickness, width)
    return torch.lerp(image, eye.lashes[:, None, None], line[:, None])


def _looking(eye: Eye, shut: Tensor, gaze: Tensor) -> Tensor:
    """Shifts [N, h, w, 2] of the eyeball's pixels in pixels, where they arrive, with gazes [N, 2]."""
    x, y = (gaze * gaze.new_tensor(list(GAZE.values()))).T[..., None]  # eye widths
    radius, down, up = eye.iris[2:]
    fallen = shut[..., 0].clamp(min=0) * (eye.heights[1] - eye.heights[2]).amax()  # an upper lid that follows
    upwards = (y * eye.along.norm()).maximum(-down - fallen).minimum(up)
    shift = x * eye.along + upwards * eye.up
    most = 0.9 * (SCLERA_STAYS - IRIS_MOVES) / 1.5 * radius  # by which no place passes another
    shift = (shift * (most / shift.norm(dim=1, keepdim=True).clamp(min=1e-6)).clamp(max=1))[:, None, None]
    _, height, width = eye.heights.shape
    distance = (_centres(height, width, gaze.device) - eye.iris[:2] - shift).norm(dim=-1, keepdim=True)
    return shift * (1 - smoothstep(distance / radius, IRIS_MOVES, SCLERA_STAYS))


def _unfolding(photograph: Tensor, closed: Tensor, heights: Tensor, outside: Tensor) -> Tensor:
    """A shut eye and its share [4, h, w], that covers what would be stretched with the skin: lashes, the eye's white.

    What is painted is flat, and would be seen as a patch where the photograph knows better.

    Args:
        photograph: [3, h, w] in ±1.
        closed: [4, h, w], see `Painted`.
        heights: see `Eye`.
        outside: [h, w], eye widths beyond the corners.
    """
    own, upper, _, _, fold, _ = heights
    darker = (closed[:3] - photograph).mean(0)
    white = (-darker) * (own - upper < LID_EDGE * (fold - upper) / FOLD)
    unlike = smoothstep(darker.maximum(white), *UNLIKE)[None, None]
    unlike = blur(F.max_pool2d(unlike, AROUND, stride=1, padding=AROUND // 2), SOFT)[0]
    near = 1 - smoothstep((own - upper) / (fold - upper), LASHES, LASHES_END)
    return torch.cat([closed[:3], closed[3:] * unlike * near * (1 - smoothstep(outside, 0, BESIDE))])


def _behind(photograph: Tensor, sclera: Tensor, heights: Tensor, iris: Tensor, up: Tensor, width: Tensor) -> Tensor:
    """The eyeball [6, h, w] of a photograph, continued behind the lids by what is known of its sclera and iris.

    First as the photograph shows it between the lids, then as it is without the shadow of lids and lashes.
    """
    own, upper, lower = heights[:3]
    hidden = torch.maximum(own - upper, lower - own)  # pixels
    layers = []
    for rim, shade in ((torch.tensor(RIM), SHADE), (LID_SHADOW * width, 0.0)):
        depth = torch.minimum((upper - lower) / 2, rim)
        inside = own.maximum(lower + depth).minimum(upper - depth)
        behind = _sampled(sclera[None], ((inside - own)[..., None] * up)[None])[0]
        behind = (torch.lerp(behind, iris[:3], iris[3]) + 1) * (1 - shade * (own > upper)) - 1
        share = (hidden - 0.5).clamp(0, 1) if shade else smoothstep(hidden / rim, -1, -0.5)
        layers.append(torch.lerp(photograph, behind, share))
    return torch.cat(layers)


def _sampled(layer: Tensor, shift: Tensor) -> Tensor:
    """A layer [1, C, h, w] whose pixels are taken from elsewhere, shifts [N, h, w, 2] away in pixels."""
    height, width = layer.shape[-2:]
    grid = (_centres(height, width, layer.device) + shift) / shift.new_tensor([width, height]) * 2 - 1
    return F.grid_sample(layer.expand(len(shift), -1, -1, -1), grid, padding_mode="border", align_corners=False)


def _centres(height: int, width: int, device: torch.device) -> Tensor:
    """Centres of pixels [h, w, 2]."""
    y, x = (torch.arange(length, device=device) + 0.5 for length in (height, width))
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def _heights(centres: Tensor, points: EyePoints, start: Tensor, right: Tensor, up: Tensor) -> Tensor:
    """See `Eye.heights`."""
    place = (centres - start) @ right
    lines = [_line((line - start) @ right, (line - start) @ up, place) for line in (points.upper, points.lower)]
    upper, lower = torch.maximum(*lines), torch.minimum(*lines)
    brow = ((points.brow - start) @ up).mean()
    width = (points.upper[0] - points.upper[-1]).norm()
    fold = upper + FOLD * (brow - upper).clamp(min=0.3 * width)
    return torch.stack(
        [(centres - start) @ up, upper, lower, lower + MEETING * (upper - lower), fold, lower - CHEEK * width]
    )


def _line(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """Heights of a line through points (x, y) [P] at places [h, w]; level beyond its ends."""
    order = x.argsort()
    x, y = x[order], y[order]
    at = at.clamp(float(x[0]), float(x[-1]))
    after = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    share = (at - x[after - 1]) / (x[after] - x[after - 1]).clamp(min=1e-3)
    return y[after - 1] + share.clamp(0, 1) * (y[after] - y[after - 1])


def _iris(offset: Tensor, texture: Tensor) -> Tensor:
    """The iris of a texture [5, T, T] at places [h, w, 2], eye widths from its centre, and its opacity: [4, h, w]."""
    distance = offset.norm(dim=-1, keepdim=True).clamp(min=1e-4)
    angle = torch.asin((distance / EYE_RADIUS).clamp(max=0.99)) / EYE_SPAN
    places = offset / distance * angle
    return F.grid_sample(texture[None, [0, 1, 2, 4]], places[None], align_corners=False)[0]
