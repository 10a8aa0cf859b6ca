"""Make morphable/bundled/face_mesh.safetensors: the neutral mean face and the triangles of the 468-point face mesh.

The shape starts from the mesh that mediapipe fits to the public-domain portrait of Eileen Collins (NASA). It is turned
to the front and made symmetric; the smile is removed and the lips are closed. The triangles are the 3-cliques of
mediapipe's tesselation edges. Run as `python -m mimaface.mimaface_core.training.people.mean_face` with the extras
`track` and `demo`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.optimize import linear_sum_assignment

from ...files import replacing
from ...morphable.bundled.face_mesh import (
    CHIN,
    FACE_POINTS,
    FOREHEAD_TOP,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_EYE_INNER,
    LEFT_EYE_OUTER,
    LEFT_MOUTH_CORNER,
    LEFT_TRAGION,
    OUTER_LOWER_LIP,
    OUTER_UPPER_LIP,
    RIGHT_EYE_INNER,
    RIGHT_EYE_OUTER,
    RIGHT_MOUTH_CORNER,
    RIGHT_TRAGION,
)

OUT = Path(__file__).parents[2] / "morphable" / "bundled" / "face_mesh.safetensors"
FACE_WIDTH = 1.5  # between the tragions, in units of 100 mm as in BFM09
PORTRAIT_ROWS, PORTRAIT_COLUMNS = slice(0, 330), slice(60, 390)  # of the astronaut's face, in pixels
RIGHT_POINTS = [RIGHT_EYE_OUTER, RIGHT_TRAGION, RIGHT_MOUTH_CORNER, RIGHT_EYE_INNER]
LEFT_POINTS = [LEFT_EYE_OUTER, LEFT_TRAGION, LEFT_MOUTH_CORNER, LEFT_EYE_INNER]
SYMMETRY_ROUNDS = 3
LIP_WIDTH = 0.78  # at rest, of the smiling lips' width
LIP_LINES = (  # landmarks, whether they are the outer edge, height of the middle above the line between the lips
    (INNER_UPPER_LIP, False, 0.003),
    (INNER_LOWER_LIP, False, -0.003),
    (OUTER_UPPER_LIP, True, 0.085),
    (OUTER_LOWER_LIP, True, -0.105),
)
FIXED_BEYOND = 0.42  # distance from the mouth's middle at which points stay where they are


def tesselation() -> np.ndarray:
    """Triangles [852, 3] of the face mesh, in no consistent winding."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    edges = {tuple(sorted(edge)) for edge in FACEMESH_TESSELATION}
    near = {v: {b for e in edges for b in e if v in e and b != v} for v in range(FACE_POINTS)}
    cliques = {tuple(sorted((a, b, c))) for a, b in edges for c in near[a] & near[b]}
    # a clique whose three edges all border three cliques is a loop around other triangles, not a face
    uses = Counter(e for t in cliques for e in itertools.combinations(t, 2))
    return np.array(sorted(t for t in cliques if any(uses[e] < 3 for e in itertools.combinations(t, 2))))


def portrait_mesh() -> np.ndarray:
    """Tracked mesh [468, 3] of the NASA portrait, in pixels: x right, y up, z towards the viewer."""
    import cv2
    import mediapipe as mp
    import skimage.data

    portrait = skimage.data.astronaut()[PORTRAIT_ROWS, PORTRAIT_COLUMNS]
    image = cv2.resize(portrait, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    mesh = mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)
    points = mesh.process(image).multi_face_landmarks[0].landmark[:FACE_POINTS]
    return np.array([[p.x, -p.y, -p.z] for p in points]) * image.shape[1]


