"""Faces that ComfyUI's own landmark node has found already, as a FaceTracker."""

from __future__ import annotations

import numpy as np

from ..errors import InputError


class ConnectedTracker:
    """Gives out a FACE_LANDMARKS value of ComfyUI's core, frame by frame.

    landmarks: {"frames": for each picture a list of faces, "image_size": (height, width)}; a face has `landmarks_xy`
    [478, 2] in pixels and `landmarks_3d` [478, 3] in the unit of the landmark model, as ComfyUI's MediaPipe Face
    Landmarker gives them. Raises InputError for another shape, for pictures of another size, or when there are fewer
    frames than pictures.
    """

    def __init__(self, landmarks: dict) -> None:
        if not isinstance(landmarks, dict) or not isinstance(landmarks.get("frames"), list):
            raise InputError(
                "The connected landmarks hold no frames; connect the output of ComfyUI's face landmark node."
            )
        self._frames = [[_pixels(face) for face in faces] for faces in landmarks["frames"]]
        self._size = tuple(landmarks.get("image_size") or ())
        self._next = 0

    def still(self, picture: np.ndarray) -> list[np.ndarray]:
        """Faces of the frame given last, or of the first one."""
        return self._at(max(self._next - 1, 0), picture)

    def start_clip(self) -> None:
        self._next = 0

    def frame(self, picture: np.ndarray) -> list[np.ndarray]:
        self._next += 1
        return self._at(self._next - 1, picture)

    def _at(self, number: int, picture: np.ndarray) -> list[np.ndarray]:
        if self._size and picture.shape[:2] != self._size:
            (height, width), (high, wide) = self._size, picture.shape[:2]
            raise InputError(
                f"The connected landmarks were found in pictures of {width} × {height}, but these are {wide} × {high}; "
                "detect them on the same pictures."
            )
        if number >= len(self._frames):
            raise InputError(
                f"The connected landmarks have {len(self._frames)} frames, fewer than the pictures; "
                "detect them on the same pictures."
            )
        return list(self._frames[number])


def _pixels(face: dict) -> np.ndarray:
    """Landmarks [478, 3] in pixels: the depth, which comes in the model's unit, is scaled like x and y."""
    try:
        flat = np.asarray(face["landmarks_xy"], np.float32)
        solid = np.asarray(face["landmarks_3d"], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The connected landmarks lack {error}; update ComfyUI, or leave them unconnected.") from error
    if flat.shape != (478, 2) or solid.shape != (478, 3):
        raise InputError(
            f"The connected landmarks have {len(flat)} points instead of 478; use the full landmark model."
        )
    scale = np.sqrt(flat.var(0).sum() / max(solid[:, :2].var(0).sum(), 1e-9))
    return np.concatenate([flat, solid[:, 2:] * scale], 1)
