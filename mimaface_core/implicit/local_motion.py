"""Mouth, lids, gaze and brows of a photograph moved as its codes say, before the generator turns the head.

Not in the published system. Where codes are movements of the bundled face (`face_codes`), how a place of the
photograph moves with each of them is known from the face's landmarks; a small generator need not learn it. What a
mouth that opens shows is painted: a dark cavity behind a row of teeth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import bundled_face
from ..morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
)
from ..morphable.rasterize import interpolate, rasterize
from ..motion.rotation import rotation_of
from ..tensors import blur
from .eyes import Eye, EyePoints, Painted, eye_of, with_eyes
from .face_codes import BROWS, GAZE, HEAD, LOCAL, MOUTH, SHUT, FaceMovements, movement_of

FIELD = 256  # pixels, side of the fields
ROUNDS = 3  # in which the place is found that a movement brings to each pixel
REACH = 10.0  # pixels around the face in which movements fade out
FARTHEST = 1.0  # local movement, in its unit
# among the local movements
LIDS = slice(MOUTH, MOUTH + 2)
LOOK = slice(LIDS.stop, LIDS.stop + len(GAZE))
SKIN = [*range(MOUTH), *range(LOOK.stop, LOOK.stop + BROWS)]
CAVITY, TEETH = (-0.66, -0.84, -0.82), (0.42, 0.30, 0.16)  # colours in ±1
LIP_SHADOW = 0.10  # mouth widths below the upper lip that it shades
LEAST_LIGHT = 0.25  # that is left there
TEETH_HEIGHT, TEETH_EDGE = 0.12, 0.04  # mouth widths: of the row below the upper lip, and of its lower edge
CAVITY_FROM, CAVITY_FULL = 0.015, 0.06  # mouth widths of further opening, from which the cavity is seen, and wholly
CAVITY_BLUR = 0.7  # pixels


class LocalMotion(NamedTuple):
    """How the places of one photograph move.

    Attributes:
        fields: [1, 20, FIELD, FIELD], x and y in half sides of a unit of each movement of mouth and brows.
        eyes: right and left.
        lips: places of the inner lips, upper then lower, from corner to corner [22, 2] in ±1.
        lip_fields: how they move [22, 10, 2].
        movement: the photograph's own movements [20], in their units.
        head: [6, 6], see `FaceMovements`.
    """

    fields: Tensor
    eyes: tuple[Eye, ...]
    lips: Tensor
    lip_fields: Tensor
    movement: Tensor
    head: Tensor


def local_motion(
    crop: Tensor, landmarks: Tensor, codes: Tensor, movements: FaceMovements, painted: Sequence[Painted]
) -> LocalMotion:
    """How a photograph's places move with its codes.

    Args:
        crop: the photograph [3, S, S] in ±1.
        landmarks: [478, 2 or 3] in pixels of it.
        codes: the photograph's own [20].
        movements: that the codes stand for.
        painted: what the photograph hides of its right and left eye.
    """
    model, own = bundled_face().model, movement_of(codes[None])
    places = landmarks[:, :2] / (crop.shape[-1] / 2) - 1
    places = places[:FACE_POINTS]
    turn = rotation_of(own[:, :3] * torch.tensor([HEAD[name] for name in ("pitch", "yaw", "roll")]))[0]
    seen = model.mean_shape[:FACE_POINTS] @ turn
    scale = (places[:, 0].amax() - places[:, 0].amin()) / (seen[:, 0].amax() - seen[:, 0].amin())
    skin = movements.face[:, [*range(MOUTH), *range(-BROWS, 0)]]
    moved = torch.einsum("vce,ek->vkc", model.expression_basis[:FACE_POINTS], skin)  # [468, 10, 3]
    moved = (moved @ turn)[..., :2] * scale * torch.tensor([1.0, -1.0])
    fields = _spread(places, -seen[:, 2], moved)
    eyes = []
    for eye, hidden, lids in zip(EYE_LANDMARKS.values(), painted, own[0, LOCAL:][LIDS], strict=True):
        lines = (landmarks[line, :2] for line in (eye.upper_lid, eye.lower_lid, eye.brow_edge, eye.iris))
        eyes.append(eye_of(crop, EyePoints(*lines), hidden, SHUT - lids))
    lips = torch.tensor([*INNER_UPPER_LIP, *INNER_LOWER_LIP])
    return LocalMotion(fields, tuple(eyes), places[lips], moved[lips], own[0], movements.head)


def local_change(local: LocalMotion, codes: Tensor) -> Tensor:
    """Change of a photograph's local movements [N, 14] to those of codes [N, 20].

    Lids stop where they meet, and nothing goes farther than faces do, or than the photograph's does: a laugh that is
    added to a smile remains a laugh.
    """
    own = local.movement[LOCAL:]
    reach = own.abs().clamp(min=FARTHEST)
    asked = movement_of(codes)[:, LOCAL:].clamp(-reach, reach)
    asked[:, LIDS] = asked[:, LIDS].minimum(own[LIDS].clamp(min=SHUT))
    return asked - own


def asked_of_head(local: LocalMotion, codes: Tensor) -> Tensor:
    """Codes [N, 20] by which a generator turns the head alone, as far as codes [N, 20] say."""
    own, head = local.movement, len(HEAD)
    asked = own[:head] + (movement_of(codes)[:, :head] - own[:head]) @ local.head
    return torch.cat([asked, own[head:].expand(len(codes), -1)], 1).tanh()


def with_moved_eyes(image: Tensor, local: LocalMotion, change: Tensor) -> Tensor:
    """A photograph [1, 3, S, S] with its eyes moved: [N, 3, S, S]; `change` as `local_change` tells it."""
    return with_eyes(image, local.eyes, change[:, LIDS], change[:, LOOK])


def moved_places(places: Tensor, local: LocalMotion, change: Tensor) -> Tensor:
    """Where the photograph shows what its movements of mouth and brows bring to places.

    Args:
        places: [N, h, w, 2] in ±1.
        local: of the photograph.
        change: of its local movements [N, 14], in their units.

    Returns:
        [N, h, w, 2].
    """
    shift = torch.einsum("nk,kcyx->ncyx", change[:, SKIN], local.fields.view(-1, 2, FIELD, FIELD))
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
    lips = local.lips + torch.einsum("nk,pkc->npc", change[:, SKIN], local.lip_fields)
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


def _strip(count: int) -> Tensor:
    """Triangles [2·(count − 1), 3] between a line of points and another below it."""
    left = torch.arange(count - 1)
    right, below = left + 1, left + count
    return torch.cat([torch.stack([left, below, right], 1), torch.stack([right, below, below + 1], 1)])
