"""The bundled morphable model: a face on the 468-point mesh, with head, eyeballs, teeth and tongue, made by rules alone.

Vertex order: 468 face points, then the rings of head and surroundings, the two eyeballs, the mouth's inside.
Nothing is learned from people: the mean comes from `face_mesh.safetensors` (training/mean_face.py), identity and
texture modes from a smooth Gaussian-process prior, expression modes from `expressions.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..model import MorphableModel
from .blendshapes import JAW_AXIS, JAW_OPEN, NAMES, expression_basis
from .face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_BROW,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    OVAL,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)
from .mouth_texture import INSET, LAYERS

# rings round the face: size against the outline, depth, and how far they follow the head; above and below the chin line
RINGS_ABOVE = [
    (1.10, 0.62, -0.10, 1.0),
    (1.26, 0.30, -0.18, 1.0),
    (1.46, 0.0, -0.28, 0.97),
    (1.75, 0.0, -0.40, 0.58),
    (2.2, 0.0, -0.50, 0.0),
    (7.0, 0.0, -0.6, 0.0),
]
RINGS_BELOW = [
    (1.06, 0.70, -0.02, 0.9),
    (1.16, 0.45, -0.08, 0.66),
    (1.34, 0.25, -0.15, 0.42),
    (1.7, 0.1, -0.2, 0.2),
    (2.3, 0.0, -0.3, 0.0),
    (7.0, 0.0, -0.4, 0.0),
]
CENTRE = np.array([0.0, -0.05])
EYE_RADIUS, EYE_SPAN = 0.43, np.radians(75)  # eyeball radius in eye widths; how much of the ball is modelled
EYE_CORNERS = [[33, 133], [263, 362]]
LID_MIDDLES = [(159, 145), (386, 374)]
BEHIND = 0.35  # depth added to what lies behind lids and lips, so that skin always covers it


@dataclass(frozen=True)
class ProceduralFace:
    """The model with what a picture needs beyond the linear part.

    model: MorphableModel over all V vertices. parts: name -> slice of vertices. part_triangles: name -> slice of
    triangles (the layers of the "mouth" have names too). follows [V]: share of the head's movement a vertex takes (1 on
    the face, 0 on the far background).
    behind [V]: depth added when drawn. uv [V, 2]: place on the part's own texture, 0–1 (eyes, mouth).
    """

    model: MorphableModel
    parts: dict[str, slice]
    part_triangles: dict[str, slice]
    follows: Tensor
    behind: Tensor
    uv: Tensor
    eye_centres: Tensor  # [2, 3] on the mean face

    def eye_balls(self, shape: Tensor, nasal: float = 0.0) -> tuple[Tensor, Tensor]:
        """Centres [N, 2, 3] and radii [N, 2] of the eyeballs (right, left) between the eye corners of shapes [N, V, 3].

        nasal: how far they lie towards the nose from there, in eye widths.
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
        """Shapes [N, V, 3] with eyeballs between their corners and turned to gaze [N, 4] (eye widths, see MotionTrack).

        nasal: see `eye_balls`; the irises stay where the gaze puts them, only the turn it takes is another.
        """
        shape = shape.clone()
        centres, radii = self.eye_balls(shape, nasal)
        gaze = gaze - nasal * gaze.new_tensor([1, 0, -1, 0])
        for i, side in enumerate(("right_eye", "left_eye")):
            rest = self.model.mean_shape[self.parts[side]] - self.eye_centres[i]
            rest = rest / rest.norm(dim=-1, keepdim=True)
            turn = rotation_towards(gaze[:, 2 * i : 2 * i + 2] / EYE_RADIUS)
            shape[:, self.parts[side]] = radii[:, i, None, None] * (rest @ turn.transpose(1, 2)) + centres[:, i, None]
        return shape

    def eye_opening(self, identity: Tensor, expression: Tensor) -> Tensor:
        """Distance [N, 2] between the middles of upper and lower lid (right, left), in model units, 0 when closed."""
        shape = self.model.shape(identity, expression)
        return torch.stack([shape[:, up, 1] - shape[:, low, 1] for up, low in LID_MIDDLES], 1).clamp(min=0)


def rotation_towards(direction: Tensor) -> Tensor:
    """Rotations [N, 3, 3] that carry +z to (x, y, √(1 − x² − y²)) for direction [N, 2] (kept under 65°)."""
    x, y = (direction * (0.9 / direction.norm(dim=1, keepdim=True).clamp(min=0.9))).unbind(1)
    z = (1 - x * x - y * y).sqrt()
    # Rodrigues for the turn from z to d: I + K + K² / (1 + z) with K = [z × d]ₓ
    zero = torch.zeros_like(x)
    k = torch.stack([zero, zero, x, zero, zero, y, -x, -y, zero], -1).reshape(-1, 3, 3)
    return torch.eye(3, device=x.device) + k + k @ k / (1 + z)[:, None, None]


