"""Which way up a face is: mediapipe's mesh finds upright faces even in faces that stand on their head."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np

from ..morphable.bundled.face_mesh import LEFT_EYE_OUTER, RIGHT_EYE_OUTER

WINDOW = 256  # pixels, side of the window that is judged
UPRIGHT = 30.0  # degrees: faces turned by less are taken as they are
LEAD = 0.01  # by which another quarter turn must be likelier than the mesh's own
LEAST_SCORE = 0.1  # below it mediapipe gives none


def roll_of(landmarks: np.ndarray) -> float:
    """Turn of a face in the image plane in degrees, anticlockwise as seen, from its landmarks [478, 2 or 3]."""
    x, y = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    return float(np.degrees(np.arctan2(-y, x)))


def turned_back(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [V, 3] of a window in image pixels, the depth scaled likewise."""
    inverse = np.linalg.inv(matrix[:, :2])
    flat = (points[:, :2] - matrix[:, 2]) @ inverse.T
    depth = points[:, 2:] * np.sqrt(np.linalg.det(inverse))
    return np.hstack([flat, depth]).astype(np.float32)


class FaceScorer:
    """How much like an upright face a picture is, by mediapipe's face detector (BlazeFace).

    Newer releases of mediapipe bring no such detector; then every picture is as likely as any other.
    """

    def __init__(self) -> None:
        import mediapipe as mp

        self._detector: Any = None
        if hasattr(mp, "solutions"):
            self._detector = mp.solutions.face_detection.FaceDetection(
                model_selection=0, min_detection_confidence=LEAST_SCORE
            )
            weakref.finalize(self, self._detector.close).atexit = False  # mediapipe leaks what is not closed

    def __call__(self, window: np.ndarray) -> float:
        """Score in 0–1 of the likeliest face of a window uint8 [S, S, 3]; 1 where there is no detector."""
        if self._detector is None:
            return 1.0
        detections = self._detector.process(np.ascontiguousarray(window)).detections or []
        return max((float(detection.score[0]) for detection in detections), default=0.0)

    def quarter_turns(self, window: np.ndarray) -> tuple[int, float]:
        """Quarter turns clockwise after which a window shows an upright face, and the score of that one.

        The window as it is (0) is preferred where none is clearly likelier.
        """
        scores = [self(np.rot90(window, -turns)) for turns in range(4)]
        best = int(np.argmax(scores))
        return (best, scores[best]) if scores[best] > scores[0] + LEAD else (0, scores[0])
