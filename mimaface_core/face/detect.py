"""FaceTracker: 478 landmarks for every face of an image, from mediapipe in either API generation."""

from __future__ import annotations

import importlib
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from ..errors import InputError

MODEL_FILE = "face_landmarker.task"
MODEL_URL = (
    f"https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/latest/{MODEL_FILE}"
)
MIN_FACE_SIZE = 24  # pixels: smaller faces show nothing that could be measured
WINDOW_SIZE = 640  # pixels: small faces are searched in square windows of this size, enlarged where they are smaller
MIN_WINDOW = 160  # pixels of the image that a window covers at least
CLOSE_UP = 2.0  # side of the window for the second, closer look at a face, over the size of the face
DUPLICATE_DISTANCE = 0.5  # a face whose centre lies nearer to that of a larger one, over its size, is the same face
MAX_FACES, MAX_FACES_CLIP = 8, 4  # faces that mediapipe returns for a still and for a frame of a clip
CONFIDENCE = 0.3  # of mediapipe's face detection, 0–1
TASK_FRAME_MS = 40  # mediapipe's face landmarker task requires timestamps that increase; their size has no effect

NO_TRACKER = (
    "No face tracker is installed: run `pip install mediapipe==0.10.21 --no-deps` (and `flatbuffers absl-py attrs "
    "matplotlib opencv-python-headless 'protobuf<5'`), or connect ComfyUI's face landmarks."
)


class FaceTracker(Protocol):
    """Finds faces in images uint8 [H, W, 3].

    Landmarks are [478, 3] float32: x and y in pixels of the image, the depth in the same unit (smaller = nearer).
    """

    def still(self, image: np.ndarray) -> list[np.ndarray]:
        """All faces of one image, the largest first."""

    def start_clip(self) -> None:
        """Start a new clip: earlier frames no longer count."""

    def frame(self, image: np.ndarray) -> list[np.ndarray]:
        """All faces of the clip's next frame, in no fixed order; positions are tracked from frame to frame."""


def require_tracker() -> None:
    """Raises InputError when mediapipe is not installed; it is not imported."""
    if find_spec("mediapipe") is None:
        raise InputError(NO_TRACKER)


def face_tracker(model_folders: Sequence[Path] = ()) -> FaceTracker:
    """The face tracker of the installed mediapipe.

    Args:
        model_folders: folders that may hold face_landmarker.task, for mediapipe releases without the classic face mesh.

    Raises:
        InputError: mediapipe, or its model file, is missing.
    """
    try:
        mediapipe = _mediapipe()
    except ImportError as error:
        raise InputError(NO_TRACKER) from error
    if hasattr(mediapipe, "solutions"):
        return ClassicTracker()
    for folder in model_folders:
        if (Path(folder) / MODEL_FILE).is_file():
            return TaskTracker(Path(folder) / MODEL_FILE)
    raise InputError(
        f"This mediapipe ({mediapipe.__version__}) needs {MODEL_FILE}: get it from {MODEL_URL} and put it into "
        f"{model_folders[0] if model_folders else 'models/mimaface'}, or install mediapipe==0.10.21, which carries its "
        "model."
    )


def _mediapipe() -> ModuleType:
    """The module mediapipe, imported in a thread of its own.

    mediapipe stores the exception of an optional library that is missing. Its traceback holds the stack of the import;
    in this thread the stack is empty, in the caller's it would keep the model pack in memory for ever.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(importlib.import_module, "mediapipe").result()


def bounding_square(landmarks: np.ndarray) -> np.ndarray:
    """Centre x, centre y and larger side [3] of the bounding box of landmarks [V, 2 or 3]."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return np.array([*(low + high) / 2, (high - low).max()])


def _distinct(faces: list[np.ndarray]) -> list[np.ndarray]:
    """Faces largest first, without those that lie on a larger one and those that are too small."""
    result: list[np.ndarray] = []
    for face in sorted(faces, key=lambda f: -bounding_square(f)[2]):
        x, y, size = bounding_square(face)
        larger = map(bounding_square, result)
        if size >= MIN_FACE_SIZE and all(np.hypot(x - a, y - b) > DUPLICATE_DISTANCE * s for a, b, s in larger):
            result.append(face)
    return result


