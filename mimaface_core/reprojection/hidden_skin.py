"""Skin that the photograph shows only at a grazing angle, continued from the skin that it shows well."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import ProceduralFace
from ..morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    LEFT_BROW,
    LOWER_LIP_POINTS,
    OVAL,
    RIGHT_BROW,
    UPPER_LIP_POINTS,
)
from ..motion.track import MotionTrack
from .sampling import blur, sample

SEEN_RANGE = (0.15, 0.45)  # cosine between skin and viewing ray: below it is not seen, above it is seen well
WELL_SEEN_RANGE = (0.4, 0.7)  # that cosine: skin that is seen so well tells the colour of the skin around it
TURNED_RANGE = (0.03, 0.18)  # gain of that cosine since the photograph: begins to be replaced, is replaced
FAR_RANGE = (0.08, 0.25)  # difference of its mean at both sides of the outline: frontal, turned
LEFT_OUTLINE, RIGHT_OUTLINE = range(5, 14), range(23, 32)  # places in OVAL, from the temple to the jaw
MIDDLE = (-0.1, 0.1)  # model units, where one side of the face goes over into the other
HIDING_RANGE = (0.05, 0.3)  # cosine at the outline: it hides what is behind it, it does not
COVERED_RANGE = (0.0, 0.15)  # that cosine: what is unlike skin lies behind it, lies on it
MISSED_RANGE = (0.5, 0.8)  # that cosine: background is where the tracker took it for skin, is a likeness by chance
BACKGROUND_RING = 3  # of the head: it shows the background
BACKGROUND_DISTANCE = (0.15, 0.4)  # of ±1: a colour is the background's, is another
SKIN_DISTANCE = 0.3  # of ±1: colours that lie farther than this from the skin's are hair, jewellery or background
HUE_WEIGHT, BRIGHTER_WEIGHT, DARKER_WEIGHT = 2.0, 0.5, 0.8  # of differences in that distance
LEAST_PULL = 1e-5  # of a colour that is not to be taken
STIFFNESS = 0.005  # pull of the neighbours on a colour that is seen well, against that of the photograph
DETAIL = 2.0  # pixels of blur that leave a colour without its detail
EDGE_SEARCH = (-6, 12)  # pixels from the tracked outline in which the edge of the skin is looked for
UNLIKE_SKIN = 0.25  # of ±1: distance of a colour from the skin's, from which on it is taken for something else
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
    """

    colour: Tensor
    hidden: Tensor


def facing(face: ProceduralFace, shape: Tensor, track: MotionTrack) -> Tensor:
    """Cosine [N, 468] between the normals of faces [N, V, 3], posed as in a track, and the viewing rays."""
    c, triangles = track.coefficients, face.model.triangles[face.part_triangles["face"]]
    world = face.model.transform(shape, c.angles, c.translation)[:, :FACE_POINTS]
    a, b, d = world[:, triangles].unbind(2)
    normals = torch.linalg.cross(b - a, d - a).repeat_interleave(3, 1)
    normals = torch.zeros_like(world).index_add(1, triangles.flatten(), normals)
    ray = world.new_tensor([0, 0, face.model.camera]) - world
    return (F.normalize(normals, dim=-1) * F.normalize(ray, dim=-1)).sum(-1)


def smoothstep(x: Tensor, bounds: tuple[float, float]) -> Tensor:
    """0 below the bounds, 1 above them, smooth between."""
    share = ((x - bounds[0]) / (bounds[1] - bounds[0])).clamp(0, 1)
    return share * share * (3 - 2 * share)


def far_side(face: ProceduralFace, cosine: Tensor) -> Tensor:
    """Share in 0–1 in which each vertex [468] lies on the side that a turned head hides; a frontal one hides none.

    Args:
        face: the bundled face.
        cosine: [468], see `facing`.
    """
    left, right = (cosine[[OVAL[k] for k in side]].mean() for side in (LEFT_OUTLINE, RIGHT_OUTLINE))
    on_left = smoothstep(face.model.mean_shape[:FACE_POINTS, 0], MIDDLE)
    return on_left * smoothstep(right - left, FAR_RANGE) + (1 - on_left) * smoothstep(left - right, FAR_RANGE)


def unlike(colour: Tensor, skin: Tensor) -> Tensor:
    """Distance [...] of colours [..., 3] in ±1 from the skin's; brighter and darker light count less than another hue."""
    colour, skin = colour + 1, skin + 1
    direction = F.normalize(skin, dim=-1)
    along = (colour * direction).sum(-1)
    hue = (colour - along[..., None] * direction).norm(dim=-1)
    light = along - skin.norm(dim=-1)
    return (HUE_WEIGHT * hue).hypot(torch.where(light > 0, BRIGHTER_WEIGHT, DARKER_WEIGHT) * light)


