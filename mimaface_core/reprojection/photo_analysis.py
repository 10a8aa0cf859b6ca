"""Analysis of the photograph, made once: its shape, textures of what skin hides, lids and lips closed, its tone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import sample
from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import (
    BETWEEN_BROWS,
    CHIN_FRONT,
    EYE_LANDMARKS,
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_CHEEK,
    OVAL,
    RIGHT_CHEEK,
)
from ..morphable.bundled.mouth_texture import MOUTH_LAYERS, light_of, paint, with_photograph
from ..motion.track import MotionTrack
from ..tensors import blur, smoothstep
from .eye_textures import closed_opening, iris_texture, without_iris
from .facing import facing, hiding
from .hidden_skin import HiddenSkin, continue_skin
from .lashes import Lashes, find_lashes
from .monochrome import detect_tone
from .outline import outline_at_edge
from .parts import draw_parts, unwrap
from .photo_shape import inner_lips, lid_scale, nasal_shift, openings, photo_shape, seat_teeth
from .projection import project
from .sampling import inside_polygon, line_distance, pixel_box

SKIN_POINTS = [RIGHT_CHEEK, LEFT_CHEEK, BETWEEN_BROWS, CHIN_FRONT]  # where the colour of the skin is taken
EYE_TEXTURE_SIDE, MOUTH_TEXTURE_SIDE = 128, 256  # texels
SHUT_EYE = 0.12  # of an eye's width: a lower one shows nothing but lashes
SCLERA_BY_SKIN = 1.15  # light of a sclera that no eye shows, over that of the skin
IRIS_SIZE = 0.2  # of an eye's width, where no eye shows its iris
TEETH_OPENING, TONGUE_OPENING = 2.0, 12.0  # pixels: openings of the mouth in which they are visible
FOLD_HEIGHT = 0.4  # share of the way from the lid up to the brow that the fold of a closed lid reaches
FOLD_WIDTH = 0.025  # eye widths: sigma of that fold
FOLD_SEAM = (0.08, 0.14, 0.14)  # its darkness in red, green and blue, against a seam's
FOLD_ENDS = (0.0, 0.3), (0.7, 1.0)  # from the outer to the inner corner, where it begins and ends
LIP_SEAM = (0.7, 1.0, 0.95)  # darkness of the line between closed lips in red, green and blue, against a lid's
SHARP_RATIO = 0.63  # of the finest to the next finest detail in a sharp photograph
BLUR_SLOPE = 4.6  # pixels of blur that lower that ratio by 1
MAX_DEFOCUS = 1.5  # pixels


class Closing(NamedTuple):
    """Edges that meet when an opening closes.

    Attributes:
        upper, lower: landmarks of the edges, between the same corners.
        brow_edge: for lids, lower edge of the brow; None for lips.
        margin: of the skin beside the opening that is covered, share of the opening's width.
    """

    upper: list[int]
    lower: list[int]
    brow_edge: list[int] | None
    margin: float


# right eye, left eye, mouth
CLOSINGS = (
    *(Closing(eye.upper_lid, eye.lower_lid, eye.brow_edge, 0.07) for eye in EYE_LANDMARKS.values()),
    Closing(INNER_UPPER_LIP, INNER_LOWER_LIP, None, 0.02),
)


@dataclass(frozen=True)
class PhotoAnalysis:
    """One photograph, S pixels to a side, prepared for the renderer.

    Attributes:
        crop: [3, S, S] in ±1, the photograph.
        source: its track, one frame.
        nasal: shift of the eyeballs towards the nose, in eye widths.
        shape: [V, 3], see `photo_shape`.
        vertex_pixels: [V, 2], the shape's vertices in the photograph.
        lid_scale: [2], factors of the lids' coefficients, right and left.
        openings: [3], of right eye, left eye and mouth in model units.
        textures: part → [5, T, T] for both eyes and the layers of the mouth, as `draw_parts` takes them.
        without_irises: [3, S, S] in ±1, the photograph with the irises painted over.
        lashes: of its eyes.
        closed: [3, 5, S, S], for right eye, left eye and mouth the photograph with it closed: colour in ±1, the share
            in which it replaces the photograph, and in 0–1 the line where lips meet (lids have lashes).
        defocus: blur of the photograph, sigma in pixels.
        tone: see `detect_tone`; None where the photograph has several hues.
        facing: [468], see `facing.facing`.
        hidden_skin: what is drawn in place of skin that the photograph shows at a grazing angle.
    """

    crop: Tensor
    source: MotionTrack
    nasal: float
    shape: Tensor
    vertex_pixels: Tensor
    lid_scale: Tensor
    openings: Tensor
    textures: Mapping[str, Tensor]
    without_irises: Tensor
    lashes: Lashes
    closed: Tensor
    defocus: float
    tone: Tensor | None
    facing: Tensor
    hidden_skin: HiddenSkin


def analyse_photo(face: BundledFace, crop: Tensor, landmarks: Tensor, source: MotionTrack) -> PhotoAnalysis:
    """Analyse one photograph.

    Args:
        face: the bundled face.
        crop: [3, S, S] in ±1.
        landmarks: [478, 3] in pixels of the crop.
        source: its track, one frame.
    """
    nasal, size = nasal_shift(source.gaze[0]), crop.shape[-1]
    shape = photo_shape(face, landmarks, source, nasal)
    cosine = facing(face, shape[None], source)[0]
    skin = continue_skin(face, crop, project(face.model, shape[None], source)[0, :, :2], cosine)
    landmarks = outline_at_edge(crop, landmarks, hiding(face, cosine), skin.colour[OVAL])
    shape = photo_shape(face, landmarks, source, nasal)
    vertices = project(face.model, shape[None], source)[0]
    irises, without_irises, sclera = _eyes(face, crop, landmarks, vertices)
    light = _light(crop, vertices, sclera)
    shape = seat_teeth(face, shape, crop, inner_lips(landmarks), light, source)
    mouth = _mouth(face, crop, landmarks, project(face.model, shape[None], source)[0], light)
    cosine = facing(face, shape[None], source)[0]
    blurred = defocus(crop[pixel_box(landmarks[:FACE_POINTS, :2], 0, size).index])
    return PhotoAnalysis(
        crop=crop,
        source=source,
        nasal=nasal,
        shape=shape,
        vertex_pixels=vertices[:, :2],
        lid_scale=lid_scale(face, shape, source),
        openings=openings(shape[None])[0],
        textures=irises | mouth,
        without_irises=without_irises,
        lashes=find_lashes(crop, landmarks, blurred),
        closed=torch.stack([_closed(crop, landmarks, closing) for closing in CLOSINGS]),
        defocus=blurred,
        tone=detect_tone(crop),
        facing=cosine,
        hidden_skin=continue_skin(face, crop, vertices[:, :2], cosine),
    )


def defocus(view: Tensor) -> float:
    """Blur of a photograph [3, h, w]: about the sigma in pixels that blurs a sharp one as much."""
    fine, coarse = ((view - blur(view[None], sigma)[0]).square().mean().sqrt() for sigma in (1.0, 2.0))
    ratio = float(fine / coarse.clamp(min=1e-6))
    return min(MAX_DEFOCUS, max(0.0, BLUR_SLOPE * (SHARP_RATIO - ratio)))


def _eyes(
    face: BundledFace, crop: Tensor, landmarks: Tensor, vertices: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Iris textures, the photograph with the irises painted over, and its colours inside the lids [3, P]."""
    textures, sclera, shut = {}, {}, []
    whole = crop.clone()
    for name, eye in EYE_LANDMARKS.items():
        shown = unwrap(face, name, crop, vertices, EYE_TEXTURE_SIDE)
        lids = landmarks[eye.upper_lid + eye.lower_lid[::-1], :2]
        known = inside_polygon(shown.pixels, lids, margin=1.5) * shown.mask
        width = (landmarks[eye.upper_lid[0], :2] - landmarks[eye.upper_lid[-1], :2]).norm()
        height = (landmarks[eye.upper_lid, :2] - landmarks[eye.lower_lid, :2]).norm(dim=1).amax()
        centre, right, _, left, _ = landmarks[eye.iris, :2]
        radius = (right - left).norm() / 2
        textures[name] = iris_texture(shown.colour, known, float(radius / width))
        box = pixel_box(lids, 2, crop.shape[-1])
        disc = (radius * 1.15 + 1.5 - (box.centres - centre).norm(dim=-1)).clamp(0, 1)
        whole[box.index] = without_iris(whole[box.index], inside_polygon(box.centres, lids, margin=0.0), disc)
        sclera[name] = whole[box.index][:, inside_polygon(box.centres, lids, margin=0.5) > 0]
        if height < SHUT_EYE * width:
            shut.append(name)
    for name in shut:  # the other eye tells how it looks
        other = next((open_eye for open_eye in EYE_LANDMARKS if open_eye not in shut), None)
        eye = EYE_LANDMARKS[name]
        box = pixel_box(landmarks[eye.upper_lid + eye.lower_lid, :2], 4, crop.shape[-1])
        if other is None:
            skin = whole[box.index].flatten(1).median(1).values
            whole[box.index] = ((skin + 1) * SCLERA_BY_SKIN).clamp(max=1.94)[:, None, None] - 1
            textures[name] = iris_texture(crop.new_zeros(3, *[EYE_TEXTURE_SIDE] * 2), textures[name][3] * 0, IRIS_SIZE)
        else:
            whole[box.index] = sclera[other].quantile(0.7, dim=1)[:, None, None]
            textures[name] = textures[other].flip(-1)
        sclera[name] = sclera[name][:, :0]
    return textures, whole, torch.cat(list(sclera.values()), 1)


