"""Mouth, lids, gaze and brows of a photograph moved as its codes say, before the generator turns the head.

Not in the published system. Where codes are movements of the bundled face (`face_codes`), how a place of the
photograph moves with each of them is known from the face's landmarks; a small generator need not learn it. What a
mouth that opens shows is painted: a dark cavity behind a row of teeth.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import bundled_face
from ..morphable.bundled.face_mesh import (
    EYE_CORNERS,
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LID_MIDDLES,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from ..morphable.rasterize import interpolate, rasterize
from ..motion.rotation import rotation_of
from ..tensors import blur
from .face_codes import GAZE, GAZE_X, HEAD, LOCAL, MOUTH, SHUT, FaceMovements, movement_of

FIELD = 256  # pixels, side of the fields
ROUNDS = 3  # in which the place is found that a movement brings to each pixel
REACH = 10.0  # pixels around the face in which movements fade out
EYE_SOFTNESS = 1.5  # pixels by which an eye's edge is softened for the gaze
FARTHEST = 1.0  # local movement, in its unit
LIDS = [MOUTH, MOUTH + 1]  # among the movements of the face
LID_GAINS = (0.5, 4.0)  # limits of the factors by which lids move more or less than the model's
EYES = ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
CAVITY, TEETH = (-0.66, -0.84, -0.82), (0.42, 0.30, 0.16)  # colours in ±1
LIP_SHADOW = 0.10  # mouth widths below the upper lip that it shades
LEAST_LIGHT = 0.25  # that is left there
TEETH_HEIGHT, TEETH_EDGE = 0.12, 0.04  # mouth widths: of the row below the upper lip, and of its lower edge
CAVITY_FROM, CAVITY_FULL = 0.015, 0.06  # mouth widths of further opening, from which the cavity is seen, and wholly
CAVITY_BLUR = 0.7  # pixels


class LocalMotion(NamedTuple):
    """How the places of one photograph move.

    Attributes:
        fields: [1, 28, FIELD, FIELD], x and y in half sides of a unit of each local movement, in the order of codes.
        lips: places of the inner lips, upper then lower, from corner to corner [22, 2] in ±1.
        lip_fields: how they move [22, 14, 2].
        movement: the photograph's own movements [20], in their units.
        head: [6, 6], see `FaceMovements`.
    """

    fields: Tensor
    lips: Tensor
    lip_fields: Tensor
    movement: Tensor
    head: Tensor


def local_motion(landmarks: Tensor, codes: Tensor, movements: FaceMovements) -> LocalMotion:
    """How a photograph's places move with its codes.

    Args:
        landmarks: [478, 2 or 3] in ±1 of the photograph.
        codes: the photograph's own [20].
        movements: that the codes stand for.
    """
    model, own = bundled_face().model, movement_of(codes[None])
    places = landmarks[:FACE_POINTS, :2]
    turn = rotation_of(own[:, :3] * torch.tensor([HEAD[name] for name in ("pitch", "yaw", "roll")]))[0]
    mean = model.mean_shape[:FACE_POINTS]
    seen = mean @ turn
    scale = (places[:, 0].amax() - places[:, 0].amin()) / (seen[:, 0].amax() - seen[:, 0].amin())
    moved = torch.einsum("vce,ek->vkc", model.expression_basis[:FACE_POINTS], movements.face)  # [468, 12, 3]
    moved = (moved @ turn)[..., :2] * scale * torch.tensor([1.0, -1.0])
    moved[:, LIDS] *= _lid_gains(places, moved[:, LIDS])[:, None]
    still = moved.new_zeros(FACE_POINTS, len(GAZE), 2)
    before = GAZE_X - LOCAL
    moved = torch.cat([moved[:, :before], still, moved[:, before:]], 1)  # [468, 14, 2]
    fields = _spread(places, -seen[:, 2], moved)
    fields[:, 2 * before : 2 * before + 4] = _gaze_fields(places)
    lips = torch.tensor([*INNER_UPPER_LIP, *INNER_LOWER_LIP])
    return LocalMotion(fields, places[lips], moved[lips], own[0], movements.head)


def local_change(local: LocalMotion, codes: Tensor) -> Tensor:
    """Change of a photograph's local movements [N, 14] to those of codes [N, 20].

    Lids stop where they meet, and nothing goes farther than faces do, or than the photograph's does: a laugh that is
    added to a smile remains a laugh.
    """
    own = local.movement[LOCAL:]
    reach = own.abs().clamp(min=FARTHEST)
    change = movement_of(codes)[:, LOCAL:].clamp(-reach, reach) - own
    change[:, LIDS] = change[:, LIDS].clamp(max=SHUT)
    return change


def asked_of_head(local: LocalMotion, codes: Tensor) -> Tensor:
    """Codes [N, 20] by which a generator turns the head alone, as far as codes [N, 20] say."""
    own, head = local.movement, len(HEAD)
    asked = own[:head] + (movement_of(codes)[:, :head] - own[:head]) @ local.head
    return torch.cat([asked, own[head:].expand(len(codes), -1)], 1).tanh()


def moved_places(places: Tensor, local: LocalMotion, change: Tensor) -> Tensor:
    """Where the photograph shows what its movements bring to places.

    Args:
        places: [N, h, w, 2] in ±1.
        local: of the photograph.
        change: of its local movements [N, 14], in their units.

    Returns:
        [N, h, w, 2].
    """
    shift = torch.einsum("nk,kcyx->ncyx", change, local.fields.view(-1, 2, FIELD, FIELD))
    result = places
    for _ in range(ROUNDS):
        result = places - F.grid_sample(shift, result, padding_mode="border", align_corners=False).permute(0, 2, 3, 1)
    return result


def cavity(local: LocalMotion, change: Tensor) -> Tensor:
    """The inside of mouths that open, where the photograph lies before the head's turn.

    Args:
        local: of the photograph.
        change: of its local movements [N, 14], in their units.

    Returns:
        [N, 4, FIELD, FIELD]: colours in ±1, and how much of them is seen in 0–1.
    """
    half, count = len(local.lips) // 2, len(change)
    lips = local.lips + torch.einsum("nk,pkc->npc", change, local.lip_fields)
    width = (local.lips[0] - local.lips[half - 1]).norm()
    gap = (lips[:, half:, 1] - lips[:, :half, 1]) / width  # [N, 11]
    own = ((local.lips[half:, 1] - local.lips[:half, 1]) / width).clamp(min=0)  # where the photograph shows the inside
    share = ((gap - own - CAVITY_FROM) / (CAVITY_FULL - CAVITY_FROM)).clamp(0, 1)
    across = torch.linspace(-1, 1, half, device=gap.device)
    lines = (torch.cat([0 * gap, gap], 1), share.repeat(1, 2), own.repeat(count, 2), across.repeat(count, 2))
    values = torch.stack(lines, -1)
    points = torch.cat([(lips + 1) * FIELD / 2, lips.new_ones(count, 2 * half, 1)], -1)
    triangles = _strip(half).to(points.device)
    fragments = rasterize(points, triangles, FIELD, FIELD, near=-math.inf)
    depth, seen, own, aside = interpolate(fragments, triangles, values).split(1, 1)
    # a row of teeth in the shade of the upper lip, unless the photograph shows its own
    teeth = (1 - (depth - TEETH_HEIGHT) / TEETH_EDGE).clamp(0, 1) * (1 - own / CAVITY_FROM).clamp(0, 1)
    shade = (1 - aside.square()).clamp(min=0) * (depth / LIP_SHADOW).clamp(LEAST_LIGHT, 1)
    dark, bright = (lips.new_tensor(colour).view(1, 3, 1, 1) for colour in (CAVITY, TEETH))
    colour = torch.lerp(dark, bright, teeth * shade)
    below = ((depth - own) / CAVITY_FROM).clamp(0, 1)
    return torch.cat([colour, blur(seen * below * fragments.mask[:, None], CAVITY_BLUR)], 1)


def _spread(places: Tensor, depth: Tensor, moved: Tensor) -> Tensor:
    """Fields [1, 2K, FIELD, FIELD] of landmarks' movements [468, K, 2], which fade out around the face."""
    face = bundled_face()
    triangles = face.model.triangles[face.part_triangles["face"]]
    points = torch.cat([(places + 1) * FIELD / 2, depth[:, None]], 1)[None]
    fragments = rasterize(points, triangles, FIELD, FIELD, near=-math.inf)
    fields, covered = interpolate(fragments, triangles, moved.flatten(1)[None]), fragments.mask[:, None].float()
    near = blur(covered, REACH)
    around = blur(fields * covered, REACH) / near.clamp(min=1e-3) * (2 * near).clamp(max=1)
    return torch.where(covered > 0, fields, around)


