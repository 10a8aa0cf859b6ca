"""The bundled face tracker: needs nothing but PyTorch."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..tracker.face import Face
from ..tracker.find import find_faces
from ..tracker.landmarks import TrackerNetworks, tracker_networks
from ..tracker.regions import Square, face_square
from .faces import MAX_FACES_CLIP, MIN_FACE_SIZE, distinct_faces

# Scores less twice the doubt (see `Face.doubt`) from which a new face is believed: doubts are 0.02–0.03 on most faces,
# 0.06 where much is covered or on what only resembles a face.
BELIEVED = 0.85
KEPT, LOST = 0.35, 0.12  # score from which a face of the frame before is believed, and doubt up to which it is
TURNS = (0, 90, 180, 270)  # degrees by which the detector may be wrong about which way up a face is
SAME = 0.5  # shift and change of size, over its side, up to which a square that is found is that of a known face
MOVED = 0.12  # shift of a face between two frames, over its square's side, after which it is looked at again
SEARCH_EVERY = 10  # frames between two searches for faces that have come
CLIP_SHARE = 1 / 14  # size of the smallest faces that a clip is searched for, over the longer side of its frames
TREMBLING = 0.1  # of a landmark's expected error: movements well below it are noise


class Looked(NamedTuple):
    """A frame in which faces were looked for ahead.

    Attributes:
        image: uint8 [H, W, 3].
        pixels: the same, where the networks are.
        squares: that were looked at.
        faces: one in each.
    """

    image: np.ndarray
    pixels: Tensor
    squares: list[Square]
    faces: list[Face]


class BundledTracker:
    """Finds and follows faces with the bundled networks (a `detect.FaceTracker`)."""

    def __init__(self) -> None:
        self._networks: TrackerNetworks = tracker_networks()
        self._faces: list[Face] = []
        self._number = 0
        self._ahead: deque[Looked] = deque()

    def still(self, image: np.ndarray) -> list[Face]:
        """All faces of one image uint8 [H, W, 3], the largest first."""
        return self._searched(self._pixels(image), MIN_FACE_SIZE)

    def start_clip(self) -> None:
        """Start a new clip: earlier frames no longer count."""
        self._faces, self._number = [], 0
        self._ahead.clear()

    def prepare(self, images: Sequence[np.ndarray]) -> None:
        """Look for the faces that are followed in the clip's next frames, all in one batch."""
        squares = [face_square(face.landmarks) for face in self._faces]
        pixels = [self._pixels(image) for image in images]
        faces = self._networks.look([image for image in pixels for _ in squares], squares * len(images))
        count = len(squares)
        self._ahead = deque(
            Looked(image, there, squares, faces[i * count : (i + 1) * count])
            for i, (image, there) in enumerate(zip(images, pixels, strict=True))
        )

    def frame(self, image: np.ndarray) -> list[Face]:
        """All faces of the clip's next frame uint8 [H, W, 3], in no fixed order."""
        looked = self._ahead.popleft() if self._ahead else None
        if looked is not None and looked.image is not image:
            looked = None
        pixels = self._pixels(image) if looked is None else looked.pixels
        faces = self._again(pixels, looked)
        if not faces or self._number % SEARCH_EVERY == 0:
            faces += self._searched(pixels, max(MIN_FACE_SIZE, CLIP_SHARE * max(image.shape[:2])), faces)
        self._faces = distinct_faces(faces)[:MAX_FACES_CLIP]
        self._number += 1
        return self._faces

    def _pixels(self, image: np.ndarray) -> Tensor:
        """An image where the networks are."""
        return torch.from_numpy(image).to(self._networks.mirror.device)

    def _look(self, image: Tensor, squares: list[Square], closer: bool = True) -> list[Face]:
        return self._networks.look([image] * len(squares), squares, closer)

    def _searched(self, image: Tensor, smallest: float, known: Sequence[Face] = ()) -> list[Face]:
        """Faces of an image uint8 [H, W, 3] found anew, from a size in pixels on, but for those that are known."""
        found = [candidate.square for candidate in find_faces(self._networks.detector, image, smallest)]
        known_squares = [face_square(face.landmarks) for face in known]
        new = [square for square in found if all(_moved(other, square) >= SAME for other in known_squares)]
        turned = [square._replace(roll=square.roll + turn) for square in new for turn in TURNS]
        looked = self._look(image, turned, closer=False)
        each = [looked[i : i + len(TURNS)] for i in range(0, len(looked), len(TURNS))]
        best = [max(faces, key=lambda face: face.score) for faces in each]
        faces = self._look(image, [face_square(face.landmarks) for face in best if face.score > KEPT])
        return distinct_faces([face for face in faces if face.score - 2 * face.doubt > BELIEVED])

    def _again(self, image: Tensor, looked: Looked | None) -> list[Face]:
        """The faces of the frame before in this one uint8 [H, W, 3], but for those that are gone."""
        squares = [face_square(face.landmarks) for face in self._faces]
        if looked is not None and len(looked.faces) == len(squares):
            squares, faces = looked.squares, list(looked.faces)
        else:
            faces = self._look(image, squares)
        now = [face_square(face.landmarks) for face in faces]
        far = [i for i, face in enumerate(faces) if face.score > KEPT and _moved(squares[i], now[i]) > MOVED]
        for i, face in zip(far, self._look(image, [now[i] for i in far]), strict=True):
            faces[i] = face
        there = zip(self._faces, faces, strict=True)
        return [_steadied(before, face) for before, face in there if face.score > KEPT and face.doubt < LOST]


def _moved(before: Square, after: Square) -> float:
    """Shift and change of size of a square, over its side."""
    shift = np.hypot(after.x - before.x, after.y - before.y) + abs(after.side - before.side)
    return float(shift / before.side)


def _steadied(before: Face, after: Face) -> Face:
    """A face whose landmarks stay where they have only trembled since the frame before."""
    assert after.deviation is not None
    step = after.landmarks - before.landmarks
    noise = np.square(TREMBLING * after.deviation)[:, None]
    moved = np.square(step[:, :2]).sum(1, keepdims=True)
    return after._replace(landmarks=before.landmarks + step * (moved / (moved + noise)).astype(np.float32))
