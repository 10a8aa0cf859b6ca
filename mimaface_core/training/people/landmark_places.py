"""Places of the tracker's 468 landmarks on the scanned face: first by 68 of them, then learned from photographs."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator, RBFInterpolator
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra

from ...morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    IBUG_LANDMARKS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LIP_POINTS,
    UPPER_LIP_POINTS,
)
from ...morphable.umeyama import umeyama
from .scan import Scan, Surface

# around each eye in the iBUG scheme, from its outer corner; the inner corner comes fourth
EYE_RIMS = {"right_eye": (36, 37, 38, 39, 40, 41), "left_eye": (45, 44, 43, 42, 47, 46)}
INNER_LIPS = {"upper": (60, 61, 62, 63, 64), "lower": (60, 67, 66, 65, 64)}
LIP_REACH = 0.6  # model units around the mouth, in which lips lie
JAW_SHARE = 0.35  # of the largest movement of the opening jaw: what moves more belongs to the lower lip
MEAN_ROUNDS = 5


def mean_mesh(meshes: torch.Tensor) -> torch.Tensor:
    """Mean [468, 3] of tracked meshes [N, 468, 3] laid over one another by similarities."""
    mean = meshes[0]
    weight = meshes.new_ones(meshes.shape[1])
    for _ in range(MEAN_ROUNDS):
        scale, rotation, translation = umeyama(meshes, mean.expand_as(meshes), weight, scaled=True)
        mean = (scale[:, None, None] * meshes @ rotation + translation[:, None]).mean(0)
    return mean


class LandmarkPlaces:
    """Places of the landmarks on a scan, which move as the differences from photographs are learned.

    Lid edges lie on the rims of the scan's eyes, and either lip on its own side of the mouth.

    Args:
        scan: the scanned face.
        mesh: mean tracked mesh [468, 3], y down, larger z farther.

    Attributes:
        mirror: [468], each landmark's partner on the other side.
        places: on the scan's surface.
        offset: [468, 3], of the landmarks from there.
    """

    def __init__(self, scan: Scan, mesh: torch.Tensor) -> None:
        self.scan = scan
        points = mesh.double() * torch.tensor([1.0, -1, -1], dtype=torch.float64)
        aim = torch.from_numpy(scan.points[scan.landmarks])
        own = points[IBUG_LANDMARKS]
        scale, rotation, translation = umeyama(own[None], aim[None], own.new_ones(len(own)), scaled=True)
        aligned = (scale[:, None, None] * points @ rotation + translation[:, None])[0].numpy()
        self.mirror = mirror_of(aligned)
        skin = scan.within("face", "head_and_neck")
        self._surface = Surface(scan.points, skin)
        self._rims = _eye_rims(scan)
        jaw = scan.moved("jawOpen")
        lower = jaw[skin] / jaw.max() > JAW_SHARE
        near = np.abs(scan.points[skin].mean(1) - scan.points[scan.landmarks[48:]].mean(0)).max(1) < LIP_REACH
        corners = set(UPPER_LIP_POINTS) & set(LOWER_LIP_POINTS)
        self._lips = [
            ([i for i in set(points_of) if i not in corners], Surface(scan.points, skin[side & near]))
            for points_of, side in (
                (UPPER_LIP_POINTS, (~lower).all(1)),
                (LOWER_LIP_POINTS, lower.all(1)),
            )
        ]
        self.move(self._symmetric(self._first(aligned)))

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values [468, …] at the landmarks, of values [V, …] at the scan's vertices."""
        return self.places.of(values)

    @property
    def points(self) -> np.ndarray:
        """The landmarks [468, 3] of the scan."""
        return self.of(self.scan.points) + self.offset

    def move(self, targets: np.ndarray, *, slide: bool = True) -> None:
        """Bring the landmarks to targets [468, 3].

        Args:
            targets: model units.
            slide: along the surface as far as it goes; otherwise only off it.
        """
        if slide:
            places = self._surface.nearest(targets)
            for ids, surface in [*self._lips, *self._rims]:
                there = surface.nearest(targets[ids])
                places.vertices[ids], places.weights[ids] = there.vertices, there.weights
            self.places = places
        self.offset = targets - self.of(self.scan.points)

    def learn(self, residual: np.ndarray, *, slide: bool) -> None:
        """Move by the mean residual [468, 3] of photographs, alike on both sides."""
        flipped = residual[self.mirror] * [-1, 1, 1]
        self.move(self.points + (residual + flipped) / 2, slide=slide)

    def _symmetric(self, points: np.ndarray) -> np.ndarray:
        return (points + points[self.mirror] * [-1, 1, 1]) / 2

    def _first(self, aligned: np.ndarray) -> np.ndarray:
        """First targets [468, 3]: a thin-plate spline through 68 landmarks, lid edges and lips along their lines."""
        scan, own = self.scan, aligned[IBUG_LANDMARKS]
        spline = RBFInterpolator(own, scan.points[scan.landmarks] - own, kernel="thin_plate_spline", smoothing=1e-6)
        points = aligned + spline(aligned)
        for (name, corners), (_, rim) in zip(EYE_RIMS.items(), self._rims, strict=True):
            upper, lower = _ways(scan, rim, scan.landmarks[corners[0]], scan.landmarks[corners[3]])
            points[EYE_LANDMARKS[name].upper_lid] = _along(upper, aligned[EYE_LANDMARKS[name].upper_lid])
            points[EYE_LANDMARKS[name].lower_lid] = _along(lower, aligned[EYE_LANDMARKS[name].lower_lid])
        for ids, line in zip((INNER_UPPER_LIP, INNER_LOWER_LIP), INNER_LIPS.values(), strict=True):
            points[ids] = _along(scan.points[scan.landmarks[list(line)]], aligned[ids])
        return points