def _lid_gains(places: Tensor, moved: Tensor) -> Tensor:
    """Factors [2] on the movements [468, 2, 2] of right and left lids with which a driver's shut eye shuts these."""
    upper, lower = torch.tensor(LID_MIDDLES).T
    opening = (places[lower] - places[upper]).norm(dim=-1)
    closing = (moved[upper] - moved[lower]).diagonal(dim1=0, dim2=1)[1]  # downwards, of each eye by its own lids
    low, high = LID_GAINS
    return (opening / (SHUT * closing.clamp(min=1e-4))).clamp(low, high)


def _gaze_fields(places: Tensor) -> Tensor:
    """Fields [4, FIELD, FIELD] of a unit of gaze in x and in y, inside the eyes."""
    result = torch.zeros(4, FIELD, FIELD)
    for (upper, lower), corners in zip(EYES, EYE_CORNERS, strict=True):
        rim = places[torch.tensor([*upper, *lower])]
        points = torch.cat([(rim + 1) * FIELD / 2, torch.ones(len(rim), 1)], 1)[None]
        inside = rasterize(points, _strip(len(upper)), FIELD, FIELD, near=-math.inf).mask[:, None].float()
        inside = blur(inside, EYE_SOFTNESS)[0, 0]
        across = places[torch.tensor(corners)]
        along = (across[1] - across[0]) * torch.sign(across[1, 0] - across[0, 0])
        upwards = torch.stack([along[1], -along[0]])
        for number, (axis, unit) in enumerate(zip((along, upwards), GAZE.values(), strict=True)):
            result[2 * number : 2 * number + 2] += axis[:, None, None] * unit * inside
    return result


def _strip(count: int) -> Tensor:
    """Triangles [2·(count − 1), 3] between a line of points and another below it."""
    left = torch.arange(count - 1)
    right, below = left + 1, left + count
    return torch.cat([torch.stack([left, below, right], 1), torch.stack([right, below, below + 1], 1)])