def _gaussian_process(
    points: np.ndarray, mirror: np.ndarray, scales: list[tuple[float, float]], count: int, flip_x: bool
):
    """The `count` strongest symmetric and antisymmetric modes of a smooth vector field on `points` [V, 3].

    scales: (length, amplitude) pairs of a sum of squared-exponential kernels. Antisymmetric modes count a third.
    Returns modes [V, 3, count], each scaled to one standard deviation.
    """
    d2 = ((points[:, None] - points[None]) ** 2).sum(-1)
    kernel = sum(amplitude**2 * np.exp(-d2 / (2 * length**2)) for length, amplitude in scales)
    modes = []
    for axis in range(3):
        sign = -1.0 if (axis == 0 and flip_x) else 1.0
        for parity, share in ((1.0, 1.0), (-1.0, 0.33)):
            symmetric = (kernel + parity * sign * kernel[:, mirror]) / 2
            value, vector = np.linalg.eigh((symmetric + symmetric.T) / 2)
            for v, f in sorted(zip(value, vector.T), key=lambda p: -p[0])[:count]:
                field = np.zeros((len(points), 3))
                field[:, axis] = share * np.sqrt(max(v, 0)) * f
                modes.append(field)
    modes.sort(key=lambda m: -(m**2).sum())
    return np.stack(modes[:count], -1)


def _without_pose(modes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Identity modes [V, 3, K] less what turning, shifting or scaling the whole face would do."""
    centred, motions = points - points.mean(0), []
    for axis in np.eye(3):
        motions += [np.broadcast_to(axis, points.shape), np.cross(axis, centred)]
    motions.append(centred)
    q, _ = np.linalg.qr(np.stack([m.ravel() for m in motions], 1))
    flat = modes.reshape(-1, modes.shape[-1])
    return (flat - q @ (q.T @ flat)).reshape(modes.shape)


def _rings(face: np.ndarray):
    """Vertices [216, 3], triangles, follow weights and oval partners of the rings round the face."""
    outline = face[OVAL]
    direction = outline[:, :2] - CENTRE
    down = np.clip((-direction[:, 1] / np.linalg.norm(direction, axis=1) - 0.25) / 0.6, 0, 1)
    down = down * down * (3 - 2 * down)
    vertices, follows = [], []
    for above, below in zip(RINGS_ABOVE, RINGS_BELOW):
        size, z_share, z_back, follow = np.asarray(above)[:, None] * (1 - down) + np.asarray(below)[:, None] * down
        xy = CENTRE + direction * size[:, None]
        z = outline[:, 2] * z_share + z_back * (1 + 0.4 * np.minimum(size, 2.5) ** 0.5)
        vertices.append(np.concatenate([xy, z[:, None]], 1))
        follows.append(follow)
    n, ids = len(OVAL), [np.array(OVAL)] + [468 + k * len(OVAL) + np.arange(len(OVAL)) for k in range(len(RINGS_ABOVE))]
    triangles = []
    for inner, outer in pairwise(ids):
        for i in range(n):
            j = (i + 1) % n
            triangles += [(inner[i], outer[i], outer[j]), (inner[i], outer[j], inner[j])]
    return (
        np.concatenate(vertices),
        np.array(triangles),
        np.concatenate(follows),
        np.tile(np.arange(n), len(RINGS_ABOVE)),
    )


def _grid(columns: int, rows: int, wrap: bool = False) -> np.ndarray:
    """Triangles of a grid of rows × columns vertices."""
    out = []
    for r in range(rows - 1):
        for c in range(columns if wrap else columns - 1):
            a, b = r * columns + c, r * columns + (c + 1) % columns
            out += [(a, b, a + columns), (b, b + columns, a + columns)]
    return np.array(out)


def _eyeball(corner_outer: np.ndarray, corner_inner: np.ndarray, lids: np.ndarray):
    """Cap of an eyeball: vertices [7·24, 3], triangles, uv (0–1, the pupil at 0.5, 0.5) and the ball's centre."""
    width = np.linalg.norm(corner_outer - corner_inner)
    radius = EYE_RADIUS * width
    front = lids.mean(0)
    centre = np.array([front[0], front[1], lids[:, 2].max() - radius * 0.92])
    psi, phi = np.meshgrid(np.linspace(0.001, EYE_SPAN, 9), np.arange(24) * 2 * np.pi / 24, indexing="ij")
    ball = np.stack([np.sin(psi) * np.cos(phi), np.sin(psi) * np.sin(phi), np.cos(psi)], -1).reshape(-1, 3)
    share = (psi / EYE_SPAN).ravel()[:, None]
    uv = 0.5 + 0.5 * share * np.stack([np.cos(phi), -np.sin(phi)], -1).reshape(-1, 2)
    return centre + radius * ball, _grid(24, 9, wrap=True), uv, centre


def _mouth(face: np.ndarray):
    """The mouth's inside, back to front. Vertices, triangles, uv, jaw share of each vertex, and both slices of each layer.

    The texture's rows from the top: upper teeth (0–0.25), lower teeth (0.25–0.5), tongue (0.5–0.75), cavity (0.75–1).
    Closed, the lips meet 3 mm above the edge of the upper teeth, which the lower ones stay just below.
    """
    middle = (face[INNER_UPPER_LIP[5]] + face[INNER_LOWER_LIP[5]]) / 2
    half = abs(face[INNER_UPPER_LIP[0], 0])
    vertices, triangles, uv, jaw, layers = [], [], [], [], {}

    def add(layer, x, y, z, along, share):
        start, count = sum(map(len, vertices)), sum(map(len, triangles))
        rows, columns = x.shape
        place = 0.25 * (LAYERS.index(layer) + INSET + (1 - 2 * INSET) * along)
        vertices.append(np.stack([x, middle[1] + y, middle[2] + z], -1).reshape(-1, 3))
        triangles.append(_grid(columns, rows) + start)
        uv.append(np.stack([np.broadcast_to(np.linspace(0, 1, columns), x.shape), place], -1).reshape(-1, 2))
        jaw.append(np.broadcast_to(share, x.shape).ravel())
        layers[layer] = slice(start, start + rows * columns), slice(count, count + len(triangles[-1]))

    # a dark wall, its lower half led by the jaw
    across, up = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(1, -1, 7))
    add("cavity", across * half * 1.5, up * 0.22, -0.30 - 0.1 * across**2, (1 - up) / 2, (1 - up) / 2)
    # a mound behind the lower teeth, that sinks as the jaw opens
    side, along = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(0, 1, 6))
    mound = -0.075 + 0.09 * np.sin(along * np.pi / 2) - 0.04 * side**2
    add("tongue", side * half * 0.72, mound, -0.10 - 0.20 * along, along, 1 + 0.3 * along)
    angle, along = np.meshgrid(np.linspace(-1.35, 1.35, 13), np.linspace(0, 1, 4))
    rows = ("lower_teeth", 0.92, -0.17, -0.03, 0.08, 1), ("upper_teeth", 1.10, 0.10, -0.047, 0.055, 0)
    for layer, reach, gum, edge, depth, share in rows:
        x, z = half * reach * np.sin(angle) / np.sin(1.35), -depth - 0.26 * (1 - np.cos(angle))
        add(layer, x, gum + (edge - gum) * along, z, along, share)
    return np.concatenate(vertices), np.concatenate(triangles), np.concatenate(uv), np.concatenate(jaw), layers