def mirror_of(points: np.ndarray) -> np.ndarray:
    """Index [P] of each point's mirror point in x: the assignment of least squared distances."""
    flipped = points * [-1, 1, 1]
    cost = np.linalg.norm(points[:, None] - flipped[None], axis=-1)
    return linear_sum_assignment(cost**2)[1]


def _eye_rims(scan: Scan) -> list[tuple[list[int], Surface]]:
    """Landmarks of the lids of right and left eye, and the edge of these lids as a surface without width.

    The edge is the way along the scan's own edges through its six landmarks: behind it lids go on inwards.
    """
    triangles = scan.within("face")
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1), axis=0)
    length = np.linalg.norm(np.diff(scan.points[edges], axis=1)[:, 0], axis=1)
    count = triangles.max() + 1
    graph = coo_matrix((length, edges.T), shape=(count, count)).tocsr()
    rims = []
    for name, corners in EYE_RIMS.items():
        stops, loop = scan.landmarks[list(corners)], []
        before = dijkstra(graph, directed=False, indices=stops, return_predecessors=True)[1]
        for k, start in enumerate(stops):
            vertex = stops[(k + 1) % len(stops)]
            while vertex != start:
                loop.append((before[k, vertex], vertex, vertex))
                vertex = before[k, vertex]
        eye = EYE_LANDMARKS[name]
        rims.append((sorted({*eye.upper_lid, *eye.lower_lid}), Surface(scan.points, np.array(loop))))
    return rims


def _ways(scan: Scan, rim: Surface, outer: int, inner: int) -> tuple[np.ndarray, np.ndarray]:
    """The rim of an eye from its outer to its inner corner, along the upper and along the lower lid."""
    following: dict[int, list[int]] = {}
    for a, b, _ in rim.triangles:
        following.setdefault(int(a), []).append(int(b))
        following.setdefault(int(b), []).append(int(a))
    loop = [next(iter(following))]
    while left := [v for v in following[loop[-1]] if v not in loop]:
        loop.append(left[0])
    points = scan.points[loop]
    first, last = (int(np.linalg.norm(points - scan.points[corner], axis=1).argmin()) for corner in (outer, inner))
    points = np.roll(points, -first, axis=0)
    last = (last - first) % len(points)
    ways = points[: last + 1], np.concatenate([points[:1], points[: last - 1 : -1]])
    return (ways[0], ways[1]) if ways[0][:, 1].mean() > ways[1][:, 1].mean() else (ways[1], ways[0])


def _along(line: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Points of a line [L, 3], spaced as others [P, 3] are from end to end."""
    at, spacing = (np.r_[0, np.linalg.norm(np.diff(way, axis=0), axis=1).cumsum()] for way in (line, like))
    return PchipInterpolator(at / at[-1], line)(spacing / spacing[-1])
