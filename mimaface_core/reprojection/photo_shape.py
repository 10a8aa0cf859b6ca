"""Shape of the photographed face: the model's depth at the tracked landmarks, with head, eyes and mouth fitted to it.

Shapes are [V, 3], before the pose, in the face's own axes and model units (100 mm).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import (
    FACE_POINTS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_INNER_LIP_CORNER,
    LID_MIDDLES,
    LIP_MIDDLES,
    OVAL,
    RIGHT_INNER_LIP_CORNER,
)
from ..morphable.bundled.geometry import RING_COUNT, RING_FADE, RING_POINTS, TEETH_COLUMNS, TEETH_ROWS
from ..morphable.bundled.lip_contact import SHUT_GAP, closed_mouth
from ..morphable.bundled.mouth_texture import UPPER_TEETH, upper_teeth_edge
from ..motion.track import MotionTrack
from .contact import stop_jaw
from .projection import project, unproject
from .sampling import inside_polygon, pixel_box

MAX_NASAL_SHIFT = 0.12  # eye widths: no eyeball lies farther from the middle between its corners
RING_STEPS = (1.03, 1.06, 1.1, 1.15, 1.2, 1.5)  # each ring's least distance from the centre, of that of the one before
LID_SCALE_RANGE = (0.5, 2.0)
NARROW_EYE = 0.04  # opening of the model's eyes, from which on the photograph's tell how they open, model units
MAX_TEETH_DROP = 0.06  # model units: how much lower than in the model upper teeth may end
USUAL_SHOW = 0.03  # model units in the photograph's view: how far below shut lips upper teeth end at least


def nasal_shift(gaze: Tensor) -> float:
    """Shift of both eyeballs towards the nose, in eye widths, with which gaze [4] has both eyes look the same way."""
    shift = float((gaze[0] - gaze[2]) / 2)
    return max(-MAX_NASAL_SHIFT, min(MAX_NASAL_SHIFT, shift))


def photo_shape(face: BundledFace, landmarks: Tensor, source: MotionTrack, nasal: float) -> Tensor:
    """Shape that projects onto the photograph's own landmarks.

    Args:
        face: the bundled face.
        landmarks: [478, 3] in pixels of the crop.
        source: the photograph's track, one frame.
        nasal: see `nasal_shift`.

    Returns:
        [V, 3].
    """
    model, c = face.model, source.coefficients
    fitted = face.turn_eyes(model.shape(c.identity, c.expression), source.gaze, nasal)
    world = model.transform(fitted, c.angles, c.translation)
    # the face has the model's depth at the tracked pixels
    depth = model.camera - world[0, :FACE_POINTS, 2]
    own = unproject(model, landmarks[:FACE_POINTS, :2], depth, source)
    deviation = own - fitted[0, :FACE_POINTS]
    shape = fitted[0].clone()
    shape[:FACE_POINTS] = own
    rings = shape[face.parts["head"]].view(RING_COUNT, RING_POINTS, 3)
    rings += torch.tensor(RING_FADE)[:, None, None] * deviation[OVAL]
    # teeth and tongue keep the model's place behind the line in which the photograph's lips would close
    change = closed_mouth(face, c.identity, c.expression) - c.expression
    line = (own[LIP_MIDDLES, :] + model.expression_basis[LIP_MIDDLES, :] @ change[0]).mean(0)
    mouth = face.parts["mouth"]
    moved_by_identity = model.identity_basis[mouth.start] @ c.identity[0]
    shape[mouth] += line - model.mean_shape[LIP_MIDDLES, :].mean(0) - moved_by_identity
    shape = face.turn_eyes(shape[None], source.gaze, nasal)[0]
    shape[face.parts["head"]] = _spread_rings(face, shape, source)
    return shape


def _spread_rings(face: BundledFace, shape: Tensor, source: MotionTrack) -> Tensor:
    """Rings of the head, each outside the one before in the photograph, so that no pixel is used twice."""
    pixels = project(face.model, shape[None], source)[0]
    outline = pixels[OVAL, :2]
    centre = outline.mean(0)
    points = pixels[face.parts["head"]]
    rings = points.view(RING_COUNT, RING_POINTS, 3)
    reach, unit = (outline - centre).norm(dim=1), F.normalize(outline - centre, dim=1)
    for ring, step in zip(rings, RING_STEPS, strict=True):
        out = ((ring[:, :2] - centre) * unit).sum(1)
        ring[:, :2] += (reach * step - out).clamp(min=0)[:, None] * unit
        reach = torch.maximum(out, reach * step)
    return unproject(face.model, points[:, :2], points[:, 2], source)


def seat_teeth(
    face: BundledFace, shape: Tensor, crop: Tensor, lips: Tensor, light: Tensor, source: MotionTrack
) -> Tensor:
    """The shape with its teeth in place.

    Upper ones move down to their edge in the photograph, or to the usual one behind shut lips. Lower ones stop at the
    bite: a jaw is fitted to lips and chin, whatever its teeth do.

    Args:
        face: the bundled face.
        shape: [V, 3], see `photo_shape`.
        crop: [3, S, S] in ±1.
        lips: [P, 2], polygon of the inner lips in pixels of the crop, which begins at the right corner.
        light: [3], see `mouth_texture.light_of`.
        source: the photograph's track, one frame.
    """
    box, part = pixel_box(lips, 0, crop.shape[-1]), face.parts["upper_teeth"]
    vertices = project(face.model, shape[None], source)[0]
    heights = vertices[part, 1].view(TEETH_ROWS, TEETH_COLUMNS)
    gum, end = heights[[0, -1], TEETH_COLUMNS // 2 - 1 : TEETH_COLUMNS // 2 + 2].mean(1)  # incisors: molars lie deeper
    edge = torch.lerp(gum, end, UPPER_TEETH.edge)
    right, left = lips[0], lips[len(INNER_UPPER_LIP) - 1]
    middle, width = (right + left)[0] / 2, (right - left).norm()
    opening = inside_polygon(box.centres, lips, margin=0.0) > 0.5
    opening &= (box.centres[..., 0] - middle).abs() < 0.2 * width
    unit = (shape[RIGHT_INNER_LIP_CORNER] - shape[LEFT_INNER_LIP_CORNER]).norm() / width  # model units a pixel
    row = upper_teeth_edge(crop[box.index], opening, light)
    shape, seat = shape.clone(), edge
    if row is not None:
        seat = row + box.centres[0, 0, 1]
    elif openings(shape[None])[0, 2] <= SHUT_GAP:
        seat = vertices[LIP_MIDDLES, 1].mean() + USUAL_SHOW / unit
    shape[part, 1] -= ((seat - edge) * unit).clamp(0, MAX_TEETH_DROP)
    stop_jaw(face, shape[None])
    return shape


def lid_scale(face: BundledFace, shape: Tensor, source: MotionTrack) -> Tensor:
    """Opening of the photograph's eyes against the model's [2]: lid coefficients times this still close them at 1.

    An eye that is shut in the photograph tells nothing, and has 1.
    """
    c = source.coefficients
    modelled = face.eye_opening(c.identity, c.expression)[0]
    own = torch.stack([shape[upper, 1] - shape[lower, 1] for upper, lower in LID_MIDDLES])
    told = (modelled / NARROW_EYE).clamp(max=1)
    return 1 + told * ((own / modelled.clamp(min=0.02)).clamp(*LID_SCALE_RANGE) - 1)


def openings(shape: Tensor) -> Tensor:
    """Openings [N, 3] of right eye, left eye and mouth of shapes [N, V, 3], in model units."""
    return torch.stack([shape[:, upper, 1] - shape[:, lower, 1] for upper, lower in (*LID_MIDDLES, LIP_MIDDLES)], 1)


def inner_lips(landmarks: Tensor) -> Tensor:
    """Polygon [P, 2] of the inner lips of landmarks [478, 3], from the right corner along the upper lip."""
    return landmarks[INNER_UPPER_LIP + INNER_LOWER_LIP[::-1], :2]
