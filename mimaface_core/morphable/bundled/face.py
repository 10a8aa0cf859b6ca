"""The bundled morphable model: a face on the 468-point mesh with head, eyeballs, teeth and tongue, made by rules alone.

Vertex order: 468 face points, the rings of head and background, both eyeballs, the inside of the mouth. Nothing is
learned from people: the mean comes from `face_mesh.safetensors` (training/people/mean_face.py), identity and texture
bases from a Gaussian-process prior, the expression basis from `displacements.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..model import IDENTITY_SIZE, TEXTURE_SIZE, MorphableModel
from .blendshapes import BLENDSHAPES, blendshape
from .displacements import JAW_FORWARD, JAW_OPEN_ANGLE, JAW_SIDE, expression_basis, jaw_opening
from .face_mesh import (
    EYE_CORNERS,
    IBUG_LANDMARKS,
    LEFT_BROW,
    LEFT_INNER_LIP_CORNER,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LID_MIDDLES,
    LIP_MIDDLES,
    LOWER_LIP_POINTS,
    OVAL,
    RIGHT_BROW,
    RIGHT_INNER_LIP_CORNER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_POINTS,
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
from .priors import gaussian_process_basis, without_pose

EYE_PARTS = ("right_eye", "left_eye")
MOST_TURN = 0.9  # sine of the largest angle between an eye and the face's axis
# (length, amplitude) of the prior's kernels: model units for shapes, grey levels of 255 for colours
SHAPE_KERNELS = ((0.55, 0.05), (0.25, 0.022), (0.12, 0.008))
COLOUR_KERNELS = ((0.9, 22.0), (0.35, 9.0), (0.15, 5.0))


@dataclass(frozen=True)
class ProceduralFace:
    """The face model with its parts, and the textures' coordinates and eyes that the linear part lacks.

    Attributes:
        model: MorphableModel over all V vertices.
        parts: name → slice of vertices: face, head, right_eye, left_eye, mouth, and the mouth's layers cavity, tongue,
            lower_teeth and upper_teeth.
        part_triangles: name → slice of triangles, with the same names.
        follows: [V], share of the head's movement that a vertex takes: 1 on the face, 0 in the far background.
        uv: [V, 2], place on the part's own texture, 0–1 (eyes and mouth).
        eye_centres: [2, 3], of the right and the left eyeball on the mean face.
    """

    model: MorphableModel
    parts: dict[str, slice]
    part_triangles: dict[str, slice]
    follows: Tensor
    uv: Tensor
    eye_centres: Tensor

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
            inwards = torch.tensor([nasal * (1 - 2 * i), 0.0, 0.0]) * size[:, None]
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
def procedural_face() -> ProceduralFace:
    """Build the bundled face; it takes about a second, once in a process."""
    from safetensors.numpy import load_file

    stored = load_file(Path(__file__).parent / "face_mesh.safetensors")
    face, mirror = stored["mean"].astype(np.float64), stored["mirror"].astype(np.int64)
    rings, mouth = head_rings(face), mouth_interior(face)
    eyes = [
        eyeball(face[upper[0]], face[upper[-1]], face[upper[1:-1] + lower[1:-1]])
        for upper, lower in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
    ]
    layout = _Layout.of(face, stored["triangles"].astype(np.int64), rings, eyes, mouth)
    follows, uv = np.ones(len(layout.mean)), np.zeros((len(layout.mean), 2))
    follows[layout.parts["head"]] = rings.follows
    for name, place in zip((*EYE_PARTS, "mouth"), (eyes[0].uv, eyes[1].uv, mouth.uv), strict=True):
        uv[layout.parts[name]] = place
    model = MorphableModel(
        mean_shape=_tensor(layout.mean),
        identity_basis=_tensor(_identity_basis(face, mirror, layout, rings)),
        expression_basis=_tensor(_expression_basis(face, mirror, layout, rings, mouth)),
        mean_texture=_tensor(_mean_texture(layout)),
        texture_basis=_tensor(_texture_basis(face, mirror, layout, rings)),
        triangles=torch.as_tensor(layout.triangles),
        keypoints=torch.as_tensor(IBUG_LANDMARKS),
    )
    centres = _tensor(np.stack([eye.centre for eye in eyes]))
    return ProceduralFace(model, layout.parts, layout.part_triangles, _tensor(follows), _tensor(uv), centres)


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


def _identity_basis(face: np.ndarray, mirror: np.ndarray, layout: _Layout, rings: Rings) -> np.ndarray:
    """[V, 3, 80]: a prior on the face, faded along the rings; eyeballs and mouth move as a whole."""
    prior = gaussian_process_basis(face, mirror, SHAPE_KERNELS, IDENTITY_SIZE, vectors=True)
    on_face = without_pose(prior, face)
    basis, parts = np.zeros((len(layout.mean), 3, IDENTITY_SIZE)), layout.parts
    basis[parts["face"]] = on_face
    basis[parts["head"]] = _ring_basis(on_face, rings, np.array(RING_FADE))
    for name, corners in zip(EYE_PARTS, EYE_CORNERS, strict=True):
        basis[parts[name]] = on_face[corners].mean(0)
    basis[parts["mouth"]] = on_face[[RIGHT_INNER_LIP_CORNER, LEFT_INNER_LIP_CORNER, *LIP_MIDDLES]].mean(0)
    return basis


def _expression_basis(
    face: np.ndarray, mirror: np.ndarray, layout: _Layout, rings: Rings, mouth: MouthInterior
) -> np.ndarray:
    """[V, 3, 64]: displacement fields on the face, faded along the rings; the mouth moves with the jaw."""
    on_face = expression_basis(face, mirror)
    basis, parts = np.zeros((len(layout.mean), 3, len(BLENDSHAPES))), layout.parts
    basis[parts["face"]] = on_face
    basis[parts["head"]] = _ring_basis(on_face, rings, np.array(RING_FADE) * np.array(RING_EXPRESSION))
    jaw = {
        "jaw_open": JAW_OPEN_ANGLE * jaw_opening(mouth.vertices),
        "jaw_side": np.array(JAW_SIDE),
        "jaw_forward": np.array(JAW_FORWARD),
    }
    for name, move in jaw.items():
        basis[parts["mouth"], :, blendshape(name)] = mouth.jaw[:, None] * move
    return basis


def _texture_basis(face: np.ndarray, mirror: np.ndarray, layout: _Layout, rings: Rings) -> np.ndarray:
    """[V, 3, 80]: a prior on the skin, faded along the rings."""
    skin = gaussian_process_basis(face, mirror, COLOUR_KERNELS, TEXTURE_SIZE, vectors=False)
    basis = np.zeros((len(layout.mean), 3, TEXTURE_SIZE))
    basis[layout.parts["face"]] = skin
    basis[layout.parts["head"]] = _ring_basis(skin, rings, np.array(RING_FADE))
    return basis


def _mean_texture(layout: _Layout) -> np.ndarray:
    """Albedo [V, 3], 0–255: skin, redder lips, brows, hair above, pale eyes and teeth."""
    colour, parts = np.tile(np.array([205.0, 160, 135]), (len(layout.mean), 1)), layout.parts
    colour[UPPER_LIP_POINTS + LOWER_LIP_POINTS] = [178, 98, 92]
    colour[RIGHT_BROW + LEFT_BROW] = [120, 88, 70]
    colour[parts["head"]] = [110, 85, 70]
    ball = np.tile(np.array([232.0, 228, 224]), (EYE_ROWS, EYE_COLUMNS, 1))
    ball[0], ball[1:3], ball[3] = [12, 10, 10], [70, 50, 38], [150, 140, 132]  # pupil, iris, its rim
    for eye in EYE_PARTS:
        colour[parts[eye]] = ball.reshape(-1, 3)
    colour[parts["mouth"]] = [58, 22, 22]
    colour[parts["tongue"]] = [150, 78, 76]
    colour[parts["lower_teeth"]] = colour[parts["upper_teeth"]] = [226, 218, 204]
    return colour
