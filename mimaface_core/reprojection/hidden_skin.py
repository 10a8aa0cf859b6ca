"""Skin that the photograph shows only at a grazing angle, continued from the skin that it shows well."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import sample
from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    LEFT_BROW,
    LOWER_LIP_POINTS,
    OVAL,
    RIGHT_BROW,
    UPPER_LIP_POINTS,
)
from ..morphable.rasterize import Fragments, interpolate
from ..tensors import blur, smoothstep
from .facing import far_side
from .sampling import pixel_box

SEEN_RANGE = (0.15, 0.45)  # cosine between skin and viewing ray: below it is not seen, above it is seen well
WELL_SEEN_RANGE = (0.4, 0.7)  # that cosine: skin that is seen so well tells the colour of the skin around it
TURNED_RANGE = (0.03, 0.18)  # gain of that cosine since the photograph: begins to be replaced, is replaced
COVERED_RANGE = (0.0, 0.15)  # that cosine: what is unlike skin lies behind it, lies on it
MISSED_RANGE = (0.5, 0.8)  # that cosine: background is where the tracker took it for skin, is a likeness by chance
BACKGROUND_RING = 3  # of the head: it shows the background
BACKGROUND_DISTANCE = (0.15, 0.4)  # of ±1: a colour is the background's, is another
SKIN_DISTANCE = 0.3  # of ±1: colours that lie farther than this from the skin's are hair, jewellery or background
ODD_DISTANCE = 0.7  # that from the median of the face: no shade of its skin lies farther
HUE_WEIGHT, BRIGHTER_WEIGHT, DARKER_WEIGHT = 2.0, 0.5, 0.8  # of differences in that distance
LEAST_SHARE = 0.01  # of a colour: less does not show
LEAST_PULL = 1e-5  # of a colour that is not to be taken
STIFFNESS = 0.005  # pull of the neighbours on a colour that is seen well, against that of the photograph
STRIP_RANGE = (0.2, 0.45)  # model units from the outline: of the strip that may show background, not of it
EAR_LOBE = (-0.3, -0.15)  # model units: below there is no ear, and no hair but a beard
NEARER_RANGE = (0.3, 0.6)  # share of the way from skin to background at which a colour is skin, is background
BESIDE_SHARE = 0.15  # of background that a vertex beside one that shows it shows
BEYOND_RANGE = (0.05, 0.45)  # share of background between vertices: skin is drawn, is drawn alone
EDGE_RANGE = (0.3, 0.5)  # way from the outline to the first ring, on which the drawn skin ends
DETAIL = 2.0  # pixels of blur that leave the photograph without its detail
FEATURES = [
    *RIGHT_BROW,
    *LEFT_BROW,
    *UPPER_LIP_POINTS,
    *LOWER_LIP_POINTS,
    *(point for eye in EYE_LANDMARKS.values() for point in eye.upper_lid + eye.lower_lid),
]  # that have other colours than skin


class HiddenSkin(NamedTuple):
    """What is drawn in place of skin that is stretched.

    Attributes:
        colour: [V, 3] in ±1 for every vertex of face and head.
        hidden: [468] in 0–1, how little the photograph shows of the face.
        beyond: [468] in 0–1, how much it shows of the background where the face's outline has been found.
    """

    colour: Tensor
    hidden: Tensor
    beyond: Tensor


def unlike(colour: Tensor, skin: Tensor) -> Tensor:
    """Distance [...] of colours [..., 3] in ±1 from the skin's; another light counts less than another hue."""
    colour, skin = colour + 1, skin + 1
    direction = F.normalize(skin, dim=-1)
    along = (colour * direction).sum(-1)
    hue = (colour - along[..., None] * direction).norm(dim=-1)
    light = along - skin.norm(dim=-1)
    return (HUE_WEIGHT * hue).hypot(torch.where(light > 0, BRIGHTER_WEIGHT, DARKER_WEIGHT) * light)