def _light(crop: Tensor, vertices: Tensor, sclera: Tensor) -> Tensor:
    """Light of the photograph [3], from its skin and the brighter part of its sclera [3, P]; see `light_of`."""
    spots = vertices[SKIN_POINTS, :2].long().clamp(0, crop.shape[-1] - 1)
    skin = (crop[:, spots[:, 1], spots[:, 0]].mean(1) + 1) / 2
    if not sclera.numel():
        return light_of(skin)
    white = (sclera + 1) / 2
    bright = white.mean(0) >= white.mean(0).quantile(0.6)
    return light_of(skin, white[:, bright].mean(1))


def _mouth(face: BundledFace, crop: Tensor, landmarks: Tensor, vertices: Tensor, light: Tensor) -> dict[str, Tensor]:
    """Textures of the mouth's layers: painted, then taken from the photograph where it shows them, front to back."""
    side, lips = MOUTH_TEXTURE_SIDE, inner_lips(landmarks)
    box = pixel_box(lips, 4, crop.shape[-1])
    height, width = box.centres.shape[:2]
    opening = 2 * (inside_polygon(box.centres, lips, margin=0.0) * line_distance(box.centres, lips)).amax()
    teeth_visible, tongue_visible = (((opening - low) / low).clamp(0, 1) for low in (TEETH_OPENING, TONGUE_OPENING))
    local = (vertices - vertices.new_tensor([*box.corner, 0]))[None]
    texture = torch.zeros(5, side, side)
    textures = dict.fromkeys(MOUTH_LAYERS, texture)
    free = torch.zeros_like(crop[:1])  # share of the view into the mouth that the layers in front leave
    free[box.index] = 1
    for number, name in enumerate(MOUTH_LAYERS):
        teeth = "teeth" in name
        band = slice(number * side // 4, (number + 1) * side // 4)
        colour, pixels, mask = unwrap(face, name, crop, vertices, side)
        known = torch.zeros_like(mask[band], dtype=torch.float32)
        if teeth_visible > 0 and (teeth or tongue_visible > 0):
            unhidden = sample(free, pixels[None, band])[0, 0].clamp(0, 1)
            known = inside_polygon(pixels[band], lips, margin=0.8) * mask[band] * unhidden
            known = known * (teeth_visible if teeth else tongue_visible)
        texture[:, band] = with_photograph(
            paint(name, light, side), colour[:, band], known, light, teeth=teeth, openness=tongue_visible
        )
        free[box.index] *= 1 - draw_parts(face, textures, [name], local, height, width).opacity[0]
    return textures


def _fold(centres: Tensor, lid: Tensor, fold: Tensor) -> Tensor:
    """Darkness [3, h, w] in 0–1 at pixels [h, w, 2] of the fold above a closed lid.

    lid, fold: [P, 2], the edge of the open lid and the fold, from the outer to the inner corner.
    """
    across = lid[-1] - lid[0]
    along = ((centres - lid[0]) @ across) / across.square().sum()
    begin, end = FOLD_ENDS
    beside = line_distance(centres, fold) / across.norm()
    line = smoothstep(along, *begin) * (1 - smoothstep(along, *end)) * torch.exp(-(beside / FOLD_WIDTH).square() / 2)
    return line * centres.new_tensor(FOLD_SEAM)[:, None, None]


def _closed(crop: Tensor, landmarks: Tensor, closing: Closing) -> Tensor:
    """The photograph with one opening closed [5, S, S], see `PhotoAnalysis.closed`."""
    upper, lower = landmarks[closing.upper, :2], landmarks[closing.lower, :2]
    hole = torch.cat([upper, lower.flip(0)])
    margin = max(1, round(float((upper[0] - upper[-1]).norm()) * closing.margin))
    fold = upper
    if closing.brow_edge:  # a lid that comes down smoothes its fold
        brow = landmarks[closing.brow_edge, :2].T[None]
        brow = F.interpolate(brow, len(closing.upper), mode="linear", align_corners=True)[0].T
        fold = upper + FOLD_HEIGHT * (brow - upper)
    covered = torch.cat([fold, lower.flip(0)])
    box = pixel_box(covered, 3 * margin + 2, crop.shape[-1])
    opening, folded = ((inside_polygon(box.centres, area, margin=-1.0) > 0).float() for area in (hole, covered))
    if closing.brow_edge:
        seam, line = torch.zeros_like(opening), _fold(box.centres, upper, fold)
    else:  # lips touch in a soft shadow, and what stays open between them is dark
        beside = line_distance(box.centres, torch.cat([hole, hole[:1]])) * (1 - opening)
        line = (1 - beside / 3).clamp(0, 1) * box.centres.new_tensor(LIP_SEAM)[:, None, None]
        seam = line.amax(0)
    layer = torch.cat([crop, torch.zeros_like(crop[:2])])
    layer[:4][box.index] = closed_opening(crop[box.index], opening, folded, margin, line)
    layer[4][box.index[1:]] = seam
    return layer
