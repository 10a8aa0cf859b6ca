"""The bundled morphable model: a scanned face on the 468-point mesh with head, eyeballs, teeth and tongue.

Vertex order: 468 face points, the rings of head and background, both eyeballs, the inside of the mouth. Shape at rest,
identity, expressions, colours, teeth and jaw come from `scanned_face.safetensors`, which the program
training/people/scanned_face.py makes of ICT FaceKit's scans and public-domain portraits; the rest follows by rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..model import IDENTITY_SIZE, TEXTURE_SIZE, MorphableModel
from .blendshapes import BLENDSHAPES, blendshapes
from .face_mesh import (
    EYE_CORNERS,
    IBUG_LANDMARKS,
    INNER_UPPER_LIP,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LID_MIDDLES,
    LIP_MIDDLES,
    OVAL,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)
from .geometry import (
    EYE_COLUMNS,
    EYE_RADIUS,
    EYE_ROWS,
    RING_EXPRESSION,
    RING_FADE,
    RING_POINTS,
    Eyeball,
    MouthInterior,
    Rings,
    eyeball,
    head_rings,
    mouth_interior,
)

EYE_PARTS = ("right_eye", "left_eye")
LEAST_OPENING = 1e-3  # of an eye at rest, model units
MOST_TURN = 0.9  # sine of the largest angle between an eye and the face's axis


@dataclass(frozen=True)
class BundledFace:
    """The face model with its parts, and the textures' coordinates and eyes that the linear part lacks.

    Attributes:
        model: MorphableModel over all V vertices.
        parts: name → slice of vertices: face, head, right_eye, left_eye, mouth, and the mouth's layers cavity, tongue,
            lower_teeth and upper_teeth.
        part_triangles: name → slice of triangles, with the same names.
        follows: [V], share of the head's movement that a vertex takes: 1 on the face, 0 in the far background.
        turns: [V], share of the head's turning: 1 on the face, 0 at the contour of the head and beyond.
        inertia: [V], model units by which the head has moved when a vertex around it has moved half as far.
        uv: [V, 2], place on the part's own texture, 0–1 (eyes and mouth).
        eye_centres: [2, 3], of the right and the left eyeball on the mean face.
        lip_parity: [5], of the lips' corrective blendshapes: 1 where it is alike on both sides, −1 where opposite.
    """

    model: MorphableModel
    parts: dict[str, slice]
    part_triangles: dict[str, slice]
    follows: Tensor
    turns: Tensor
    inertia: Tensor
    uv: Tensor
    eye_centres: Tensor
    lip_parity: Tensor

    def eye_balls(self, shape: Tensor, nasal: float = 0.0) -> tuple[Tensor, Tensor]:
        """Centres and radii of the eyeballs between the corners of the eyes.

        Args:
            shape: [N, V, 3], vertices before the pose; the first 468 are enough.
            nasal: shift of both eyeballs towards the nose, in eye widths.

        Returns:
            Centres [N, 2, 3] and radii [N, 2] of the right and the left eyeball.
        """
        centres, radii = [], []
        for i, corners in enumerate(EYE_CORNERS):
            rest = self.model.mean_shape[corners]
            size = (shape[:, corners[0]] - shape[:, corners[1]]).norm(dim=-1)
            scale = size / (rest[0] - rest[1]).norm()
            inwards = size.new_tensor([nasal * (1 - 2 * i), 0.0, 0.0]) * size[:, None]
            centres.append(shape[:, corners].mean(1) + scale[:, None] * (self.eye_centres[i] - rest.mean(0)) + inwards)
            radii.append(EYE_RADIUS * size)
        return torch.stack(centres, 1), torch.stack(radii, 1)

    def turn_eyes(self, shape: Tensor, gaze: Tensor, nasal: float = 0.0) -> Tensor:
        """Place the eyeballs between the corners of the eyes and turn them.

        Args:
            shape: [N, V, 3], vertices before the pose.
            gaze: [N, 4], eye widths from straight ahead; see `MotionTrack`.
            nasal: shift of both eyeballs as in `eye_balls`. The irises stay where the gaze puts them, and only the
                angles that this takes change.

        Returns:
            The shapes [N, V, 3] with the eyeballs' vertices exchanged.
        """
        shape = shape.clone()
        centres, radii = self.eye_balls(shape, nasal)
        gaze = gaze - nasal * gaze.new_tensor([1, 0, -1, 0])
        for i, side in enumerate(EYE_PARTS):
            rest = self.model.mean_shape[self.parts[side]] - self.eye_centres[i]
            rest = rest / rest.norm(dim=-1, keepdim=True)
            turn = rotation_towards(gaze[:, 2 * i : 2 * i + 2] / EYE_RADIUS)
            shape[:, self.parts[side]] = radii[:, i, None, None] * (rest @ turn.transpose(1, 2)) + centres[:, i, None]
        return shape

    def eye_opening(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Distance between the middles of upper and lower lid.

        Args:
            identity: [N, 80] or [1, 80].
            expression: [N, 64].

        Returns:
            [N, 2] for the right and the left eye, in model units, 0 when closed.
        """
        shape = self.model.shape(identity, expression)
        return torch.stack([shape[:, up, 1] - shape[:, low, 1] for up, low in LID_MIDDLES], 1).clamp(min=0)

    def openness(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Eyes' openings [N, 2] over those without an expression: 1 as they usually are, 0 shut; as `eye_opening`."""
        usual = self.eye_opening(identity, expression * 0).clamp(min=LEAST_OPENING)  # of a face that is none
        return self.eye_opening(identity, expression) / usual

    def blink(self, opening: Tensor) -> Tensor:
        """Coefficients of `eyeBlink` [N, 2], right and left, that close eyes by openings [N, 2] in model units."""
        basis = self.model.expression_basis[:, 1]
        reach = [
            basis[low, k] - basis[up, k] for (up, low), k in zip(LID_MIDDLES, blendshapes("eyeBlink"), strict=True)
        ]
        return opening / torch.stack(reach)


def rotation_towards(direction: Tensor) -> Tensor:
    """Rotations that carry +z to (x, y, √(1 − x² − y²)), by Rodrigues' formula.

    Args:
        direction: [N, 2], x and y; beyond MOST_TURN (about 65°) they are shortened to it.

    Returns:
        [N, 3, 3], for column vectors.
    """
    x, y = (direction * (MOST_TURN / direction.norm(dim=1, keepdim=True).clamp(min=MOST_TURN))).unbind(1)
    z = (1 - x * x - y * y).sqrt()
    # from z to d: I + K + K² / (1 + z) with K = [z × d]ₓ
    zero = torch.zeros_like(x)
    k = torch.stack([zero, zero, x, zero, zero, y, -x, -y, zero], -1).reshape(-1, 3, 3)
    return torch.eye(3, device=x.device) + k + k @ k / (1 + z)[:, None, None]


@lru_cache(maxsize=1)
def bundled_face() -> BundledFace:
    """Read the bundled face, once in a process."""
    from safetensors.numpy import load_file

    stored = load_file(Path(__file__).parent / "scanned_face.safetensors")
    face = stored["mean"].astype(np.float64)
    rings, mouth = head_rings(face, stored["ring_depth"]), mouth_interior(face, stored)
    eyes = [
        eyeball(face[upper[0]], face[upper[-1]], face[upper[1:-1] + lower[1:-1]])
        for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
    ]
    layout = _Layout.of(face, stored["triangles"].astype(np.int64), rings, eyes, mouth)
    uv, along = np.zeros((len(layout.mean), 2)), np.tile([1.0, 1.0, 0.0], (len(layout.mean), 1))
    along[layout.parts["head"]] = np.stack([rings.follows, rings.turns, rings.inertia], 1)
    for name, place in zip((*EYE_PARTS, "mouth"), (eyes[0].uv, eyes[1].uv, mouth.uv), strict=True):
        uv[layout.parts[name]] = place
    model = MorphableModel(
        mean_shape=_tensor(layout.mean),
        identity_basis=_tensor(_identity_basis(stored["identity"], layout, rings)),
        expression_basis=_tensor(_expression_basis(stored["expression"], stored["jaw"], layout, rings, mouth)),
        mean_texture=_tensor(_mean_texture(stored["colour"], layout)),
        texture_basis=_tensor(_texture_basis(stored["colours"], layout, rings)),
        triangles=torch.as_tensor(layout.triangles),
        keypoints=torch.as_tensor(IBUG_LANDMARKS),
    )
    follows, turns, inertia = _tensor(along).unbind(1)
    centres = _tensor(np.stack([eye.centre for eye in eyes]))
    return BundledFace(
        model,
        layout.parts,
        layout.part_triangles,
        follows,
        turns,
        inertia,
        _tensor(uv),
        centres,
        torch.from_numpy(stored["lip_parity"]).long(),
    )


def _tensor(values: np.ndarray) -> Tensor:
    return torch.as_tensor(np.ascontiguousarray(values), dtype=torch.float32)


@dataclass(frozen=True)
class _Layout:
    """All meshes in one: mean [V, 3], triangles [T, 3], and the slices of each part."""

    mean: np.ndarray
    triangles: np.ndarray
    parts: dict[str, slice]
    part_triangles: dict[str, slice]

    @classmethod
    def of(
        cls, face: np.ndarray, face_triangles: np.ndarray, rings: Rings, eyes: list[Eyeball], mouth: MouthInterior
    ) -> _Layout:
        meshes = {
            "face": (face, face_triangles),
            "head": (rings.vertices, rings.triangles),
            **{name: (eye.vertices, eye.triangles) for name, eye in zip(EYE_PARTS, eyes, strict=True)},
            "mouth": (mouth.vertices, mouth.triangles),
        }
        parts, part_triangles, triangles, start, first = {}, {}, [], 0, 0
        for name, (vertices, corners) in meshes.items():
            parts[name] = slice(start, start + len(vertices))
            part_triangles[name] = slice(first, first + len(corners))
            triangles.append(corners if name in ("face", "head") else corners + start)
            start, first = start + len(vertices), first + len(corners)
        for name, (layer, layer_triangles) in mouth.layers.items():
            parts[name] = _moved(layer, parts["mouth"].start)
            part_triangles[name] = _moved(layer_triangles, part_triangles["mouth"].start)
        mean = np.concatenate([vertices for vertices, _ in meshes.values()])
        return cls(mean, np.concatenate(triangles), parts, part_triangles)


def _moved(part: slice, by: int) -> slice:
    return slice(by + part.start, by + part.stop)


def _ring_basis(basis: np.ndarray, rings: Rings, share: np.ndarray) -> np.ndarray:
    """The outline's rows of a face basis [468, 3, K], continued along the rings by the share [RING_COUNT] of each."""
    return np.repeat(share, RING_POINTS)[:, None, None] * basis[OVAL][rings.outline]


def _identity_basis(on_face: np.ndarray, layout: _Layout, rings: Rings) -> np.ndarray:
    """[V, 3, 80]: of the face [468, 3, 80], faded along the rings; eyeballs and mouth move as a whole."""
    basis, parts = np.zeros((len(layout.mean), 3, IDENTITY_SIZE)), layout.parts
    basis[parts["face"]] = on_face
    basis[parts["head"]] = _ring_basis(on_face, rings, np.array(RING_FADE))
    for name, corners in zip(EYE_PARTS, EYE_CORNERS, strict=True):
        basis[parts[name]] = on_face[corners].mean(0)
    basis[parts["mouth"]] = on_face[[INNER_UPPER_LIP[0], INNER_UPPER_LIP[-1], *LIP_MIDDLES]].mean(0)
    return basis


def _expression_basis(
    on_face: np.ndarray, jaw: np.ndarray, layout: _Layout, rings: Rings, mouth: MouthInterior
) -> np.ndarray:
    """[V, 3, 64]: of the face [468, 3, 64], faded along the rings; the mouth moves with the jaw's fields [64, 3, 4]."""
    basis, parts = np.zeros((len(layout.mean), 3, len(BLENDSHAPES))), layout.parts
    basis[parts["face"]] = on_face
    basis[parts["head"]] = _ring_basis(on_face, rings, np.array(RING_FADE) * np.array(RING_EXPRESSION))
    place = np.concatenate([mouth.vertices, np.ones((len(mouth.vertices), 1))], 1)
    basis[parts["mouth"]] = mouth.jaw[:, None, None] * np.einsum("kij,vj->vik", jaw, place)
    return basis


def _texture_basis(skin: np.ndarray, layout: _Layout, rings: Rings) -> np.ndarray:
    """[V, 3, 80]: of the skin [468, 3, 80], faded along the rings."""
    basis = np.zeros((len(layout.mean), 3, TEXTURE_SIZE))
    basis[layout.parts["face"]] = skin
    basis[layout.parts["head"]] = _ring_basis(skin, rings, np.array(RING_FADE))
    return basis


def _mean_texture(skin: np.ndarray, layout: _Layout) -> np.ndarray:
    """Albedo [V, 3], 0–255: the face's [468, 3], hair around it, pale eyes and teeth."""
    colour, parts = np.zeros((len(layout.mean), 3)), layout.parts
    colour[parts["face"]] = skin
    colour[parts["head"]] = [110, 85, 70]
    ball = np.tile(np.array([232.0, 228, 224]), (EYE_ROWS, EYE_COLUMNS, 1))
    ball[0], ball[1:3], ball[3] = [12, 10, 10], [70, 50, 38], [150, 140, 132]  # pupil, iris, its rim
    for eye in EYE_PARTS:
        colour[parts[eye]] = ball.reshape(-1, 3)
    colour[parts["mouth"]] = [58, 22, 22]
    colour[parts["tongue"]] = [150, 78, 76]
    colour[parts["lower_teeth"]] = colour[parts["upper_teeth"]] = [226, 218, 204]
    return colour
