"""Landmarks of faces in their squares: the whole mesh, then eyes and mouth more closely."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import weights
from ..tensors import channels_last, sampling_grid
from .face import Face
from .networks import MESH_SIDE, REGION_SIDE, Detector, Marks, eye_network, fused, mesh_network, mouth_network
from .regions import REGIONS, Square, region_square

WEIGHTS = Path(__file__).parent / "face_tracker.safetensors"
REMEDY = "install the extension again"


class TrackerNetworks(nn.Module):
    """All networks of the face tracker.

    Args:
        eye_points, mouth_points: how many landmarks belong to an eye, and to the mouth.

    Attributes:
        mirror: [478], each landmark's partner on the other side.
    """

    eye_points: Tensor
    mouth_points: Tensor
    eye_share: Tensor
    mouth_share: Tensor
    mirror: Tensor

    def __init__(self, eye_points: int, mouth_points: int) -> None:
        super().__init__()
        self.detector, self.mesh = Detector(), mesh_network()
        self.eye, self.mouth = eye_network(eye_points), mouth_network(mouth_points)
        for name, count in (("eye", eye_points), ("mouth", mouth_points)):
            self.register_buffer(f"{name}_points", torch.zeros(count, dtype=torch.long))
            self.register_buffer(f"{name}_share", torch.zeros(count))
        self.register_buffer("mirror", torch.zeros(478, dtype=torch.long))

    @torch.inference_mode()
    def look(self, image: Tensor, squares: list[Square], closer: bool = True) -> list[Face]:
        """Landmarks of the faces in some squares, whether or not they hold one.

        Args:
            image: uint8 [H, W, 3].
            squares: of whole faces, upright.
            closer: whether to look at eyes and mouth more closely.
        """
        if not squares:
            return []
        marks, logits = self.mesh(_cut_all(image, squares, MESH_SIDE))
        faces = [
            _in_image(Marks(*(value[i] for value in marks)), square, float(logits[i].sigmoid()))
            for i, square in enumerate(squares)
        ]
        if closer:
            self._look_closer(image, faces)
        return faces

    def _look_closer(self, image: Tensor, faces: list[Face]) -> None:
        """Improve the faces' landmarks about eyes and mouth, in place."""
        squares = {name: [region_square(face.landmarks, region) for face in faces] for name, region in REGIONS.items()}
        right = _cut_all(image, squares["right_eye"], REGION_SIDE)
        left = _cut_all(image, squares["left_eye"], REGION_SIDE).flip(-1)
        eyes, _ = self.eye(torch.cat([right, left]))
        mouths, _ = self.mouth(_cut_all(image, squares["mouth"], REGION_SIDE))
        own = self.eye_points.numpy()
        other = self.mirror.numpy()[own]
        count = len(faces)
        for i, face in enumerate(faces):
            _improve(face, Marks(*(v[i] for v in eyes)), squares["right_eye"][i], own, self.eye_share.numpy())
            mirrored = Marks(*(v[count + i] for v in eyes))
            mirrored = mirrored._replace(points=mirrored.points * torch.tensor([-1.0, 1.0]))
            _improve(face, mirrored, squares["left_eye"][i], other, self.eye_share.numpy())
            lips = Marks(*(v[i] for v in mouths))
            _improve(face, lips, squares["mouth"][i], self.mouth_points.numpy(), self.mouth_share.numpy())


@lru_cache(maxsize=1)
def tracker_networks() -> TrackerNetworks:
    """The bundled networks, ready for inference."""
    values = weights.read(WEIGHTS, REMEDY)
    networks = fused(TrackerNetworks(len(values["eye_points"]), len(values["mouth_points"])))
    weights.fill(networks, values, WEIGHTS, REMEDY)
    return channels_last(networks)


def _cut_all(image: Tensor, squares: list[Square], pixels: int) -> Tensor:
    """Squares [N, 3, pixels, pixels] in ±1 of an image uint8 [H, W, 3], whose border goes on beyond it."""
    cut = torch.cat([_cut(image, square, pixels) for square in squares])
    return cut.contiguous(memory_format=torch.channels_last)


def _cut(image: Tensor, square: Square, pixels: int) -> Tensor:
    """One square [1, 3, pixels, pixels]; where it shrinks, pixels are averaged first."""
    height, width = image.shape[:2]
    reach = square.side * 0.7072 + 2
    left, top = (int(np.clip(at - reach, 0, side - 1)) for at, side in ((square.x, width), (square.y, height)))
    right, bottom = (int(np.clip(at + reach, 1, side)) for at, side in ((square.x, width), (square.y, height)))
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)].permute(2, 0, 1)[None].float()
    factor = max(int(square.side / pixels * 0.75), 1)
    if factor > 1:
        part = F.avg_pool2d(part, factor, ceil_mode=True, count_include_pad=False)
    own = Square((square.x - left) / factor, (square.y - top) / factor, square.side / factor, square.roll)
    matrix = own.matrix(pixels)
    inverse = np.linalg.inv(matrix[:, :2])
    back = torch.from_numpy(np.hstack([inverse, -inverse @ matrix[:, 2:]])).float()[None]
    grid = sampling_grid(back, range(pixels), range(pixels), (part.shape[2], part.shape[3]))
    return F.grid_sample(part, grid, padding_mode="border", align_corners=False) / 127.5 - 1


def _in_image(marks: Marks, square: Square, score: float) -> Face:
    """A face from what the mesh network says in its square."""
    points, half = marks.points.float().numpy(), square.side / 2
    turn = square.matrix(1)[:, :2] * square.side  # a rotation
    flat = points[:, :2] @ turn * half + [square.x, square.y]
    landmarks = np.concatenate([flat, points[:, 2:] * half], 1).astype(np.float32)
    return Face(
        landmarks, (marks.log_deviation.float().exp() * half).numpy(), marks.seen.float().sigmoid().numpy(), score
    )


def _improve(face: Face, marks: Marks, square: Square, points: np.ndarray, share: np.ndarray) -> None:
    """Take a closer look's landmarks into a face, by their shares, in place."""
    assert face.deviation is not None
    assert face.seen is not None
    half = square.side / 2
    turn = square.matrix(1)[:, :2] * square.side
    flat = marks.points.float().numpy() @ turn * half + [square.x, square.y]
    face.landmarks[points, :2] += share[:, None] * (flat - face.landmarks[points, :2])
    face.deviation[points] += share * ((marks.log_deviation.float().exp() * half).numpy() - face.deviation[points])
    face.seen[points] += share * (marks.seen.float().sigmoid().numpy() - face.seen[points])
