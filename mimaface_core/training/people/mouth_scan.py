"""Teeth and jaw of the scanned face: two arches of teeth, and how each expression moves what is fixed to the jaw."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ...morphable.bundled.blendshapes import ARKIT, BLENDSHAPES
from ...morphable.bundled.geometry import TEETH_COLUMNS, TEETH_ROWS
from ...morphable.bundled.mouth_texture import TEETH_ROWS_OF, Teeth
from .scan import Scan

TEETH_OF_A_ROW = 16
FACE_SHARE = 0.25  # of a tooth's points, those farthest out, which are its visible face


def teeth_arch(scan: Scan, row: str) -> np.ndarray:
    """One row of teeth as a sheet through their outer faces.

    Args:
        scan: the scanned face, whose teeth are 32 bodies, the upper 16 first, from the left molars to the right ones.
        row: `upper_teeth` or `lower_teeth`.

    Returns:
        [R, C, 3] from gum to edge and from right to left, in the scan's place; columns lie where the painted texture
        has the same tooth.
    """
    bodies = _bodies(scan)
    bodies = bodies[:TEETH_OF_A_ROW] if row == "upper_teeth" else bodies[TEETH_OF_A_ROW:]
    teeth = TEETH_ROWS_OF[row]
    half = sorted((body for body in bodies if body[:, 0].mean() > 0), key=lambda body: -body[:, 2].mean())
    faces = [_face(body) for body in half[: len(teeth.widths)]]
    # the arch from the middle backwards, at the ends of the teeth
    middles = np.stack([face.mean(0)[[0, 2]] for face in faces])
    ends = np.concatenate([[[0.0, middles[0, 1]]], (middles[1:] + middles[:-1]) / 2, [2 * middles[-1] - middles[-2]]])
    place = np.r_[0, np.cumsum(teeth.widths) / np.sum(teeth.widths)]
    across = np.abs(np.linspace(-1, 1, TEETH_COLUMNS))
    arch = PchipInterpolator(place, ends)(across) * np.stack([np.sign(np.linspace(-1, 1, TEETH_COLUMNS)), across**0], 1)
    gum, edge = _heights(faces[0], teeth, upper=row == "upper_teeth")
    height = np.linspace(gum, edge, TEETH_ROWS)
    sheet = np.empty((TEETH_ROWS, TEETH_COLUMNS, 3))
    sheet[..., [0, 2]], sheet[..., 1] = arch, height[:, None]
    return sheet


def _heights(face: np.ndarray, teeth: Teeth, *, upper: bool) -> tuple[float, float]:
    """Heights of the sheet's ends for the first tooth's face: the texture has gum above it, and room below its edge."""
    neck, tip = (face[:, 1].max(), face[:, 1].min()) if upper else (face[:, 1].min(), face[:, 1].max())
    a_row = (tip - neck) / (teeth.edge - teeth.gum)
    return neck - teeth.gum * a_row, tip + (1 - teeth.edge) * a_row


def _bodies(scan: Scan) -> list[np.ndarray]:
    """Points of each tooth, in the order of the scan's vertices."""
    part = scan.parts["teeth"]
    triangles = scan.within("teeth") - part.start
    count = part.stop - part.start
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count))
    body = connected_components(graph, directed=False)[1]
    return [scan.points[part][body == number] for number in range(body.max() + 1)]


def _face(body: np.ndarray) -> np.ndarray:
    """The points of a tooth that lie farthest from the middle of the arch."""
    outwards = body[:, [0, 2]].mean(0) / np.linalg.norm(body[:, [0, 2]].mean(0))
    out = body[:, [0, 2]] @ outwards
    return body[out >= np.quantile(out, 1 - FACE_SHARE)]


def jaw_fields(scan: Scan, origin: np.ndarray) -> np.ndarray:
    """Affine movements of the jaw [64, 3, 4]: expression k moves a point x of the jaw by field[k] · (x, 1).

    Args:
        scan: its lower teeth show the movement.
        origin: [3], of the model in the scan's place.
    """
    part = scan.parts["teeth"]
    points, moves = scan.points[part] - origin, scan.expression[part]
    lower = scan.moved("jawOpen")[part] > 0.01
    system = np.concatenate([points[lower], np.ones((lower.sum(), 1))], 1)
    fields = np.zeros((len(BLENDSHAPES), 3, 4))
    solution = np.linalg.lstsq(system, moves[lower].reshape(lower.sum(), -1), rcond=None)[0]
    fields[: len(ARKIT)] = solution.reshape(4, 3, len(ARKIT)).transpose(2, 1, 0)
    return fields