def continue_skin(face: BundledFace, crop: Tensor, pixels: Tensor, cosine: Tensor) -> HiddenSkin:
    """Continue the seen skin over the mesh: every hidden vertex takes the mean of its neighbours.

    Args:
        face: the bundled face.
        crop: [3, S, S] in ±1, the photograph.
        pixels: [V, 2], the vertices in it.
        cosine: [468], see `facing.facing`.
    """
    seen, soft = smoothstep(cosine, *SEEN_RANGE), blur(crop[None], DETAIL)[0]
    colour = sample(soft, pixels[None, None, :FACE_POINTS])[0, :, 0].T
    plain = torch.ones_like(seen)
    plain[FEATURES] = 0
    usual = colour[cosine > WELL_SEEN_RANGE[0]].quantile(0.5, dim=0) if (cosine > WELL_SEEN_RANGE[0]).any() else colour
    odd = torch.exp(-(unlike(colour, usual) / ODD_DISTANCE).square())
    skin = _harmonic(face, colour, plain * odd * smoothstep(cosine, *WELL_SEEN_RANGE))
    like = torch.exp(-(unlike(colour, skin) / SKIN_DISTANCE).square())
    # what is unlike skin is hair and stays, but not at the far outline nor where it is background, or mixed with it
    background = _background(face, soft, pixels)
    hair = smoothstep(_beside(colour, skin, background), *BACKGROUND_DISTANCE)
    grazed = 1 - smoothstep(cosine, *MISSED_RANGE)
    hidden = (1 - seen) * (1 - (1 - like) * hair * smoothstep(cosine, *COVERED_RANGE))
    hidden = far_side(face, cosine) * torch.maximum(hidden, (1 - like) * (1 - hair) * grazed)
    to_skin, to_background = unlike(colour, skin), unlike(background, colour)
    is_background = smoothstep(to_skin / (to_skin + to_background).clamp(min=1e-4), *NEARER_RANGE)
    beyond = _widened(face, _at_jaw(face) * plain * (1 - hair) * grazed * is_background, plain)
    continued = _harmonic(face, colour, plain * seen * like.square())
    part = face.parts["head"]
    colours = torch.cat([continued, continued[OVAL].repeat((part.stop - part.start) // len(OVAL), 1)])
    return HiddenSkin(colours.clamp(-1, 1), hidden, beyond)


def draw_hidden_skin(
    face: BundledFace,
    image: Tensor,
    skin: HiddenSkin,
    fragments: Fragments,
    triangles: Tensor,
    points: Tensor,
    turned: Tensor,
) -> None:
    """Draw it over an image [N, 3, S, S] in ±1 where it has turned towards the viewer, in place.

    Args:
        face: the bundled face.
        image: changed.
        skin: of the photograph.
        fragments: of the skin in the image.
        triangles: [T, 3], of the skin.
        points: [N, V, 3], the vertices in pixels of the image.
        turned: [N, 468], gain of the cosine between the skin and the viewing ray since the photograph.
    """
    gained = smoothstep(turned, *TURNED_RANGE)
    beyond = skin.beyond * gained * far_side(face, -turned)
    # of hidden skin, of background, and outside of the outline; the first ring takes over the outline's background
    share = gained.new_zeros(len(points), len(skin.colour), 3)
    share[:, :FACE_POINTS, 0], share[:, :FACE_POINTS, 1] = skin.hidden * gained, beyond
    share[:, FACE_POINTS : FACE_POINTS + len(OVAL), 1] = beyond[:, OVAL]
    share[:, FACE_POINTS:, 2] = 1
    reached = triangles[(share[..., :2] > LEAST_SHARE).any(2).any(0)[triangles].any(1)]
    if not len(reached):
        return
    box = pixel_box(points[:, reached.flatten(), :2], 1, image.shape[-1])
    within = Fragments(*(of[:, box.rows, box.columns] for of in fragments))
    layer = interpolate(within, triangles, torch.cat([skin.colour.expand(len(points), -1, -1), share], 2))
    colour, hidden, beyond, outside = layer.split([3, 1, 1, 1], 1)
    edge = smoothstep(beyond, *BEYOND_RANGE) * (1 - smoothstep(outside, *EDGE_RANGE))
    part = image[(slice(None), *box.index)]
    part.add_(torch.maximum(hidden, edge) * (colour - part))


def _at_jaw(face: BundledFace) -> Tensor:
    """Share in 0–1 in which each vertex [468] belongs to the strip along the jaw."""
    mean = face.model.mean_shape[:FACE_POINTS]
    beside = 1 - smoothstep(torch.cdist(mean, mean[OVAL]).amin(1), *STRIP_RANGE)
    return beside * (1 - smoothstep(mean[:, 1], *EAR_LOBE))


def _widened(face: BundledFace, beyond: Tensor, plain: Tensor) -> Tensor:
    """Shares of background [468] without single gaps in the outline, and a little of them beside it on plain skin."""
    ends, beyond = beyond[OVAL], beyond.clone()
    beyond[OVAL] = torch.maximum(ends, torch.minimum(ends.roll(1), ends.roll(-1)))
    return torch.maximum(beyond, plain * BESIDE_SHARE * (beyond * _edges(face)).amax(1))


def _background(face: BundledFace, soft: Tensor, pixels: Tensor) -> Tensor:
    """Colours [468, 3] in ±1 that lie beyond the outline where it is nearest to each vertex; pixels: [V, 2]."""
    ring = face.parts["head"].start + BACKGROUND_RING * len(OVAL) + torch.arange(len(OVAL))
    colours = sample(soft, pixels[None, None, ring])[0, :, 0].T
    return colours[torch.cdist(pixels[:FACE_POINTS], pixels[OVAL]).argmin(1)]


def _beside(colour: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance [N] of colours [N, 3] from all mixtures of `start` [3] and `end` [N, 3]."""
    way = end - start
    share = ((colour - start) * way).sum(1) / way.square().sum(1).clamp(min=1e-4)
    return (colour - start - share.clamp(0, 1)[:, None] * way).norm(dim=1)


def _harmonic(face: BundledFace, colour: Tensor, pull: Tensor) -> Tensor:
    """Colours [468, 3] that are the given ones where they pull [468] in 0–1, and the neighbours' mean elsewhere."""
    edges, pull = _edges(face), pull + LEAST_PULL
    system = STIFFNESS * (torch.diag(edges.sum(1)) - edges) + torch.diag(pull)
    return torch.linalg.solve(system, pull[:, None] * colour)


def _edges(face: BundledFace) -> Tensor:
    """[468, 468], 1 between vertices that an edge joins, else 0."""
    triangles = face.model.triangles[face.part_triangles["face"]]
    edges = torch.zeros(FACE_POINTS, FACE_POINTS)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edges[triangles[:, a], triangles[:, b]] = edges[triangles[:, b], triangles[:, a]] = 1
    return edges
