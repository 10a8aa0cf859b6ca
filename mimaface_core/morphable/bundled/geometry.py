"""Meshes beside the face: rings of head and background around it, eyeballs, and the inside of the mouth.

Units: 100 mm; x to the subject's left (the image's right), y up, z to the viewer.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from .face_mesh import FACE_POINTS, INNER_UPPER_LIP, LOWER_LIP_MIDDLE, OVAL, UPPER_LIP_MIDDLE
from .mouth_texture import LAYER_INSET, MOUTH_LAYERS

OUTLINE_CENTRE = np.array([0.0, -0.05])  # x, y
RING_POINTS = len(OVAL)  # vertices of one ring
RING_TRIANGLES = 2 * RING_POINTS  # between one ring and the next
EYE_RADIUS = 0.43  # of an eyeball, in eye widths
EYE_RISE = (
    0.05  # of an eyeball above the middle of the lids, eye widths: eyes that look straight ahead meet the upper lid
)
EYE_SPAN = np.radians(75)  # angle from the pupil to the edge of the modelled cap
EYE_ROWS, EYE_COLUMNS = 9, 24  # rings of an eyeball from the pupil outwards, and vertices of each
TEETH_ROWS, TEETH_COLUMNS = 4, 13  # of the sheet through a row of teeth
PUPIL_POINTS = EYE_COLUMNS  # the first vertices of an eyeball: the ring around its pole


class Ring(NamedTuple):
    """One ring around the face.

    Attributes:
        size: against the outline of the face.
        depth_share: share of the outline's depth.
        depth: added to that, in model units at size 0.
        follows: share of the head's movement.
    """

    size: float
    depth_share: float
    depth: float
    follows: float


RINGS_ABOVE = (
    Ring(1.10, 0.62, -0.10, 1.0),
    Ring(1.26, 0.30, -0.18, 1.0),
    Ring(1.46, 0.0, -0.28, 0.97),
    Ring(1.75, 0.0, -0.40, 0.58),
    Ring(2.2, 0.0, -0.50, 0.0),
    Ring(7.0, 0.0, -0.6, 0.0),
)
RINGS_BELOW = (  # below the chin line
    Ring(1.06, 0.70, -0.02, 0.9),
    Ring(1.16, 0.45, -0.08, 0.66),
    Ring(1.34, 0.25, -0.15, 0.42),
    Ring(1.7, 0.1, -0.2, 0.2),
    Ring(2.3, 0.0, -0.3, 0.0),
    Ring(7.0, 0.0, -0.4, 0.0),
)
RING_COUNT = len(RINGS_ABOVE)
RING_FADE = (1.0, 0.9, 0.7, 0.4, 0.1, 0.0)  # share of the outline's deviation from the mean that each ring takes over
RING_EXPRESSION = (0.7, 0.35, 0.12, 0.0, 0.0, 0.0)  # share of that for the outline's expression


class Rings(NamedTuple):
    """Rings around the face, from the inside outwards: P = RING_COUNT · RING_POINTS vertices.

    Attributes:
        vertices: [P, 3].
        triangles: [T, 3], indices of the whole mesh, since the first strip shares the outline's vertices.
        follows: [P], share of the head's movement.
        outline: [P], position in OVAL of the outline vertex that each continues.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    follows: np.ndarray
    outline: np.ndarray


class Eyeball(NamedTuple):
    """Front cap of one eyeball.

    Attributes:
        vertices: [EYE_ROWS · EYE_COLUMNS, 3].
        triangles: [T, 3], indices of these vertices.
        uv: the same vertices on the eye's own texture, 0–1, with the pupil at (0.5, 0.5).
        centre: [3], of the ball.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    centre: np.ndarray


class MouthInterior(NamedTuple):
    """Inside of the mouth, its layers from back to front.

    Attributes:
        vertices: [M, 3].
        triangles: [T, 3], indices of these vertices.
        uv: [M, 2], on the mouth's texture, 0–1: a quarter of its height for each of MOUTH_LAYERS.
        jaw: [M], share of the jaw's movement.
        layers: name → slice of vertices, slice of triangles.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    uv: np.ndarray
    jaw: np.ndarray
    layers: dict[str, tuple[slice, slice]]


def head_rings(face: np.ndarray) -> Rings:
    """Rings around a face [468, 3]."""
    outline = face[OVAL]
    direction = outline[:, :2] - OUTLINE_CENTRE
    down = np.clip((-direction[:, 1] / np.linalg.norm(direction, axis=1) - 0.25) / 0.6, 0, 1)
    down = down * down * (3 - 2 * down)
    vertices, follows = [], []
    for above, below in zip(RINGS_ABOVE, RINGS_BELOW, strict=True):
        size, depth_share, depth, follow = np.asarray(above)[:, None] * (1 - down) + np.asarray(below)[:, None] * down
        xy = OUTLINE_CENTRE + direction * size[:, None]
        z = outline[:, 2] * depth_share + depth * (1 + 0.4 * np.minimum(size, 2.5) ** 0.5)
        vertices.append(np.concatenate([xy, z[:, None]], 1))
        follows.append(follow)
    points = np.arange(RING_POINTS)
    ids = [np.array(OVAL), *(FACE_POINTS + k * RING_POINTS + points for k in range(RING_COUNT))]
    triangles: list[tuple[int, int, int]] = []
    for inner, outer in pairwise(ids):
        for i in range(RING_POINTS):
            j = (i + 1) % RING_POINTS
            triangles += [(inner[i], outer[i], outer[j]), (inner[i], outer[j], inner[j])]
    return Rings(np.concatenate(vertices), np.array(triangles), np.concatenate(follows), np.tile(points, RING_COUNT))