def continue_skin(face: ProceduralFace, crop: Tensor, pixels: Tensor, cosine: Tensor) -> HiddenSkin:
    """Continue the seen skin over the mesh: every hidden vertex takes the mean of its neighbours.

    Args:
        face: the bundled face.
        crop: [3, S, S] in ±1, the photograph.
        pixels: [V, 2], the vertices in it.
        cosine: [468], see `facing`.
    """
    seen = smoothstep(cosine, SEEN_RANGE)
    colour = sample(blur(crop[None], DETAIL)[0], pixels[None, None, :FACE_POINTS])[0, :, 0].T
    plain = torch.ones_like(seen)
    plain[FEATURES] = 0
    skin = _harmonic(face, colour, plain * smoothstep(cosine, WELL_SEEN_RANGE))
    like = torch.exp(-(unlike(colour, skin) / SKIN_DISTANCE).square())
    # what is unlike skin is hair and stays, but at the far outline, and where it is the background, or a mixture with it
    hair = smoothstep(_beside(colour, skin, _background(face, crop, pixels)), BACKGROUND_DISTANCE)
    hidden = (1 - seen) * (1 - (1 - like) * hair * smoothstep(cosine, COVERED_RANGE))
    missed = (1 - like) * (1 - hair) * (1 - smoothstep(cosine, MISSED_RANGE))
    hidden = far_side(face, cosine) * torch.maximum(hidden, missed)
    continued = _harmonic(face, colour, plain * seen * like.square())
    part = face.parts["head"]
    colours = torch.cat([continued, continued[OVAL].repeat((part.stop - part.start) // len(OVAL), 1)])
    return HiddenSkin(colours.clamp(-1, 1), hidden)


def _background(face: ProceduralFace, crop: Tensor, pixels: Tensor) -> Tensor:
    """Colours [468, 3] in ±1 that lie beyond the outline where it is nearest to each vertex; pixels: [V, 2]."""
    ring = face.parts["head"].start + BACKGROUND_RING * len(OVAL) + torch.arange(len(OVAL))
    colours = sample(blur(crop[None], DETAIL)[0], pixels[None, None, ring])[0, :, 0].T
    return colours[torch.cdist(pixels[:FACE_POINTS], pixels[OVAL]).argmin(1)]


def _beside(colour: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance [N] of colours [N, 3] from all mixtures of `start` [3] and `end` [N, 3]."""
    way = end - start
    share = ((colour - start) * way).sum(1) / way.square().sum(1).clamp(min=1e-4)
    return (colour - start - share.clamp(0, 1)[:, None] * way).norm(dim=1)


def _harmonic(face: ProceduralFace, colour: Tensor, pull: Tensor) -> Tensor:
    """Colours [468, 3] that are the given ones where they pull [468] in 0–1, and the neighbours' mean elsewhere."""
    triangles = face.model.triangles[face.part_triangles["face"]]
    edges = torch.zeros(FACE_POINTS, FACE_POINTS)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edges[triangles[:, a], triangles[:, b]] = edges[triangles[:, b], triangles[:, a]] = 1
    pull = pull + LEAST_PULL
    system = STIFFNESS * (torch.diag(edges.sum(1)) - edges) + torch.diag(pull)
    return torch.linalg.solve(system, pull[:, None] * colour)


def hiding(face: ProceduralFace, cosine: Tensor) -> Tensor:
    """How much each point of the outline [36] hides what lies behind it, 0–1; cosine: [468], see `facing`."""
    return (far_side(face, cosine) * (1 - smoothstep(cosine, HIDING_RANGE)))[OVAL]


def outline_at_edge(crop: Tensor, landmarks: Tensor, hidden: Tensor, skin: Tensor) -> Tensor:
    """Landmarks whose outline lies at the edge of the skin where it hides what is behind it.

    Args:
        crop: [3, S, S] in ±1, the photograph.
        landmarks: [478, 3] in pixels of the crop.
        hidden: [36], 0–1, how much each point of the outline is to be moved.
        skin: [36, 3] in ±1, the colour of the skin inside of it.

    Returns:
        [478, 3].
    """
    outline = landmarks[OVAL, :2]
    unit = F.normalize(outline - outline.mean(0), dim=1)
    beside = torch.stack([-unit[:, 1], unit[:, 0]], 1)
    steps = torch.arange(EDGE_SEARCH[0], EDGE_SEARCH[1] + 1)
    lines = outline[:, None] + steps[:, None] * unit[:, None]
    lines = torch.stack([lines + k * beside[:, None] for k in (-2, 0, 2)])
    colours = sample(crop, lines).mean(0).permute(1, 2, 0)  # [36, steps, 3]
    away = unlike(colours, skin[:, None]) - UNLIKE_SKIN
    inside = F.pad(away.clamp(-UNLIKE_SKIN, UNLIKE_SKIN).cumsum(1), (1, 0))  # the less the more skin lies before it
    edge = steps[0] + inside.argmin(1) - 1
    found = (away > 0).any(1) & (away < 0).any(1)
    move = torch.where(found, edge, 0).float()
    move = torch.stack([move.roll(k) for k in (-1, 0, 1)]).median(0).values * hidden
    landmarks = landmarks.clone()
    landmarks[OVAL, :2] += move[:, None] * unit
    return landmarks