class _MeshTracker(ABC):
    """Common to both API generations: the search for small faces and a second, closer look at each.

    mediapipe has no types, so its graphs are `Any` here.
    """

    def __init__(self) -> None:
        self._still_graph: Any = None
        self._clip_graph: Any = None
        self._close_clip: weakref.finalize | None = None

    @abstractmethod
    def _build(self, still: bool) -> Any:
        """A mediapipe graph for stills or for one clip."""

    @abstractmethod
    def _mesh(self, image: np.ndarray) -> list[np.ndarray]:
        """Faces of a still, in pixels."""

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

    def still(self, image: np.ndarray) -> list[np.ndarray]:
        """All faces of one image uint8 [H, W, 3], the largest first."""
        height, width = image.shape[:2]
        side = max(height, width)
        faces = self._faces_in_window(image, width / 2, height / 2, side)
        # Smaller and smaller windows, half overlapping, until there are faces.
        size = side / 2
        while not faces and size >= MIN_WINDOW:
            steps_x, steps_y = (np.arange(size / 2, n + size / 4, size / 2) for n in (width, height))
            faces = [face for y in steps_y for x in steps_x for face in self._faces_in_window(image, x, y, size)]
            size /= 2
        return _distinct([self._closer(image, face) for face in _distinct(faces)])

    def _closer(self, image: np.ndarray, face: np.ndarray) -> np.ndarray:
        """The face found again in a window about it; as it was where it is not found again."""
        x, y, size = bounding_square(face)
        again = _distinct(self._faces_in_window(image, x, y, CLOSE_UP * size))
        return min(again, key=lambda f: np.hypot(*(bounding_square(f)[:2] - [x, y]))) if again else face


def _in_pixels(points: Any, image: np.ndarray) -> np.ndarray:
    """Landmarks [478, 3] of mediapipe's points, whose x and z count in image widths and y in heights."""
    height, width = image.shape[:2]
    return np.array([[p.x * width, p.y * height, p.z * width] for p in points], np.float32)


class ClassicTracker(_MeshTracker):
    """mediapipe 0.10.x: the face mesh, whose models come inside the wheel."""

    def _build(self, still: bool) -> Any:
        import mediapipe as mp

        return mp.solutions.face_mesh.FaceMesh(
            static_image_mode=still,
            refine_landmarks=True,
            max_num_faces=MAX_FACES if still else MAX_FACES_CLIP,
            min_detection_confidence=CONFIDENCE,
        )

    def _process(self, graph: Any, image: np.ndarray) -> list[np.ndarray]:
        faces = graph.process(np.ascontiguousarray(image)).multi_face_landmarks or []
        return [_in_pixels(face.landmark, image) for face in faces]

    def _mesh(self, image: np.ndarray) -> list[np.ndarray]:
        return self._process(self._still(), image)

    def frame(self, image: np.ndarray) -> list[np.ndarray]:
        """All faces of the clip's next frame uint8 [H, W, 3], in no fixed order."""
        return self._process(self._clip_graph, image)


class TaskTracker(_MeshTracker):
    """Newer mediapipe: the face landmarker task.

    Args:
        model: face_landmarker.task.
    """

    def __init__(self, model: Path) -> None:
        super().__init__()
        self._model, self._time = model, 0

    def _build(self, still: bool) -> Any:
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision

        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(self._model)),
            running_mode=vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO,
            num_faces=MAX_FACES if still else MAX_FACES_CLIP,
            min_face_detection_confidence=CONFIDENCE,
        )
        return vision.FaceLandmarker.create_from_options(options)

    def _image(self, image: np.ndarray) -> Any:
        import mediapipe as mp

        return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))

    def _mesh(self, image: np.ndarray) -> list[np.ndarray]:
        result = self._still().detect(self._image(image))
        return [_in_pixels(face, image) for face in result.face_landmarks]

    def start_clip(self) -> None:
        """Start a new clip: earlier frames no longer count."""
        super().start_clip()
        self._time = 0

    def frame(self, image: np.ndarray) -> list[np.ndarray]:
        """All faces of the clip's next frame uint8 [H, W, 3], in no fixed order."""
        self._time += TASK_FRAME_MS
        result = self._clip_graph.detect_for_video(self._image(image), self._time)
        return [_in_pixels(face, image) for face in result.face_landmarks]
