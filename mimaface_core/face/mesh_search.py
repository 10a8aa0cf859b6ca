"""The search for faces with a mesh network: small ones, turned ones, and no false ones."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from ..tracker.face import Face
from ..tracker.regions import Square
from .faces import DUPLICATE_DISTANCE, MOST_OUTSIDE, bounding_square, distinct_faces, share_outside
from .upright import UPRIGHT, WINDOW, FaceScorer, roll_of, turned_back

WINDOW_SIZE = 640  # pixels: small faces are searched in square windows of this size, enlarged where they are smaller
MIN_WINDOW = 160  # pixels of the image that a window covers at least
CLOSE_UP = 2.0  # side of the window for the second, closer look at a face, over the size of the face
CREDIBLE = 0.7  # score of the face detector below which a mesh lies on no face


def _distinct(meshes: list[np.ndarray]) -> list[np.ndarray]:
    """Those of the meshes [478, 3] that are faces of their own, the largest first."""
    return [face.landmarks for face in distinct_faces([Face(mesh) for mesh in meshes])]


class MeshTracker(ABC):
    """Common to both API generations: the search for small faces and a second, closer look at each.

    mediapipe has no types, so its graphs are `Any` here.
    """

    def __init__(self) -> None:
        self._still_graph: Any = None
        self._clip_graph: Any = None
        self._close_clip: weakref.finalize | None = None
        self._clip_turns: int | None = None  # quarter turns clockwise that make the clip's face upright
        self._first_frame = True
        self._believed_at: list[np.ndarray] = []  # bounding squares of the clip's faces that were believed last

    @cached_property
    def _scorer(self) -> FaceScorer:
        """The face detector, loaded on first use."""
        return FaceScorer()

    @abstractmethod
    def _build(self, still: bool) -> Any:
        """A mediapipe graph for stills or for one clip."""

    @abstractmethod
    def _mesh(self, image: np.ndarray) -> list[np.ndarray]:
        """Faces of a still, in pixels."""

    @abstractmethod
    def _tracked(self, image: np.ndarray) -> list[np.ndarray]:
        """Faces of a clip's next frame, in pixels."""

    def _open(self, still: bool) -> tuple[Any, weakref.finalize]:
        """A new graph and the finalizer that closes it with this tracker; mediapipe leaks what is not closed."""
        graph = self._build(still)
        close = weakref.finalize(self, graph.close)
        close.atexit = False
        return graph, close

    def _still(self) -> Any:
        """The graph for stills, built on first use."""
        if self._still_graph is None:
            self._still_graph = self._open(still=True)[0]
        return self._still_graph

    def start_clip(self) -> None:
        """Start a new clip: earlier frames no longer count."""
        if self._close_clip is not None:
            self._close_clip()
        self._clip_graph, self._close_clip = self._open(still=False)
        self._clip_turns, self._first_frame = None, True
        self._believed_at = []

    def _faces_in_window(self, image: np.ndarray, x: float, y: float, size: float) -> list[np.ndarray]:
        """Faces in the square of `size` about (x, y), which is scaled to WINDOW_SIZE for the search."""
        import cv2

        scale = WINDOW_SIZE / size
        shift = [WINDOW_SIZE / 2 - scale * x, WINDOW_SIZE / 2 - scale * y]
        if scale < 0.7:  # warpAffine does not average: shrink first
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
            window = cv2.warpAffine(small, matrix, (WINDOW_SIZE, WINDOW_SIZE), borderMode=cv2.BORDER_REPLICATE)
        else:
            matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
            flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            window = cv2.warpAffine(
                image, matrix, (WINDOW_SIZE, WINDOW_SIZE), flags=flags, borderMode=cv2.BORDER_REPLICATE
            )
        faces = []
        for face in self._mesh(window):
            face = face / scale
            face[:, :2] += [x - size / 2, y - size / 2]
            faces.append(face.astype(np.float32))
        return faces

    def still(self, image: np.ndarray) -> list[Face]:
        """All faces of one image uint8 [H, W, 3], the largest first."""
        return [Face(mesh) for mesh in self._searched(image)]

    def _searched(self, image: np.ndarray) -> list[np.ndarray]:
        """Their meshes."""
        height, width = image.shape[:2]
        side = max(height, width)
        faces = self._faces_in_window(image, width / 2, height / 2, side)
        for turns in (1, 2, 3) if not faces else ():  # the search finds faces that stand or lie, but not all that lie
            turned = np.ascontiguousarray(np.rot90(image, -turns))
            found = self._faces_in_window(turned, turned.shape[1] / 2, turned.shape[0] / 2, side)
            faces += [_unturned(face, turns, width, height) for face in found]
        # Smaller and smaller windows, half overlapping, until there are faces.
        size = side / 2
        while not faces and size >= MIN_WINDOW:
            steps_x, steps_y = (np.arange(size / 2, n + size / 4, size / 2) for n in (width, height))
            faces = [face for y in steps_y for x in steps_x for face in self._faces_in_window(image, x, y, size)]
            size /= 2
        closer = [self._closer(image, face) for face in _distinct(faces)]
        found = _distinct([face for face in closer if face is not None])
        if found and self._clip_turns is None:
            self._clip_turns = round(roll_of(found[0]) / 90) % 4
        return found

    def _closer(self, image: np.ndarray, face: np.ndarray) -> np.ndarray | None:
        """The face found again in a window about it in which it stands upright; None where it is no face."""
        import cv2

        if share_outside(face, image) > MOST_OUTSIDE:  # half a face tells neither
            return face
        turns, score = self._scorer.quarter_turns(_upright_window(image, face))
        if score < CREDIBLE:
            return None
        x, y, size = bounding_square(face)
        roll = roll_of(face)
        if turns == 0 and abs(roll) < UPRIGHT:
            again = self._faces_in_window(image, x, y, CLOSE_UP * size)
        else:
            matrix = Square(x, y, CLOSE_UP * size, roll + 90 * turns).matrix(WINDOW_SIZE)
            window = cv2.warpAffine(image, matrix, (WINDOW_SIZE, WINDOW_SIZE), borderMode=cv2.BORDER_REPLICATE)
            again = [turned_back(found, matrix) for found in self._mesh(window)]
        again = _distinct(again)
        nearest = min(again, key=lambda f: np.hypot(*(bounding_square(f)[:2] - [x, y])), default=None)
        return nearest if nearest is not None or turns else face

    def prepare(self, images: Sequence[np.ndarray]) -> None:  # noqa: B027 - it is whole
        """Nothing: each frame is looked at when it comes."""

    def frame(self, image: np.ndarray) -> list[Face]:
        """All faces of the clip's next frame uint8 [H, W, 3], in no fixed order.

        The clip is turned so that its first face stands upright: mediapipe tracks no others.
        """
        if self._first_frame:
            self._first_frame = False
            self._searched(image)
        turns = self._clip_turns or 0
        height, width = image.shape[:2]
        upright = np.ascontiguousarray(np.rot90(image, -turns)) if turns else image
        faces = self._believed(self._tracked(upright), upright)
        return [Face(_unturned(face, turns, width, height) if turns else face) for face in faces]

    def _believed(self, faces: list[np.ndarray], image: np.ndarray) -> list[np.ndarray]:
        """Those of a clip's faces that were believed before or look like one: mediapipe tracks animals, too."""
        believed = [face for face in faces if self._known(face) or self._looks_like_a_face(face, image)]
        whole = [face for face in believed if share_outside(face, image) <= MOST_OUTSIDE]
        if whole:
            self._believed_at = [bounding_square(face) for face in whole]
        return believed

    def _known(self, face: np.ndarray) -> bool:
        """Whether a believed face of the clip was last seen where this one is."""
        x, y, _ = bounding_square(face)
        return any(np.hypot(x - a, y - b) < DUPLICATE_DISTANCE * size for a, b, size in self._believed_at)

    def _looks_like_a_face(self, face: np.ndarray, image: np.ndarray) -> bool:
        """Whether the face detector agrees with a mesh, which it cannot tell where half of the face lies outside."""
        if share_outside(face, image) > MOST_OUTSIDE:
            return True
        return self._scorer(_upright_window(image, face)) >= CREDIBLE


def _upright_window(image: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Window uint8 [WINDOW, WINDOW, 3] of an image about a face that stands upright in it, if its mesh is right."""
    import cv2

    x, y, size = bounding_square(face)
    matrix = Square(x, y, CLOSE_UP * size, roll_of(face)).matrix(WINDOW)
    return cv2.warpAffine(image, matrix, (WINDOW, WINDOW), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


def _unturned(face: np.ndarray, turns: int, width: int, height: int) -> np.ndarray:
    """Landmarks of an image that was turned clockwise by quarter turns, in pixels of the image before [H, W]."""
    x, y = face[:, 0].copy(), face[:, 1].copy()
    face = face.copy()
    if turns == 1:
        face[:, 0], face[:, 1] = y, height - x
    elif turns == 2:
        face[:, 0], face[:, 1] = width - x, height - y
    elif turns == 3:
        face[:, 0], face[:, 1] = width - y, x
    return face