def _mean_texture(face: np.ndarray, total: int, parts: dict[str, slice]) -> np.ndarray:
    """Albedo [V, 3], 0–255: skin, redder lips and cheeks, brows, hair above, eyes and teeth pale."""
    colour = np.tile(np.array([205.0, 160, 135]), (total, 1))
    for red in UPPER_LIP + LOWER_LIP:
        colour[red] = [178, 98, 92]
    colour[RIGHT_BROW + LEFT_BROW] = [120, 88, 70]
    colour[parts["head"]] = [110, 85, 70]
    for eye in ("right_eye", "left_eye"):
        ball = np.tile(np.array([232.0, 228, 224]), (9 * 24, 1))
        ball[: 3 * 24], ball[24 * 3 : 24 * 4] = [70, 50, 38], [150, 140, 132]
        ball[:24] = [12, 10, 10]
        colour[parts[eye]] = ball
    colour[parts["mouth"]] = [58, 22, 22]
    colour[parts["tongue"]] = [150, 78, 76]
    colour[parts["lower_teeth"]] = colour[parts["upper_teeth"]] = [226, 218, 204]
    return colour


@lru_cache(maxsize=1)
def procedural_face() -> ProceduralFace:
    """Build the bundled face (about a second the first time)."""
    from safetensors.numpy import load_file

    stored = load_file(Path(__file__).parent / "face_mesh.safetensors")
    face, mirror = stored["mean"].astype(np.float64), stored["mirror"].astype(np.int64)
    head, head_triangles, head_follows, head_partner = _rings(face)
    eyes = [
        _eyeball(face[up[0]], face[up[-1]], face[up[1:-1] + low[1:-1]])
        for up, low in ((RIGHT_UPPER_LID, RIGHT_LOWER_LID), (LEFT_UPPER_LID, LEFT_LOWER_LID))
    ]
    mouth, mouth_triangles, mouth_uv, mouth_jaw, layers = _mouth(face)

    pieces = {"face": face, "head": head, "right_eye": eyes[0][0], "left_eye": eyes[1][0], "mouth": mouth}
    piece_triangles = {
        "face": stored["triangles"].astype(np.int64),
        "head": head_triangles,
        "right_eye": eyes[0][1],
        "left_eye": eyes[1][1],
        "mouth": mouth_triangles,
    }
    parts, part_triangles, offset, count, triangles = {}, {}, 0, 0, []
    for name, piece in pieces.items():
        t = piece_triangles[name]
        parts[name], part_triangles[name] = slice(offset, offset + len(piece)), slice(count, count + len(t))
        triangles.append(t if name in ("face", "head") else t + offset)  # rings share the outline's vertices
        offset, count = offset + len(piece), count + len(t)
    for name, (points, faces) in layers.items():
        parts[name] = slice(parts["mouth"].start + points.start, parts["mouth"].start + points.stop)
        part_triangles[name] = slice(
            part_triangles["mouth"].start + faces.start, part_triangles["mouth"].start + faces.stop
        )
    mean = np.concatenate(list(pieces.values()))

    # identity: face modes, carried outwards along the rings and as a whole by eyeballs and mouth
    identity_face = _without_pose(
        _gaussian_process(face, mirror, [(0.55, 0.05), (0.25, 0.022), (0.12, 0.008)], 80, True), face
    )
    expression_face = expression_basis(face, mirror)
    identity, expression = np.zeros((len(mean), 3, 80)), np.zeros((len(mean), 3, 64))
    identity[parts["face"]], expression[parts["face"]] = identity_face, expression_face
    ring = np.repeat(np.arange(len(RINGS_ABOVE)), len(OVAL))
    fade = np.array([1.0, 0.9, 0.7, 0.4, 0.1, 0.0])[ring][:, None, None]
    identity[parts["head"]] = fade * identity_face[OVAL][head_partner]
    expression[parts["head"]] = (
        fade * np.array([0.7, 0.35, 0.12, 0, 0, 0])[ring][:, None, None] * expression_face[OVAL][head_partner]
    )
    for name, corners in (("right_eye", [33, 133]), ("left_eye", [263, 362])):
        identity[parts[name]] = identity_face[corners].mean(0)
    identity[parts["mouth"]] = identity_face[[78, 308, 13, 14]].mean(0)
    arm = mouth - JAW_AXIS
    jaw = {
        "jaw_open": JAW_OPEN * np.stack([0 * arm[:, 0], -arm[:, 2], arm[:, 1]], 1),
        "jaw_side": np.array([[0.10, 0, 0]]),
        "jaw_forward": np.array([[0, 0, 0.08]]),
    }
    for name, move in jaw.items():
        expression[parts["mouth"], :, NAMES.index(name)] = mouth_jaw[:, None] * move

    skin = _gaussian_process(face, mirror, [(0.9, 22.0), (0.35, 9.0), (0.15, 5.0)], 80, False)
    texture = np.zeros((len(mean), 3, 80))
    texture[parts["face"]] = skin
    texture[parts["head"]] = fade * skin[OVAL][head_partner]

    follows, behind, uv = np.ones(len(mean)), np.zeros(len(mean)), np.zeros((len(mean), 2))
    follows[parts["head"]] = head_follows
    for name, place in (("right_eye", eyes[0][2]), ("left_eye", eyes[1][2]), ("mouth", mouth_uv)):
        behind[parts[name]], uv[parts[name]] = BEHIND, place

    def tensor(x):
        return torch.as_tensor(np.ascontiguousarray(x), dtype=torch.float32)

    model = MorphableModel(
        mean_shape=tensor(mean), identity_basis=tensor(identity), expression_basis=tensor(expression),
        mean_texture=tensor(_mean_texture(face, len(mean), parts)), texture_basis=tensor(texture),
        triangles=torch.as_tensor(np.concatenate(triangles)), keypoints=torch.as_tensor(KEYPOINTS),
    )  # fmt: skip
    centres = tensor(np.stack([eyes[0][3], eyes[1][3]]))
    return ProceduralFace(model, parts, part_triangles, tensor(follows), tensor(behind), tensor(uv), centres)


# the 68 landmarks of the iBUG scheme on the face mesh: jaw, brows, nose, eyes, outer lips, inner lips
KEYPOINTS = [
    127, 234, 93, 132, 58, 172, 136, 149, 152, 378, 365, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178,
]  # fmt: skip
