"""mediapipe as a FaceTracker, in either API generation."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import InputError
from .faces import MAX_FACES_CLIP
from .mesh_search import MeshTracker

MODEL_FILE = "face_landmarker.task"
MODEL_URL = (
    f"https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/latest/{MODEL_FILE}"
)
MAX_FACES = 8  # faces that mediapipe returns for a still
CONFIDENCE = 0.3  # of mediapipe's face detection, 0–1
TASK_FRAME_MS = 40  # mediapipe's face landmarker task requires timestamps that increase; their size has no effect


def mediapipe_tracker(model_folders: Sequence[Path] = ()) -> MeshTracker:
    """The face tracker of the installed mediapipe, whatever its release.

    Args:
        model_folders: folders that may hold face_landmarker.task, for mediapipe releases without the classic face mesh.

    Raises:
        InputError: mediapipe is one of those, and its model file is missing.
    """
    mediapipe = _mediapipe()
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


def _in_pixels(points: Any, image: np.ndarray) -> np.ndarray:
    """Landmarks [478, 3] of mediapipe's points, whose x and z count in image widths and y in heights."""
    height, width = image.shape[:2]
    return np.array([[p.x * width, p.y * height, p.z * width] for p in points], np.float32)


class ClassicTracker(MeshTracker):
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

    def _tracked(self, image: np.ndarray) -> list[np.ndarray]:
        return self._process(self._clip_graph, image)


class TaskTracker(MeshTracker):
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

    def _tracked(self, image: np.ndarray) -> list[np.ndarray]:
        self._time += TASK_FRAME_MS
        result = self._clip_graph.detect_for_video(self._image(image), self._time)
        return [_in_pixels(face, image) for face in result.face_landmarks]
