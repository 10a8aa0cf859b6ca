"""ICT FaceKit's light model of scanned faces: its tensors in model units, and places on its surface."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ...errors import InputError
from ...morphable.bundled.blendshapes import ARKIT

UNIT = 0.106  # model units in one of the scan's, which makes outer corners of the eyes 0.95 apart
PITCH = np.radians(4.4)  # by which the scan looks down, against a face whose forehead and chin are upright
CANDIDATES = 40  # triangles among which the nearest point of the surface is sought


@dataclass(frozen=True)
class Scan:
    """The generic scanned face and how it varies.

    Attributes:
        points: [V, 3] at rest, model units.
        identity: [V, 3, K], of people's faces, in standard deviations.
        expression: [V, 3, 53], of ARKIT.
        triangles: [T, 3].
        parts: name → slice of vertices.
        landmarks: [68], vertices of the iBUG scheme.
    """

    points: np.ndarray
    identity: np.ndarray
    expression: np.ndarray
    triangles: np.ndarray
    parts: dict[str, slice]
    landmarks: np.ndarray

    @classmethod
    def load(cls, path: Path) -> Scan:
        """Read `ict_facekit.safetensors`, the numbers of ICT FaceKit's light model in one file.

        Raises:
            InputError: the file is missing or something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "np") as file:
                stored = {name: file.get_tensor(name) for name in file.keys()}
                notes = file.metadata()
            names = {_arkit_name(name): i for i, name in enumerate(json.loads(notes["expression_names"]))}
            parts = {name: slice(*ends) for name, ends in json.loads(notes["parts"]).items()}
            modes = stored["expression"][[names[name] for name in ARKIT]]
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not ICT FaceKit's light model ({error}); see docs/training.md.") from error
        turn = UNIT * Rotation.from_euler("x", PITCH).as_matrix()
        points = stored["neutral"].astype(np.float64) @ turn.T
        landmarks, quads = stored["landmarks68"].astype(np.int64), stored["quads"].astype(np.int64)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        distinct = (triangles != np.roll(triangles, 1, 1)).all(1)

        def turned(offsets: np.ndarray) -> np.ndarray:
            return np.ascontiguousarray(np.moveaxis(offsets.astype(np.float32) @ turn.T.astype(np.float32), 0, -1))

        return cls(points, turned(stored["identity"]), turned(modes), triangles[distinct], parts, landmarks)

    def within(self, *parts: str) -> np.ndarray:
        """Triangles [T, 3] whose corners all lie in these parts."""
        inside = np.zeros(len(self.points), bool)
        for part in parts:
            inside[self.parts[part]] = True
        return self.triangles[inside[self.triangles].all(1)]

    def moved(self, name: str) -> np.ndarray:
        """How far each vertex moves in a full expression [V], model units."""
        return np.linalg.norm(self.expression[:, :, ARKIT.index(name)], axis=1)


def _arkit_name(name: str) -> str:
    """ARKit's name of an expression of the scan, whose sides are `_L` and `_R`."""
    return name.removesuffix("_L") + "Left" if name.endswith("_L") else name.replace("_R", "Right")


@dataclass(frozen=True)
class Places:
    """Places on a surface: three of its vertices each [P, 3], and their weights [P, 3]."""

    vertices: np.ndarray
    weights: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """Values [P, …] at the places of values [V, …] at the vertices."""
        return np.einsum("pk,pk...->p...", self.weights, values[self.vertices])


class Surface:
    """Some triangles [T, 3] of points [V, 3], to find the nearest place to a point."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray) -> None:
        self.points, self.triangles = points, triangles
        self._tree = cKDTree(points[triangles].mean(1))

    def nearest(self, targets: np.ndarray) -> Places:
        """The places nearest to targets [P, 3]."""
        near = self._tree.query(targets, k=min(CANDIDATES, len(self.triangles)))[1]
        corners = torch.from_numpy(self.points[self.triangles[near]])  # [P, C, 3, 3]
        weights = _weights(corners, torch.from_numpy(targets)[:, None])
        distance = ((weights[..., None] * corners).sum(2) - torch.from_numpy(targets)[:, None]).norm(dim=-1)
        best = distance.argmin(1)
        rows = torch.arange(len(targets))
        return Places(self.triangles[near[rows, best]], weights[rows, best].numpy())


def _weights(corners: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Barycentric weights [P, C, 3] of the points of triangles [P, C, 3, 3] that are nearest to targets [P, 1, 3]."""
    sides = torch.stack([corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]], -1)
    offset = (targets - corners[..., 0, :])[..., None]
    inner = torch.linalg.lstsq(sides, offset).solution[..., 0]
    candidates = [torch.cat([1 - inner.sum(-1, keepdim=True), inner], -1)]
    for a, b in ((0, 1), (1, 2), (2, 0)):
        edge = corners[..., b, :] - corners[..., a, :]
        share = ((targets - corners[..., a, :]) * edge).sum(-1) / edge.square().sum(-1).clamp(min=1e-12)
        weight = torch.zeros_like(candidates[0])
        weight[..., a], weight[..., b] = 1 - share.clamp(0, 1), share.clamp(0, 1)
        candidates.append(weight)
    stacked = torch.stack(candidates, -2)
    points = torch.einsum("pckw,pcwd->pckd", stacked, corners)
    distance = (points - targets[:, :, None]).norm(dim=-1)
    distance[..., 0].masked_fill_((candidates[0] < 0).any(-1), torch.inf)
    best = distance.argmin(-1)[..., None, None].expand(*distance.shape[:2], 1, 3)
    return stacked.gather(2, best)[:, :, 0]
