"""FaceTracker: 478 landmarks for every face of a picture, from mediapipe in either API generation."""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Protocol

import numpy as np

from ..errors import InputError

MODEL_FILE = "face_landmarker.task"
MODEL_HOME = (
    f"https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/latest/{MODEL_FILE}"
)
SMALLEST_FACE = 24  # pixels: below this nothing can be read from a face
WINDOW = 640  # pictures are searched for small faces in squares of this size, enlarged where they are smaller

NO_TRACKER = (
    "No face tracker is installed: run `pip install mediapipe==0.10.21 --no-deps` (and `flatbuffers absl-py attrs "
    "matplotlib opencv-python-headless 'protobuf<5'`), or connect ComfyUI's face landmarks."
)


class FaceTracker(Protocol):
    """Finds faces. Landmarks are [478, 3] float32: x, y in pixels of the picture, z in the same unit (smaller = nearer)."""

    def still(self, picture: np.ndarray) -> list[np.ndarray]:
        """All faces of one picture uint8 [H, W, 3], largest first."""

    def start_clip(self) -> None:
        """Forget the frames before: what follows is a new clip."""

    def frame(self, picture: np.ndarray) -> list[np.ndarray]:
        """All faces of the clip's next frame, in no fixed order; positions are tracked from frame to frame."""


def require_tracker() -> None:
    """Raises InputError when mediapipe is missing; looks for it without loading it."""
    if find_spec("mediapipe") is None:
        raise InputError(NO_TRACKER)


def face_tracker(model_folders: Sequence[Path] = ()) -> FaceTracker:
    """The tracker that is installed here.

    model_folders: where a face_landmarker.task may lie (needed by mediapipe releases without the classic face mesh).
    Raises InputError in one sentence when mediapipe, or its model file, is missing.
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
        f"This mediapipe ({mediapipe.__version__}) needs {MODEL_FILE}: get it from {MODEL_HOME} and put it into "
        f"{model_folders[0] if model_folders else 'models/mimaface'}, or install mediapipe==0.10.21, which carries its model."
    )


def _mediapipe() -> ModuleType:
    """mediapipe, imported on a stack of its own.

    It keeps the exception of a missing library for ever, and with that exception all that the callers hold: the pack.
    """
    with ThreadPoolExecutor(1) as alone:
        return alone.submit(importlib.import_module, "mediapipe").result()


def _box(points: np.ndarray) -> np.ndarray:
    """Centre x, centre y, larger side of landmarks."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    return np.array([*(low + high) / 2, (high - low).max()])


def _distinct(faces: list[np.ndarray]) -> list[np.ndarray]:
    """Faces largest first, without those that lie on a larger one."""
    kept: list[np.ndarray] = []
    for face in sorted(faces, key=lambda f: -_box(f)[2]):
        x, y, size = _box(face)
        if size >= SMALLEST_FACE and all(np.hypot(x - a, y - b) > 0.5 * s for a, b, s in map(_box, kept)):
            kept.append(face)
    return kept


