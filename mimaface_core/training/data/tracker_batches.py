"""Batches for the face tracker's networks: faces cut out, turned, lit, spoilt and covered in ever new ways."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...errors import InputError
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...tensors import sampling_grid
from ...tracker.networks import MESH_SIDE, REGION_SIDE
from ...tracker.regions import Region, Square, eye_distance, face_square, region_square
from ..people.covers import covered
from ..people.landmark_places import mirror_of
from ..people.scenery import paint_background
from .tracker_faces import SIZE, LabelledFaces
from .tracker_gaze import looking_elsewhere

Batch = dict[str, Tensor]
NO_FACE = 0.35  # share of squares without an upright face
MISTAKES, SCENES_SHOWN = 0.45, 0.2  # shares of these in mistakes of the detector, and in painted pictures
AROUND_MISTAKE = 2.0  # side of the image of a mistake, over that of the square
SCENES = 500  # painted pictures without a face
TURN, SCALE, SHIFT = 9.0, 0.10, 0.05  # standard deviations by which a face's square is off: degrees, ratio, its side
FAR, FAR_TURN = 0.15, 40.0  # share of squares that are turned by up to this angle instead
REGION_TURN, REGION_SCALE, REGION_SHIFT = 4.0, 0.06, 0.045  # the same of a region's square
CUT = 0.08  # share of faces of which a part lies outside the picture
COVERED, REGION_COVERED = 0.5, 0.25  # share of faces, and of regions, that something covers in part
CLEAN = 0.3  # share of images that stay as they are


class FacePool:
    """All labelled faces of a folder, in memory.

    Args:
        folder: of `LabelledFaces`; files that come later are read by `read_new`.
        mistakes: images uint8 [M, 3, 256, 256] of what a detector takes for faces (see `tracker_mistakes`).

    Attributes:
        mean: mean landmarks [478, 3] of faces seen from the front.
        mirror: [478], each landmark's partner on the other side.

    Raises:
        InputError: the folder has none.
    """

    def __init__(self, folder: Path, mistakes: Tensor | None = None) -> None:
        self.folder = folder
        self.mistakes = torch.empty(0, 3, SIZE, SIZE).byte() if mistakes is None else mistakes
        self._known: set[Path] = set()
        self.images = torch.empty(0, 3, SIZE, SIZE, dtype=torch.uint8)
        self.landmarks, self.seen = torch.empty(0, 0, 3), torch.empty(0, 0, dtype=torch.bool)
        self.read_new()
        if not len(self.images):
            raise InputError(f"{folder} holds no faces with landmarks; make them first: mimaface train faces.")
        self.mean = self._mean()
        self.mirror = torch.from_numpy(mirror_of(self.mean))
        self.scenes = painted_scenes()

    def read_new(self) -> None:
        """Read the files that have come since the last time."""
        paths = [path for path in sorted(self.folder.glob("*.safetensors")) if not path.name.startswith(".")]
        new = [path for path in paths if path not in self._known]
        if not new:
            return
        faces = [LabelledFaces.load(path) for path in new]
        self._known.update(new)
        old = self.landmarks if len(self.landmarks) else self.landmarks.new_empty(0, *faces[0].landmarks.shape[1:])
        seen = self.seen if len(self.seen) else self.seen.new_empty(0, faces[0].seen.shape[1])
        self.images = torch.cat([self.images, *(face.images for face in faces)])
        self.landmarks = torch.cat([old, *(face.landmarks for face in faces)])
        self.seen = torch.cat([seen, *(face.seen for face in faces)])

    def _mean(self) -> np.ndarray:
        """The mean of the least turned faces, upright, in eye distances."""
        points = self.landmarks.double().numpy()
        yaw = np.abs(points[:, 454, 2] - points[:, 234, 2])
        aligned = []
        for face in points[np.argsort(yaw)[: max(len(points) // 4, 1)]]:
            matrix = face_square(face).matrix(1)
            scale = np.sqrt(np.linalg.det(matrix[:, :2]))
            upright = np.hstack([face[:, :2] @ matrix[:, :2].T + matrix[:, 2], face[:, 2:] * scale])
            aligned.append((upright - upright[:FACE_POINTS].mean(0)) / eye_distance(upright * SIZE) * SIZE)
        mean = np.mean(aligned, 0)
        mirror = mirror_of(mean)
        return (mean + mean[mirror] * [-1, 1, 1]) / 2

    def drawn(self, count: int, rng: np.random.Generator) -> tuple[Tensor, np.ndarray, Tensor]:
        """Random images, landmarks and which are seen, half of them mirrored."""
        at = torch.from_numpy(rng.integers(0, len(self.images), count))
        images, landmarks, seen = self.images[at], self.landmarks[at].clone(), self.seen[at].clone()
        flipped = torch.from_numpy(rng.random(count) < 0.5)
        images[flipped] = images[flipped].flip(-1)
        mirrored = landmarks[flipped][:, self.mirror]
        mirrored[..., 0] = SIZE - mirrored[..., 0]
        landmarks[flipped], seen[flipped] = mirrored, seen[flipped][:, self.mirror]
        return images, landmarks.double().numpy(), seen

    def mesh_batch(self, count: int, rng: np.random.Generator) -> Batch:
        """Squares of whole faces.

        Returns:
            `squares` [B, 3, 128, 128] in ±1, `points` [B, 478, 3] in ±1 of the square, `seen` bool [B, 478], `face`
            bool [B]: whether the square shows an upright face; the others have no landmarks.
        """
        images, landmarks, seen = self.drawn(count, rng)
        _cut_off(images, landmarks, seen, rng)
        face = rng.random(count) >= NO_FACE
        squares = []
        for i, points in enumerate(landmarks):
            own = _off(face_square(points), rng, TURN, SCALE, SHIFT)
            if rng.random() < FAR:
                own = own._replace(roll=own.roll + rng.uniform(-FAR_TURN, FAR_TURN))
            if not face[i]:
                images[i], own = self._without_face(images[i], own, rng)
            squares.append(own)
        return self._batch(images, landmarks, seen, squares, MESH_SIDE, COVERED, rng) | {"face": torch.from_numpy(face)}

    def _without_face(self, image: Tensor, square: Square, rng: np.random.Generator) -> tuple[Tensor, Square]:
        """An image and a square of it that shows no upright face, of an image with a face in a square."""
        kind = rng.random()
        if kind < MISTAKES and len(self.mistakes):
            roll = float(rng.choice([0.0, 90.0, 180.0, 270.0]))
            square = _off(Square(SIZE / 2, SIZE / 2, SIZE / AROUND_MISTAKE, roll), rng, TURN, SCALE, SHIFT)
            return self.mistakes[rng.integers(len(self.mistakes))], square
        if kind < MISTAKES + SCENES_SHOWN:
            image = self.scenes[rng.integers(len(self.scenes))]
        return image, _beside(square, rng)

    def region_batch(self, count: int, region: Region, points: np.ndarray, rng: np.random.Generator) -> Batch:
        """Squares of a region; the left eye is a mirrored right one.

        Returns:
            `squares` [B, 3, 64, 64] in ±1, `points` [B, P, 2] in ±1 of the square, `seen` bool [B, P].
        """
        images, landmarks, seen = self.drawn(count, rng)
        squares = [
            _off(region_square(face, region), rng, REGION_TURN, REGION_SCALE, REGION_SHIFT) for face in landmarks
        ]
        batch = self._batch(images, landmarks, seen, squares, REGION_SIDE, REGION_COVERED, rng)
        return batch | {"points": batch["points"][:, points, :2], "seen": batch["seen"][:, points]}

    def _batch(
        self,
        images: Tensor,
        landmarks: np.ndarray,
        seen: Tensor,
        squares: list[Square],
        pixels: int,
        share: float,
        rng: np.random.Generator,
    ) -> Batch:
        """Squares cut out, covered (a share of them) and spoilt, with their landmarks."""
        matrices = torch.from_numpy(np.stack([square.matrix(pixels) for square in squares])).float()
        flat = torch.from_numpy(landmarks).float()
        points = torch.einsum("npk,nck->npc", flat[..., :2], matrices[..., :2]) + matrices[:, None, :, 2]
        depth = flat[..., 2:] * matrices[..., :2].det().sqrt()[:, None, None]
        inside = (flat[..., :2] > 0).all(-1) & (flat[..., :2] < SIZE).all(-1)
        points = torch.cat([points, depth], -1) / (pixels / 2) - torch.tensor([1.0, 1.0, 0.0])
        cut, points = looking_elsewhere(cut_out(images, matrices, pixels), points, rng)
        cut, hidden = covered(cut, points, rng, share)
        return {"squares": spoilt(cut, rng) * 2 - 1, "points": points, "seen": seen & inside & ~hidden}


@lru_cache(maxsize=1)
def painted_scenes() -> Tensor:
    """Pictures without a face, uint8 [SCENES, 3, 256, 256]."""
    rng = np.random.default_rng(0)
    return torch.stack([(paint_background(rng, SIZE) * 255).byte() for _ in range(SCENES)])


def cut_out(images: Tensor, matrices: Tensor, pixels: int, beyond: str = "border") -> Tensor:
    """Squares [N, 3, pixels, pixels] in 0–1 of images uint8 [N, 3, H, W].

    Args:
        images: in any number type that counts to 255.
        matrices: [N, 2, 3], image pixels to those of the squares.
        pixels: side of the squares.
        beyond: what lies outside the images: their `border` goes on, or `zeros`.
    """
    inverse = torch.linalg.inv(matrices[..., :2])
    back = torch.cat([inverse, -inverse @ matrices[..., 2:]], -1)
    grid = sampling_grid(back, range(pixels), range(pixels), (images.shape[2], images.shape[3]))
    return F.grid_sample(images.float(), grid, padding_mode=beyond, align_corners=False) / 255


def _cut_off(images: Tensor, landmarks: np.ndarray, seen: Tensor, rng: np.random.Generator) -> None:
    """Let some pictures end within the face, in place: their border goes on, and what lies beyond is not seen."""
    for i in np.flatnonzero(rng.random(len(images)) < CUT):
        axis, share = int(rng.integers(2)), float(rng.uniform(0.1, 0.55))
        low, high = landmarks[i, :, axis].min(), landmarks[i, :, axis].max()
        first = rng.random() < 0.5
        at = int(low + share * (high - low) if first else high - share * (high - low))
        at = min(max(at, 1), SIZE - 2)
        beyond = landmarks[i, :, axis] < at if first else landmarks[i, :, axis] > at
        seen[i] &= ~torch.from_numpy(beyond)
        part = images[i].transpose(1, 2) if axis == 0 else images[i]
        if first:
            part[:, :at] = part[:, at : at + 1].clone()
        else:
            part[:, at + 1 :] = part[:, at : at + 1].clone()


def _off(square: Square, rng: np.random.Generator, turn: float, scale: float, shift: float) -> Square:
    """A square that is a little off."""
    x, y = rng.normal(0, shift, 2) * square.side
    side = square.side * float(np.exp(rng.normal(0, scale)))
    return Square(square.x + x, square.y + y, side, square.roll + float(rng.normal(0, turn)))


def _beside(square: Square, rng: np.random.Generator) -> Square:
    """A square that shows no upright face: beside it, far too close, or turned."""
    kind = rng.random()
    if kind < 0.45:
        return square._replace(roll=square.roll + rng.uniform(75, 285))
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.9) * square.side
    side = square.side * float(rng.uniform(0.2, 0.5) if kind < 0.7 else rng.uniform(0.6, 1.2))
    far = far if kind >= 0.7 else far * 0.5
    return Square(square.x + far * np.cos(angle), square.y + far * np.sin(angle), side, rng.uniform(-180, 180))


def spoilt(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images [N, 3, S, S] in 0–1 as other cameras, other lights and other files would show them."""
    n, side = len(images), images.shape[-1]

    def some(share: float, low: float, high: float, rest: float = 1.0, channels: int = 1) -> Tensor:
        values = np.where(rng.random((n, 1)) < share, rng.uniform(low, high, (n, channels)), rest)
        return torch.from_numpy(values).float()[:, :, None, None]

    clean = torch.from_numpy(rng.random(n) < CLEAN)
    kept, images = images[clean], images.clone()
    for i in np.flatnonzero(rng.random(n) < 0.35):  # small faces, blurred and enlarged
        small = int(side / rng.uniform(1.2, 4.5))
        shrunk = F.interpolate(images[i : i + 1], (small, small), mode="area")
        images[i] = F.interpolate(shrunk, (side, side), mode=str(rng.choice(["bilinear", "bicubic", "nearest"])))[0]
    for i in np.flatnonzero(rng.random(n) < 0.12):  # motion
        length, along = int(rng.integers(2, 6)), int(rng.integers(2))
        images[i] = sum(images[i].roll(k, 1 + along) for k in range(length)) / length
    axis = torch.linspace(-1, 1, side)
    angle = torch.from_numpy(rng.uniform(0, 2 * np.pi, n)).float()[:, None, None]
    ramp = axis[None, None] * angle.cos() + axis[None, :, None] * angle.sin()
    images = images * (1 + some(0.5, -0.7, 0.7, 0.0) * ramp[:, None])
    images = images.clamp(1e-3, 1.5) ** some(0.7, 0.55, 1.8)
    images = (images - 0.5) * some(0.6, 0.6, 1.4) + 0.5 + some(0.6, -0.15, 0.15, 0.0)
    images = images * some(0.6, 0.8, 1.2, 1.0, 3) * some(0.2, 0.08, 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + some(0.3, 0.0, 1.6) * (images - grey)
    grey = some(0.08, 0.0, 0.0)
    images = images.mean(1, keepdim=True) * (1 - grey) + images * grey
    noise = torch.from_numpy(rng.standard_normal(images.shape[1:], dtype=np.float32))
    shifts = rng.integers(0, side, (n, 2)).tolist()
    images = images + some(0.5, 0.0, 0.08, 0.0) * torch.stack([noise.roll(shift, (1, 2)) for shift in shifts])
    images[clean] = kept
    return images.clamp(0, 1)