def eyeball(outer_corner: np.ndarray, inner_corner: np.ndarray, lids: np.ndarray) -> Eyeball:
    """Eyeball behind the lids [L, 3] of an eye with these corners [3]."""
    radius = EYE_RADIUS * np.linalg.norm(outer_corner - inner_corner)
    front = lids.mean(0)
    height = front[1] + EYE_RISE * radius / EYE_RADIUS
    centre = np.array([front[0], height, lids[:, 2].max() - radius * 0.92])
    around = np.arange(EYE_COLUMNS) * 2 * np.pi / EYE_COLUMNS
    psi, phi = np.meshgrid(np.linspace(0.001, EYE_SPAN, EYE_ROWS), around, indexing="ij")
    ball = np.stack([np.sin(psi) * np.cos(phi), np.sin(psi) * np.sin(phi), np.cos(psi)], -1).reshape(-1, 3)
    share = (psi / EYE_SPAN).ravel()[:, None]
    uv = 0.5 + 0.5 * share * np.stack([np.cos(phi), -np.sin(phi)], -1).reshape(-1, 2)
    return Eyeball(centre + radius * ball, _grid(EYE_COLUMNS, EYE_ROWS, wrap=True), uv, centre)


def mouth_interior(face: np.ndarray, teeth: dict[str, np.ndarray]) -> MouthInterior:
    """Cavity, tongue and both rows of teeth behind the lips of a face [468, 3].

    Args:
        face: at rest, its lips closed.
        teeth: `upper_teeth` and `lower_teeth` [R, C, 3], from gum to edge and right to left, from the middle of the
            lips.
    """
    middle = (face[UPPER_LIP_MIDDLE] + face[LOWER_LIP_MIDDLE]) / 2
    half = abs(face[INNER_UPPER_LIP[0], 0])
    sheets: dict[str, _Sheet] = {}
    # a dark wall, whose lower half moves with the jaw
    across, up = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(1, -1, 7))
    wall = across * half * 1.5, up * 0.22, -0.30 - 0.1 * across**2
    sheets["cavity"] = _Sheet(np.stack(wall, -1), (1 - up) / 2, (1 - up) / 2)
    # a mound behind the lower teeth, which sinks as the jaw opens
    side, along = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(0, 1, 6))
    mound = side * half * 0.72, -0.075 + 0.09 * np.sin(along * np.pi / 2) - 0.04 * side**2, -0.10 - 0.20 * along
    sheets["tongue"] = _Sheet(np.stack(mound, -1), along, 1 + 0.3 * along)
    along = np.repeat(np.linspace(0, 1, TEETH_ROWS)[:, None], TEETH_COLUMNS, 1)
    for name, jaw in (("lower_teeth", 1.0), ("upper_teeth", 0.0)):
        sheets[name] = _Sheet(teeth[name].astype(np.float64), along, np.full(along.shape, jaw))
    return _joined(sheets, middle)


class _Sheet(NamedTuple):
    """One layer of the mouth as a grid of R × C vertices.

    place: [R, C, 3], x across the face, y and z from the line of the closed lips. along: [R, C], 0–1, down its texture.
    jaw: [R, C], share of the jaw's movement.
    """

    place: np.ndarray
    along: np.ndarray
    jaw: np.ndarray


def _joined(sheets: dict[str, _Sheet], middle: np.ndarray) -> MouthInterior:
    """One mesh of all layers; middle: [3], the line of the closed lips."""
    vertices, triangles, uv, layers = [], [], [], {}
    start = count = 0
    for name, sheet in sheets.items():
        rows, columns = sheet.along.shape
        grid = _grid(columns, rows)
        down = 0.25 * (MOUTH_LAYERS.index(name) + LAYER_INSET + (1 - 2 * LAYER_INSET) * sheet.along)
        across = np.broadcast_to(np.linspace(0, 1, columns), sheet.along.shape)
        vertices.append((sheet.place + [0, middle[1], middle[2]]).reshape(-1, 3))
        triangles.append(grid + start)
        uv.append(np.stack([across, down], -1).reshape(-1, 2))
        layers[name] = slice(start, start + rows * columns), slice(count, count + len(grid))
        start, count = start + rows * columns, count + len(grid)
    jaw = np.concatenate([sheet.jaw.ravel() for sheet in sheets.values()])
    return MouthInterior(np.concatenate(vertices), np.concatenate(triangles), np.concatenate(uv), jaw, layers)


def _grid(columns: int, rows: int, wrap: bool = False) -> np.ndarray:
    """Triangles of a grid of rows × columns vertices; wrap: the last column joins the first."""
    triangles = []
    for r in range(rows - 1):
        for c in range(columns if wrap else columns - 1):
            a, b = r * columns + c, r * columns + (c + 1) % columns
            triangles += [(a, b, a + columns), (b, b + columns, a + columns)]
    return np.array(triangles)
