"""Batches for the face tracker's detector: small tiles of pictures with faces of all sizes, any way up, or none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face_mesh import FACE_POINTS
from ...tracker.networks import FACE_UNIT, STRIDE
from ...tracker.regions import FACE_SIDE, Square, face_square
from ..people.covers import covered
from .tracker_batches import Batch, FacePool, cut_out, spoilt
from .tracker_faces import SIZE

TILE = 128  # pixels
CELLS = TILE // STRIDE  # places along a tile at which the detector speaks
FOUND = (20.0, 56.0)  # sizes of faces that the detector is to find, pixels
DRAWN = (15.0, 72.0)  # of those that appear
FACES = (0.2, 0.5, 0.3)  # shares of tiles with no, one and two faces
ALONE = 0.4  # share of tiles that a photograph fills, instead of lying on another picture
COVERED = 0.5  # share of faces with a cover
NEAR, AROUND = 0.28, 0.55  # distance from a face's centre, over its size, that is a hit, and that does not count
WHOLE, SOME = 0.35, 0.1  # shares of a face's landmarks that are seen where it is to be found, and where it may be


class PlacedFace(NamedTuple):
    """A face in a tile.

    Attributes:
        square: of its image, which the tile shows.
        size: of the face in the tile, pixels.
        roll: there, degrees, anticlockwise as seen.
        points: landmarks [478, 2] in tile pixels.
        seen: share of them that lies in the tile, with nothing before it.
    """

    square: Square
    size: float
    roll: float
    points: Tensor
    seen: float


def tile_batch(pool: FacePool, count: int, rng: np.random.Generator) -> Batch:
    """Tiles and what the detector is to say of them.

    Returns:
        `images` [B, 3, 128, 128] in ±1, `target` [B, 5, 16, 16] (see `Detector.forward`, without the logit), `hit`
        and `counts` bool [B, 16, 16]: places that show a face, and those that count at all.
    """
    scenes = pool.scenes[torch.from_numpy(rng.integers(0, len(pool.scenes), count))]
    tiles = cut_out(scenes, _matrices([_anywhere(rng) for _ in range(count)]), TILE)
    target, hit = torch.zeros(count, 5, CELLS, CELLS), torch.zeros(count, CELLS, CELLS, dtype=torch.bool)
    counts = torch.ones_like(hit)
    number = rng.choice(len(FACES), count, p=FACES)
    for layer in range(1, len(FACES)):
        at = np.flatnonzero(number >= layer)
        cut, inside, faces = _faces(pool, len(at), rng)
        if layer == 1:
            inside[torch.from_numpy(rng.random(len(at)) < ALONE)] = 1
        tiles[at] = tiles[at] + inside * (cut - tiles[at])
        for i, tile in enumerate(at):
            if layer > 1:  # what lies behind may be hidden
                behind = F.avg_pool2d(inside[i : i + 1], STRIDE)[0, 0] > 0.01
                hit[tile] &= ~behind
                counts[tile] &= ~behind | _touched(behind)
            _mark(faces[i], target[tile], hit[tile], counts[tile])
    return {"images": spoilt(tiles, rng) * 2 - 1, "target": target, "hit": hit, "counts": counts}


def _faces(pool: FacePool, count: int, rng: np.random.Generator) -> tuple[Tensor, Tensor, list[PlacedFace]]:
    """Tiles [N, 3, 128, 128] with a face each, where their photographs reach [N, 1, 128, 128], and the faces."""
    images, landmarks, _ = pool.drawn(count, rng)
    placed = [_placed(face, rng) for face in landmarks]
    matrices = _matrices([square for square, _, _ in placed])
    flat = torch.from_numpy(landmarks).float()[..., :2]
    points = torch.einsum("npk,nck->npc", flat, matrices[..., :2]) + matrices[:, None, :, 2]
    cut, hidden = covered(cut_out(images, matrices, TILE), points / (TILE / 2) - 1, rng, COVERED)
    seen = ((points > 0) & (points < TILE)).all(-1) & ~hidden
    faces = [PlacedFace(*one, points[i], float(seen[i].float().mean())) for i, one in enumerate(placed)]
    return cut, cut_out(torch.full_like(images[:, :1], 255), matrices, TILE, "zeros"), faces


def _touched(behind: Tensor) -> Tensor:
    """Places [16, 16] well within what lies behind another picture: they count again, as part of that."""
    return -F.max_pool2d(-behind[None].float(), 3, 1, 1)[0] > 0


def _mark(face: PlacedFace, target: Tensor, hit: Tensor, counts: Tensor) -> None:
    """Enter a face into the maps of its tile, in place."""
    low, high = face.points[:FACE_POINTS].amin(0), face.points[:FACE_POINTS].amax(0)
    axis = (torch.arange(CELLS) + 0.5) * STRIDE
    off = ((low + high) / 2)[:, None, None] - torch.stack(torch.meshgrid(axis, axis, indexing="xy"))
    distance = off.norm(dim=0) / face.size
    near = distance < NEAR
    if FOUND[0] <= face.size <= FOUND[1] and face.seen > WHOLE:
        angle = np.radians(face.roll)
        shape = torch.tensor([np.log(face.size / FACE_UNIT), np.sin(angle), np.cos(angle)]).float()
        place = torch.cat([off / STRIDE, shape[:, None, None].expand(3, CELLS, CELLS)])
        target[:, near] = place[:, near]
        hit[near], counts[near] = True, True
        counts[(distance < AROUND) & ~near] = False
    elif face.seen > SOME:
        counts[distance < AROUND] = False


def _placed(landmarks: np.ndarray, rng: np.random.Generator) -> tuple[Square, float, float]:
    """A square in which a face of landmarks [478, 3] appears anywhere, in any size, any way up; its size and roll."""
    own = face_square(landmarks)
    size = float(np.exp(rng.uniform(*np.log(DRAWN))))
    scale = size / (own.side / FACE_SIDE)
    roll = float(rng.uniform(-180, 180) if rng.random() < 0.7 else rng.normal(0, 15))
    shown = Square(own.x, own.y, TILE / scale, own.roll - roll)
    place = rng.uniform(0.1, 0.9, 2) * TILE  # of the face in the tile
    matrix = shown.matrix(TILE)
    x, y = np.linalg.solve(matrix[:, :2], TILE - place - matrix[:, 2])
    return shown._replace(x=float(x), y=float(y)), size, roll


def _anywhere(rng: np.random.Generator) -> Square:
    """A random square of a picture."""
    side = float(rng.uniform(0.3, 1.0)) * SIZE
    x, y = rng.uniform(0, SIZE, 2)
    return Square(float(x), float(y), side, float(rng.uniform(-180, 180)))


def _matrices(squares: list[Square]) -> Tensor:
    return torch.from_numpy(np.stack([square.matrix(TILE) for square in squares])).float()
