"""Landmarks of faces in their squares: the whole mesh, then eyes and mouth more closely."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import host, weights
from ..tensors import channels_last, resized_bytes, sampling_grid
from .face import Face
from .networks import MESH_SIDE, REGION_SIDE, Detector, Marks, eye_network, fused, mesh_network, mouth_network
from .regions import REGIONS, Square, region_square

WEIGHTS = Path(__file__).parent / "face_tracker.safetensors"
REMEDY = "install the extension again"
FINER = 1.2  # pixels of a part of the image, for one of the square that is cut out of it


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

    @cached_property
    def _layout(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Landmarks of each region, and how much the closer look counts there."""
        eye, other, mouth = self.eye_points, self.mirror[self.eye_points], self.mouth_points
        shares = {"right_eye": (eye, self.eye_share), "left_eye": (other, self.eye_share)}
        shares["mouth"] = (mouth, self.mouth_share)
        return {name: (points.cpu().numpy(), share.cpu().numpy()) for name, (points, share) in shares.items()}

    @torch.no_grad()
    def look(self, images: list[Tensor], squares: list[Square], closer: bool = True) -> list[Face]:
        """Landmarks of the faces in some squares, whether or not they hold one.

        Args:
            images: uint8 [H, W, 3], one for each square.
            squares: of whole faces, upright.
            closer: whether to look at eyes and mouth more closely.
        """
        if not squares:
            return []
        marks, logits = self.mesh(_cut_all(images, squares, MESH_SIDE))
        marks, scores = _on_cpu(marks), logits.float().sigmoid().tolist()
        faces = [
            _in_image(Marks(*(value[i] for value in marks)), square, scores[i]) for i, square in enumerate(squares)
        ]
        if closer:
            self._look_closer(images, faces)
        return faces

    def _look_closer(self, images: list[Tensor], faces: list[Face]) -> None:
        """Improve the faces' landmarks about eyes and mouth, in place."""
        squares = {name: [region_square(face.landmarks, region) for face in faces] for name, region in REGIONS.items()}
        right = _cut_all(images, squares["right_eye"], REGION_SIDE)
        left = _cut_all(images, squares["left_eye"], REGION_SIDE).flip(-1)
        eyes = _on_cpu(self.eye(torch.cat([right, left]))[0])
        mouths = _on_cpu(self.mouth(_cut_all(images, squares["mouth"], REGION_SIDE))[0])
        count = len(faces)
        mirrored = Marks(*(value[count:] for value in eyes))
        mirrored = mirrored._replace(points=mirrored.points * torch.tensor([-1.0, 1.0]))
        for name, marks in {"right_eye": eyes, "left_eye": mirrored, "mouth": mouths}.items():
            for i, face in enumerate(faces):
                _improve(face, Marks(*(value[i] for value in marks)), squares[name][i], *self._layout[name])


def tracker_networks() -> TrackerNetworks:
    """The bundled networks, ready for inference on the host's GPU, or on the CPU."""
    device = host.current().device
    return _networks_on(device if device.type == "cuda" else torch.device("cpu"))


@lru_cache(maxsize=2)
def _networks_on(device: torch.device) -> TrackerNetworks:
    values = weights.read(WEIGHTS, REMEDY)
    networks = fused(TrackerNetworks(len(values["eye_points"]), len(values["mouth_points"])))
    weights.fill(networks, values, WEIGHTS, REMEDY)
    return channels_last(networks).to(device)


def _on_cpu(marks: Marks) -> Marks:
    return Marks(*(value.float().cpu() for value in marks))


def _cut_all(images: list[Tensor], squares: list[Square], pixels: int) -> Tensor:
    """Squares [N, 3, pixels, pixels] in ±1 of images uint8 [H, W, 3], whose borders go on beyond them."""
    cut = torch.cat([_cut(image, square, pixels) for image, square in zip(images, squares, strict=True)])
    return cut.contiguous(memory_format=torch.channels_last)


def _cut(image: Tensor, square: Square, pixels: int) -> Tensor:
    """One square [1, 3, pixels, pixels]; where it shrinks, pixels are averaged first."""
    height, width = image.shape[:2]
    reach = square.side * 0.7072 + 2
    left, top = (int(np.clip(at - reach, 0, side - 1)) for at, side in ((square.x, width), (square.y, height)))
    right, bottom = (int(np.clip(at + reach, 1, side)) for at, side in ((square.x, width), (square.y, height)))
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    shrink = min(FINER * pixels / square.side, 1)
    small = resized_bytes(part, [max(round(side * shrink), 1) for side in part.shape[:2]])
    matrix = square._replace(x=square.x - left, y=square.y - top).matrix(pixels)
    inverse = np.linalg.inv(matrix[:, :2])
    scale = np.array([[small.shape[3] / part.shape[1]], [small.shape[2] / part.shape[0]]])
    back = torch.from_numpy(np.hstack([inverse, -inverse @ matrix[:, 2:]]) * scale).float()[None]
    grid = sampling_grid(back, range(pixels), range(pixels), (small.shape[2], small.shape[3]))
    return F.grid_sample(small, grid.to(small.device), padding_mode="border", align_corners=False) / 127.5 - 1


def _in_image(marks: Marks, square: Square, score: float) -> Face:
    """A face from what the mesh network says in its square."""
    points, half = marks.points.numpy(), square.side / 2
    turn = square.matrix(1)[:, :2] * square.side  # a rotation
    flat = points[:, :2] @ turn * half + [square.x, square.y]
    landmarks = np.concatenate([flat, points[:, 2:] * half], 1).astype(np.float32)
    return Face(landmarks, (marks.log_deviation.exp() * half).numpy(), marks.seen.sigmoid().numpy(), score)


def _improve(face: Face, marks: Marks, square: Square, points: np.ndarray, share: np.ndarray) -> None:
    """Take a closer look's landmarks into a face, by their shares, in place."""
    assert face.deviation is not None
    assert face.seen is not None
    half = square.side / 2
    turn = square.matrix(1)[:, :2] * square.side
    flat = marks.points.numpy() @ turn * half + [square.x, square.y]
    face.landmarks[points, :2] += share[:, None] * (flat - face.landmarks[points, :2])
    face.deviation[points] += share * ((marks.log_deviation.exp() * half).numpy() - face.deviation[points])
    face.seen[points] += share * (marks.seen.sigmoid().numpy() - face.seen[points])