class _MeshTracker:
    """What both generations share: the search for small faces and a second, closer look at each."""

    _still = _clip = _close_clip = None

    def _build(self, still: bool):
        """mediapipe's graph for single pictures or for a clip."""
        raise TypeError("a tracker defines _build")

    def _open(self, still: bool):
        """A new graph, and what closes it: at the latest with this tracker, since mediapipe keeps one that is only dropped."""
        graph = self._build(still)
        close = weakref.finalize(self, graph.close)
        close.atexit = False
        return graph, close

    def start_clip(self) -> None:
        if self._close_clip is not None:
            self._close_clip()
        self._clip, self._close_clip = self._open(still=False)

    def _mesh(self, picture: np.ndarray) -> list[np.ndarray]:
        """Faces of one picture as a still, in pixels."""
        raise TypeError("a tracker defines _mesh")

    def _look(self, picture: np.ndarray, x: float, y: float, size: float) -> list[np.ndarray]:
        """Faces in the square of `size` round (x, y), looked at in WINDOW pixels."""
        import cv2

        k = WINDOW / size
        matrix = np.float32([[k, 0, WINDOW / 2 - k * x], [0, k, WINDOW / 2 - k * y]])
        flags = cv2.INTER_AREA if k < 1 else cv2.INTER_CUBIC
        view = cv2.warpAffine(picture, matrix, (WINDOW, WINDOW), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        if k < 0.7:  # warpAffine does not average: shrink first
            small = cv2.resize(picture, None, fx=k, fy=k, interpolation=cv2.INTER_AREA)
            matrix[:, :2] = np.eye(2)
            view = cv2.warpAffine(small, matrix, (WINDOW, WINDOW), borderMode=cv2.BORDER_REPLICATE)
        found = []
        for face in self._mesh(view):
            face = face / k
            face[:, :2] += [x - size / 2, y - size / 2]
            found.append(face.astype(np.float32))
        return found

    def still(self, picture: np.ndarray) -> list[np.ndarray]:
        height, width = picture.shape[:2]
        side = max(height, width)
        faces = self._look(picture, width / 2, height / 2, side)
        # smaller and smaller squares until faces turn up
        size = side / 2
        while not faces and size >= 160:
            steps_x, steps_y = (np.arange(size / 2, n + size / 4, size / 2) for n in (width, height))
            faces = [f for y in steps_y for x in steps_x for f in self._look(picture, x, y, size)]
            size /= 2
        closer = []
        for face in _distinct(faces):
            x, y, span = _box(face)
            again = _distinct(self._look(picture, x, y, 2.0 * span))
            closer.append(min(again, key=lambda f: np.hypot(*(_box(f)[:2] - [x, y]))) if again else face)
        return _distinct(closer)


class ClassicTracker(_MeshTracker):
    """mediapipe 0.10.x: the face mesh whose models come inside the wheel."""

    def _points(self, result, picture: np.ndarray) -> list[np.ndarray]:
        height, width = picture.shape[:2]
        faces = result.multi_face_landmarks or []
        return [
            np.array([[p.x * width, p.y * height, p.z * width] for p in face.landmark], np.float32) for face in faces
        ]

    def _build(self, still: bool):
        import mediapipe as mp

        return mp.solutions.face_mesh.FaceMesh(
            static_image_mode=still,
            refine_landmarks=True,
            max_num_faces=8 if still else 4,
            min_detection_confidence=0.3,
        )

    def _mesh(self, picture: np.ndarray) -> list[np.ndarray]:
        self._still = self._still or self._open(still=True)[0]
        return self._points(self._still.process(np.ascontiguousarray(picture)), picture)

    def frame(self, picture: np.ndarray) -> list[np.ndarray]:
        return self._points(self._clip.process(np.ascontiguousarray(picture)), picture)


class TaskTracker(_MeshTracker):
    """Newer mediapipe: the face landmarker task, whose model is a file."""

    def __init__(self, model: Path) -> None:
        self._model, self._time = model, 0

    def _build(self, still: bool):
        from mediapipe.tasks import python as tasks
        from mediapipe.tasks.python import vision

        mode = vision.RunningMode.IMAGE if still else vision.RunningMode.VIDEO
        options = vision.FaceLandmarkerOptions(
            base_options=tasks.BaseOptions(model_asset_path=str(self._model)), running_mode=mode,
            num_faces=8 if still else 4, min_face_detection_confidence=0.3,
        )  # fmt: skip
        return vision.FaceLandmarker.create_from_options(options)

    def _points(self, result, picture: np.ndarray) -> list[np.ndarray]:
        height, width = picture.shape[:2]
        return [
            np.array([[p.x * width, p.y * height, p.z * width] for p in face], np.float32)
            for face in result.face_landmarks
        ]

    def _picture(self, picture: np.ndarray):
        import mediapipe as mp

        return mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))

    def _mesh(self, picture: np.ndarray) -> list[np.ndarray]:
        self._still = self._still or self._open(still=True)[0]
        return self._points(self._still.detect(self._picture(picture)), picture)

    def start_clip(self) -> None:
        super().start_clip()
        self._time = 0

    def frame(self, picture: np.ndarray) -> list[np.ndarray]:
        self._time += 40  # the task only asks that time moves on
        return self._points(self._clip.detect_for_video(self._picture(picture), self._time), picture)
