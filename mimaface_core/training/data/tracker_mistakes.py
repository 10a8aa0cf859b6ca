"""What the detector takes for faces in images that show none: the mesh learns to refuse it (Sung and Poggio 1998)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host
from ...files import replacing
from ...tracker.find import find_faces
from ...tracker.networks import Detector
from ...tracker.regions import face_square
from ..people.scenery import paint_background
from .dataset import jpeg_images, jpeg_tensors, read_tensors
from .tracker_batches import AROUND_MISTAKE, FacePool, cut_out
from .tracker_faces import QUALITY, SIZE

FILE = "mistakes.safetensors"
SCENE, JUMBLED = 0.35, 0.4  # shares of painted scenes and of jumbled faces; the rest are heads without a face
TRIES = 10  # images a mistake, at most
TILES = (4, 8, 16)  # along a jumbled image
EMPTY = (0.42, 0.62)  # size of what takes a face's place, over the side of its square


def make_mistakes(folder: Path, pool: FacePool, detector: Detector, count: int, seed: int) -> None:
    """Find up to `count` mistakes of a detector, unless they are in the folder already.

    Args:
        folder: for `mistakes.safetensors`.
        pool: faces that are taken apart.
        detector: whose mistakes they are.
        count: of images.
        seed: of the random numbers.
    """
    from safetensors.torch import save_file

    if (folder / FILE).is_file():
        return
    rng = np.random.default_rng(seed)
    found: list[Tensor] = []
    with host.current().progress(count, "mistakes of the detector") as bar:
        for _ in range(TRIES * count):
            image = _without_face(pool, rng)
            for candidate in find_faces(detector, image.permute(1, 2, 0)):
                around = candidate.square._replace(side=candidate.square.side * AROUND_MISTAKE)
                matrix = torch.from_numpy(around.matrix(SIZE)).float()
                found.append((cut_out(image[None], matrix[None], SIZE)[0] * 255).byte())
                bar.update()
            if len(found) >= count:
                break
    with replacing(folder / FILE) as part:
        save_file(jpeg_tensors(torch.stack(found[:count]), QUALITY) if found else {}, part)


def read_mistakes(folder: Path) -> Tensor:
    """The images uint8 [N, 3, 256, 256] that `make_mistakes` found, if any.

    Raises:
        InputError: the file is missing or damaged.
    """
    tensors = read_tensors(folder / FILE, ())
    return jpeg_images(tensors) if tensors else torch.empty(0, 3, SIZE, SIZE).byte()


def _without_face(pool: FacePool, rng: np.random.Generator) -> Tensor:
    """An image uint8 [3, 256, 256] without a face."""
    kind = rng.random()
    if kind < SCENE:
        return (paint_background(rng, SIZE) * 255).byte()
    images, landmarks, _ = pool.drawn(1, rng)
    return _jumbled(images[0], rng) if kind < SCENE + JUMBLED else _emptied(images[0], landmarks[0], pool, rng)


def _jumbled(image: Tensor, rng: np.random.Generator) -> Tensor:
    """An image cut into tiles that lie in another order, each turned."""
    count = int(rng.choice(TILES))
    side = SIZE // count
    tiles = image.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
    tiles = torch.stack([tiles[i].rot90(int(rng.integers(4)), (1, 2)) for i in rng.permutation(count * count)])
    rows = [torch.cat(list(tiles[i : i + count]), 2) for i in range(0, count * count, count)]
    return torch.cat(rows, 1)


def _emptied(image: Tensor, landmarks: np.ndarray, pool: FacePool, rng: np.random.Generator) -> Tensor:
    """A head with skin, hair or anything else where its face was."""
    square = face_square(landmarks)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    radius = square.side / 2 * rng.uniform(*EMPTY)
    inside = torch.from_numpy(1 / (1 + np.exp(np.hypot(x - square.x, (y - square.y) / 1.2) - radius))).float()
    if rng.random() < 0.5:
        px, py = landmarks[rng.choice([50, 280, 10]), :2].astype(int).clip(0, SIZE - 1)
        filling = image[:, py, px, None, None].float().expand(-1, SIZE, SIZE)
    else:
        other = pool.scenes[rng.integers(len(pool.scenes))]
        filling = F.interpolate(other[None, :, : SIZE // 2].float(), (SIZE, SIZE))[0]
    shade = torch.from_numpy(rng.standard_normal((1, 1, 4, 4))).float()
    filling = filling * (1 + 0.12 * F.interpolate(shade, (SIZE, SIZE), mode="bicubic")[0])
    return (image + inside * (filling - image)).clamp(0, 255).byte()
