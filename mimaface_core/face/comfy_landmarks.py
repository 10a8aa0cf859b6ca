"""Adapter: ComfyUI's FACE_LANDMARKS value as a FaceTracker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..morphable.bundled.face_mesh import LANDMARK_COUNT
from ..tracker.face import Face


class ConnectedTracker:
    """FaceTracker over the landmarks that ComfyUI's own landmark node has found, frame by frame.

    Args:
        landmarks: as ComfyUI's MediaPipe Face Landmarker returns them: `frames`, for each image a list of faces, and
            `image_size`, (height, width). A face has `landmarks_xy` [478, 2] in pixels and `landmarks_3d` [478, 3] in
            the unit of the landmark model.

    Raises:
        InputError: the value has another structure.
    """

    def __init__(self, landmarks: dict[str, Any]) -> None:
        if not isinstance(landmarks, dict) or not isinstance(landmarks.get("frames"), list):
            raise InputError(
                "The connected landmarks hold no frames; connect the output of ComfyUI's face landmark node."
            )
        self._frames = [[Face(_pixels(face)) for face in faces] for faces in landmarks["frames"]]
        self._size = tuple(landmarks.get("image_size") or ())
        self._next = 0

    def still(self, image: np.ndarray) -> list[Face]:
        """Faces of the last frame that `frame` returned, or of the first one; see `frame` for errors."""
        return self._at(max(self._next - 1, 0), image)

    def start_clip(self) -> None:
        """Start again at the first frame."""
        self._next = 0

    def prepare(self, images: Sequence[np.ndarray]) -> None:
        """Nothing: each frame is looked at when it comes."""

    def frame(self, image: np.ndarray) -> list[Face]:
        """Faces of the next frame.

        Args:
            image: uint8 [H, W, 3]; only its size is used.

        Raises:
            InputError: the landmarks are of images of another size, or of fewer frames.
        """
        self._next += 1
        return self._at(self._next - 1, image)

    def _at(self, number: int, image: np.ndarray) -> list[Face]:
        if self._size and image.shape[:2] != self._size:
            (height, width), (image_height, image_width) = self._size, image.shape[:2]
            raise InputError(
                f"The connected landmarks were found in images of {width} × {height}, but these are "
                f"{image_width} × {image_height}; detect them on the same images."
            )
        if number >= len(self._frames):
            raise InputError(
                f"The connected landmarks have {len(self._frames)} frames, fewer than the images; "
                "detect them on the same images."
            )
        return list(self._frames[number])


def _pixels(face: dict[str, Any]) -> np.ndarray:
    """Landmarks [478, 3] in pixels: the depth, which comes in the model's unit, is scaled like x and y."""
    try:
        flat = np.asarray(face["landmarks_xy"], np.float32)
        solid = np.asarray(face["landmarks_3d"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The connected landmarks lack {error}; update ComfyUI, or leave them unconnected.") from error
    if flat.shape != (LANDMARK_COUNT, 2) or solid.shape != (LANDMARK_COUNT, 3):
        raise InputError(
            f"The connected landmarks have {len(flat)} points instead of {LANDMARK_COUNT}; use the full landmark model."
        )
    scale = np.sqrt(flat.var(0).sum() / max(solid[:, :2].var(0).sum(), 1e-9))
    return np.concatenate([flat, solid[:, 2:] * scale], 1)