def upright(points: np.ndarray, pairs: np.ndarray | None) -> np.ndarray:
    """Turn a mesh to the front and scale it to FACE_WIDTH, with the origin between the tragions.

    Args:
        points: [468, 3].
        pairs: indices [P, 2] of points on the left and their mirror points on the right, whose mean difference
            becomes the x axis; None for a first guess from eyes, ears and mouth.

    Returns:
        Points [468, 3]; the line from chin to forehead lies in the plane x = 0, upright.
    """
    left, right = points[LEFT_POINTS].mean(0), points[RIGHT_POINTS].mean(0)
    if pairs is not None:
        left, right = points[pairs[:, 0]].mean(0), points[pairs[:, 1]].mean(0)
    x = (left - right) / np.linalg.norm(left - right)
    y = points[FOREHEAD_TOP] - points[CHIN]
    y = y - (y @ x) * x
    y /= np.linalg.norm(y)
    points = points @ np.stack([x, y, np.cross(x, y)], 1)
    points = points - (points[RIGHT_TRAGION] + points[LEFT_TRAGION]) / 2
    return points * FACE_WIDTH / np.linalg.norm(points[RIGHT_TRAGION] - points[LEFT_TRAGION])


def mirror_of(points: np.ndarray) -> np.ndarray:
    """Index [468] of each point's mirror point: the assignment of least squared distances."""
    flipped = points * [-1, 1, 1]
    cost = np.linalg.norm(points[:, None] - flipped[None], axis=-1)
    return linear_sum_assignment(cost**2)[1]


def at_rest(points: np.ndarray) -> np.ndarray:
    """Remove the smile of points [468, 3]: lips closed, corners in and level, cheeks following smoothly."""
    upper, lower = points[INNER_UPPER_LIP], points[INNER_LOWER_LIP]
    middle = (upper[len(upper) // 2] + lower[len(lower) // 2]) / 2
    moved: dict[int, np.ndarray] = {}
    for landmarks, outer, height in LIP_LINES:
        for i in landmarks:
            point, across = points[i].copy(), points[i, 0] / abs(points[landmarks[0], 0])
            point[0] *= LIP_WIDTH
            line = middle[1] + 0.012 - 0.02 * across**2
            bow = np.sqrt(max(0.0, 1 - across**2))
            if outer and height > 0:
                bow = bow * (1 - 0.10 * np.exp(-((across / 0.16) ** 2)))  # Cupid's bow
            point[1] = line + height * bow
            point[2] += 0.03 * abs(across)
            moved[i] = point
    distance = np.linalg.norm((points - middle)[:, :2], axis=1)
    fixed = [i for i in range(FACE_POINTS) if i not in moved and distance[i] > FIXED_BEYOND]
    known = [*moved, *fixed]
    shift = np.array([moved[i] - points[i] for i in moved] + [np.zeros(3)] * len(fixed))
    _, distinct = np.unique(np.round(points[known], 4), axis=0, return_index=True)
    field = RBFInterpolator(points[known][distinct], shift[distinct], kernel="linear", smoothing=1e-4)
    rest = points + field(points)
    for i, point in moved.items():
        rest[i] = point
    return rest


def mean_face() -> dict[str, np.ndarray]:
    """The tensors of the file: `mean` [468, 3], `triangles` [852, 3] facing the viewer, `mirror` [468]."""
    points = upright(portrait_mesh(), None)
    for _ in range(SYMMETRY_ROUNDS):
        mirror = mirror_of(points)
        pairs = np.array([(i, m) for i, m in enumerate(mirror) if points[i, 0] > points[m, 0]])
        points = upright(points, pairs)
    rest = at_rest((points + points[mirror] * [-1, 1, 1]) / 2)
    rest = (rest + rest[mirror] * [-1, 1, 1]) / 2

    triangles = tesselation()
    a, b, c = (rest[triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)[:, 2]
    triangles[facing < 0] = triangles[facing < 0][:, [0, 2, 1]]
    return {
        "mean": rest.astype(np.float32),
        "triangles": triangles.astype(np.int16),
        "mirror": mirror.astype(np.int16),
    }


def main() -> None:
    """Run as a command."""
    from safetensors.numpy import save_file

    with replacing(OUT) as part:
        save_file(mean_face(), part)


if __name__ == "__main__":
    main()
