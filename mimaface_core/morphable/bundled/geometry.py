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
        follows: share of the head's movement.
        turns: share of the head's turning: 1 on its surface, 0 where its contour lies, which stays as a head turns.
        inertia: model units by which the head has moved when the ring has moved half as far.
    """

    size: float
    follows: float
    turns: float
    inertia: float


RINGS_ABOVE = (
    Ring(1.10, 1.0, 1.0, 0.02),
    Ring(1.26, 1.0, 0.8, 0.04),
    Ring(1.46, 0.97, 0.3, 0.06),
    Ring(1.75, 0.58, 0.0, 0.06),
    Ring(2.2, 0.0, 0.0, 0.0),
    Ring(7.0, 0.0, 0.0, 0.0),
)
RINGS_BELOW = (  # below the chin line
    Ring(1.06, 0.9, 0.9, 0.02),
    Ring(1.16, 0.66, 0.7, 0.04),
    Ring(1.34, 0.42, 0.4, 0.06),
    Ring(1.7, 0.2, 0.0, 0.06),
    Ring(2.3, 0.0, 0.0, 0.0),
    Ring(7.0, 0.0, 0.0, 0.0),
)
RING_COUNT = len(RINGS_ABOVE)
RING_DEPTH = (0.5, 0.2, 0.0, 0.0, 0.0, 0.0)  # share of the outline's own depth, which spreads what a turn uncovers
RING_FADE = (1.0, 0.9, 0.7, 0.4, 0.1, 0.0)  # share of the outline's deviation from the mean that each ring takes over
RING_EXPRESSION = (0.7, 0.35, 0.12, 0.0, 0.0, 0.0)  # share of that for the outline's expression


class Rings(NamedTuple):
    """Rings around the face, from the inside outwards: P = RING_COUNT · RING_POINTS vertices.

    Attributes:
        vertices: [P, 3].
        triangles: [T, 3], indices of the whole mesh, since the first strip shares the outline's vertices.
        follows, turns, inertia: [P], as of each `Ring`.
        outline: [P], position in OVAL of the outline vertex that each continues.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    follows: np.ndarray
    turns: np.ndarray
    inertia: np.ndarray
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


def ring_values(face: np.ndarray) -> np.ndarray:
    """The numbers of each `Ring` at its points around a face [468, 3]: [RING_COUNT, RING_POINTS, 4]."""
    direction = face[OVAL, :2] - OUTLINE_CENTRE
    down = np.clip((-direction[:, 1] / np.linalg.norm(direction, axis=1) - 0.25) / 0.6, 0, 1)
    down = (down * down * (3 - 2 * down))[:, None]
    return np.array(RINGS_ABOVE)[:, None] * (1 - down) + np.array(RINGS_BELOW)[:, None] * down


def ring_places(face: np.ndarray) -> np.ndarray:
    """Places, x and y, of the rings around a face [468, 3]: [RING_COUNT, RING_POINTS, 2]."""
    return OUTLINE_CENTRE + (face[OVAL, :2] - OUTLINE_CENTRE) * ring_values(face)[..., :1]


def head_rings(face: np.ndarray, depth: np.ndarray) -> Rings:
    """Rings around a face [468, 3], on a head whose depth there is [RING_COUNT, RING_POINTS]."""
    share = np.array(RING_DEPTH)[:, None]
    z = share * face[OVAL, 2] + (1 - share) * depth
    vertices = np.concatenate([ring_places(face), z[..., None]], -1).reshape(-1, 3)
    follows, turns, inertia = ring_values(face)[..., 1:].reshape(-1, 3).T
    points = np.arange(RING_POINTS)
    ids = [np.array(OVAL), *(FACE_POINTS + k * RING_POINTS + points for k in range(RING_COUNT))]
    triangles: list[tuple[int, int, int]] = []
    for inner, outer in pairwise(ids):
        for i in range(RING_POINTS):
            j = (i + 1) % RING_POINTS
            triangles += [(inner[i], outer[i], outer[j]), (inner[i], outer[j], inner[j])]
    return Rings(vertices, np.array(triangles), follows, turns, inertia, np.tile(points, RING_COUNT))


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
