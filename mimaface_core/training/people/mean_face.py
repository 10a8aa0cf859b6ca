"""Make morphable/face_mesh.safetensors: the neutral mean face and the triangles of the 468-point face mesh.

The shape starts from the mesh a tracker sees in the public-domain portrait of Eileen Collins (NASA), which is turned
to the front, made symmetric, and brought to rest: the smile is taken off and the lips are closed. The triangles are the
3-cliques of mediapipe's tesselation edges. Run as `python -m mimaface_core.training.mean_face` from the repository.
"""

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.optimize import linear_sum_assignment

from ...morphable.bundled.face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, OUTER_LOWER_LIP, OUTER_UPPER_LIP

WIDTH = 1.5  # ear to ear, in units of 100 mm like BFM09


def tesselation() -> np.ndarray:
    """Triangles [852, 3] of the face mesh, all facing the viewer."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    edges = {tuple(sorted(edge)) for edge in FACEMESH_TESSELATION}
    near = {v: {b for e in edges for b in e if v in e and b != v} for v in range(468)}
    cliques = {tuple(sorted((a, b, c))) for a, b in edges for c in near[a] & near[b]}
    # a clique whose three edges all border three cliques is a loop round other triangles, not a face
    uses = Counter(e for t in cliques for e in itertools.combinations(t, 2))
    return np.array(sorted(t for t in cliques if any(uses[e] < 3 for e in itertools.combinations(t, 2))))


def portrait_mesh() -> np.ndarray:
    """Tracked mesh [468, 3] of the NASA portrait: x right, y up, z towards the viewer."""
    import cv2
    import mediapipe as mp
    import skimage.data

    picture = cv2.resize(skimage.data.astronaut()[:330, 60:390], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    mesh = mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True)
    points = mesh.process(picture).multi_face_landmarks[0].landmark[:468]
    return np.array([[p.x, -p.y, -p.z] for p in points]) * picture.shape[1]


def upright(points: np.ndarray, pairs: np.ndarray | None) -> np.ndarray:
    """Turn to the front (the symmetry axis becomes x), level the profile, scale to WIDTH, ears' middle at 0."""
    left, right = points[[263, 454, 291, 362]].mean(0), points[[33, 234, 61, 133]].mean(0)
    if pairs is not None:
        left, right = points[pairs[:, 0]].mean(0), points[pairs[:, 1]].mean(0)
    x = (left - right) / np.linalg.norm(left - right)
    y = points[10] - points[152]  # forehead to chin
    y = y - (y @ x) * x
    y /= np.linalg.norm(y)
    points = points @ np.stack([x, y, np.cross(x, y)], 1)
    points = points - (points[234] + points[454]) / 2
    return points * WIDTH / np.linalg.norm(points[234] - points[454])


def mirror_of(points: np.ndarray) -> np.ndarray:
    """The vertex [468] on the other side of each vertex."""
    flipped = points * [-1, 1, 1]
    cost = np.linalg.norm(points[:, None] - flipped[None], axis=-1)
    return linear_sum_assignment(cost**2)[1]


def at_rest(points: np.ndarray) -> np.ndarray:
    """Take the portrait's smile off: lips closed, corners in and level, cheeks following smoothly."""
    moved = {}
    upper, lower = points[INNER_UPPER_LIP], points[INNER_LOWER_LIP]
    middle, narrow = (upper[5] + lower[5]) / 2, 0.78
    rings = (
        (INNER_UPPER_LIP, False, 0.003),
        (INNER_LOWER_LIP, False, -0.003),
        (OUTER_UPPER_LIP, True, 0.085),
        (OUTER_LOWER_LIP, True, -0.105),
    )
    for ids, outer, height in rings:
        for i in ids:
            p, across = points[i].copy(), points[i, 0] / abs(points[ids[0], 0])
            p[0] *= narrow
            line = middle[1] + 0.012 - 0.02 * across**2
            bow = np.sqrt(max(0.0, 1 - across**2))
            if outer and height > 0:
                bow = bow * (1 - 0.10 * np.exp(-((across / 0.16) ** 2)))  # Cupid's bow
            p[1] = line + height * bow
            p[2] += 0.03 * abs(across)
            moved[i] = p
    # mid rings follow between inner and outer lips by the same smooth field; far vertices stay
    anchors = [i for i in range(468) if i not in moved and np.linalg.norm((points[i] - middle)[:2]) > 0.42]
    known = list(moved) + anchors
    shift = np.array([moved[i] - points[i] for i in moved] + [np.zeros(3)] * len(anchors))
    _, first = np.unique(np.round(points[known], 4), axis=0, return_index=True)
    field = RBFInterpolator(points[known][first], shift[first], kernel="linear", smoothing=1e-4)
    rest = points + field(points)
    for i, p in moved.items():
        rest[i] = p
    return rest


def main() -> None:
    from safetensors.numpy import save_file

    points = upright(portrait_mesh(), None)
    for _ in range(3):
        mirror = mirror_of(points)
        pairs = np.array([(i, m) for i, m in enumerate(mirror) if points[i, 0] > points[m, 0]])
        points = upright(points, pairs)
    rest = at_rest((points + points[mirror] * [-1, 1, 1]) / 2)
    rest = (rest + rest[mirror] * [-1, 1, 1]) / 2

    triangles = tesselation()
    a, b, c = (rest[triangles[:, k]] for k in range(3))
    facing = np.cross(b - a, c - a)[:, 2]
    triangles[facing < 0] = triangles[facing < 0][:, [0, 2, 1]]
    out = Path(__file__).parents[2] / "morphable" / "bundled" / "face_mesh.safetensors"
    save_file(
        {"mean": rest.astype(np.float32), "triangles": triangles.astype(np.int16), "mirror": mirror.astype(np.int16)},
        out,
    )


if __name__ == "__main__":
    main()
