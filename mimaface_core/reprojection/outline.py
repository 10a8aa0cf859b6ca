"""The outline of a turned face: what lies around the face stays outside of it, as in the photograph."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import sample
from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import FACE_POINTS, OVAL
from ..morphable.bundled.geometry import RING_COUNT, RING_POINTS
from ..tensors import blur, dilated
from .facing import hiding
from .hidden_skin import unlike
from .sampling import pixel_box

BORDER_EDGES = 4  # of the mesh from the outline inwards: what lies farther in (nose, lips) does not make the outline
LATERAL = 0.8  # pixels that a point counts as less far out for each pixel that it lies beside the direction
RING_STEP = 0.35  # of its distance to the ring before it in the photograph, that a ring keeps at least

EDGE_JUMP = 4.0  # pixels of the photograph between neighbours of the frame, from which on there is an edge
EDGE_BLUR, EDGE_GAIN, EDGE_MARGIN = 1.0, 3.0, 4  # pixels; gain of the mask; pixels around the edges
FIRM_RINGS = 3  # that move with an outline which hides what lies behind it: hair and background of the photograph
FIRM_STRETCH = 1.2  # of the gaps between them, at most
EDGE_SEARCH = (-6, 12)  # pixels from the tracked outline in which the edge of the skin is looked for
UNLIKE_SKIN = 0.25  # of ±1: distance of a colour from the skin's, from which on it is taken for something else


def border_points(face: BundledFace) -> list[int]:
    """Vertices of the face within a few edges of its outline."""
    triangles = face.model.triangles[face.part_triangles["face"]]
    near = torch.zeros(FACE_POINTS, dtype=torch.bool, device=triangles.device)
    near[OVAL] = True
    for _ in range(BORDER_EDGES):
        near[triangles[near[triangles].any(1)].flatten()] = True
    return near.nonzero()[:, 0].tolist()


class Outline:
    """Keeps outline and rings outside the face, measured against the photograph.

    Args:
        face: the bundled face.
        rest: [V, 2], the vertices in the photograph.
        cosine: [468], see `facing.facing`.
    """

    def __init__(self, face: BundledFace, rest: Tensor, cosine: Tensor) -> None:
        self._head = face.parts["head"]
        self._border = border_points(face)
        self._missing, _, _ = self._measure(rest[None])
        self._hidden = hiding(face, cosine)
        out = self._out(rest[None])
        self._gaps = (out[:, 1:] - out[:, :-1]).clamp(min=0)

    def spread(self, points: Tensor) -> None:
        """Move outline and rings of points [N, V, 3] that the face has come to hide out from behind it, in place."""
        missing, unit, centre = self._measure(points[..., :2])
        push = (missing - self._missing).clamp(min=0)
        points[:, OVAL, :2] += push[..., None] * unit
        rings = points[:, self._head].unflatten(1, (RING_COUNT, RING_POINTS))
        reach = ((points[:, OVAL, :2] - centre) * unit).sum(-1)
        for k in range(RING_COUNT - 1):
            out = ((rings[:, k, :, :2] - centre) * unit).sum(-1)
            gap = out - reach
            change = (RING_STEP * self._gaps[:, k] - gap).clamp(min=0)
            if k < FIRM_RINGS:
                change = change - self._hidden * (gap - FIRM_STRETCH * self._gaps[:, k]).clamp(min=0)
            rings[:, k, :, :2] += change[..., None] * unit
            reach = out + change

    def _measure(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How far the outline lies behind the border of the face [N, 36], its directions [N, 36, 2], its centre."""
        outline = pixels[:, OVAL]
        centre = outline.mean(1, keepdim=True)
        unit = F.normalize(outline - centre, dim=-1)
        border = pixels[:, self._border] - centre
        along = border @ unit.transpose(1, 2)
        beside = border @ torch.stack([-unit[..., 1], unit[..., 0]], 1)
        reach = (along - LATERAL * beside.abs()).amax(1)
        return reach - ((outline - centre) * unit).sum(-1), unit, centre

    def _out(self, pixels: Tensor) -> Tensor:
        """Distances [N, 1 + RING_COUNT, 36] of outline and rings from the centre."""
        _, unit, centre = self._measure(pixels)
        rings = pixels[:, self._head].unflatten(1, (RING_COUNT, RING_POINTS))
        chain = torch.cat([pixels[:, None, OVAL], rings], 1)
        return ((chain - centre[:, None]) * unit[:, None]).sum(-1)


def soften_edges(image: Tensor, source_pixels: Tensor, cover: Tensor, face_pixels: Tensor) -> None:
    """Blend the two sides of the edges where one part of the skin hides another, in place.

    Args:
        image: [N, 3, S, S] in ±1, changed.
        source_pixels: [N, S, S, 2], places in the photograph; they jump there.
        cover: bool [N, S, S], the skin's; openings keep their rims.
        face_pixels: [N, P, 2], points of the face and of what is next to it, which alone can hide something.
    """
    face = pixel_box(face_pixels, EDGE_MARGIN, image.shape[-1])
    places, within = source_pixels[:, face.rows, face.columns], cover[:, face.rows, face.columns]
    jump = torch.zeros_like(within)
    right = (places[:, :, 1:] - places[:, :, :-1]).abs().amax(-1) > EDGE_JUMP
    down = (places[:, 1:] - places[:, :-1]).abs().amax(-1) > EDGE_JUMP
    jump[:, :, 1:] |= right & within[:, :, 1:] & within[:, :, :-1]
    jump[:, 1:] |= down & within[:, 1:] & within[:, :-1]
    if not jump.any():
        return
    rows, columns = jump.any(0).any(1).nonzero()[:, 0], jump.any(0).any(0).nonzero()[:, 0]
    box = [slice(max(int(of[0]) - EDGE_MARGIN, 0), int(of[-1]) + EDGE_MARGIN + 1) for of in (rows, columns)]
    area = (slice(None), slice(None), *box)
    share = (blur(jump[:, None][area].float(), EDGE_BLUR) * EDGE_GAIN).clamp(max=1)
    opening = ~within[:, None][area]  # has no colour yet that could be blended
    share = share * ~dilated(opening, EDGE_MARGIN - 1)
    changed = image[(slice(None), *face.index)][area]
    changed += (blur(changed, EDGE_BLUR) - changed) * share


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
