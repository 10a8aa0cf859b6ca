"""Which of an image's faces count: whole ones, each once, not too small."""

from __future__ import annotations

import numpy as np

from ..tracker.face import Face

MIN_FACE_SIZE = 24  # pixels: smaller faces show nothing that could be measured
MAX_FACES_CLIP = 4  # faces that a tracker follows through a clip
MOST_OUTSIDE = 0.2  # of a face's landmarks that may lie outside the image
DUPLICATE_DISTANCE = 0.5  # a face whose centre lies nearer to that of a larger one, over its size, is the same face


def bounding_square(landmarks: np.ndarray) -> np.ndarray:
    """Centre x, centre y and larger side [3] of the bounding box of landmarks [V, 2 or 3]."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    return np.array([*(low + high) / 2, (high - low).max()])


def share_outside(face: np.ndarray, image: np.ndarray) -> float:
    """Share of the landmarks [478, 3] of a face that lie outside its image [H, W, 3]."""
    height, width = image.shape[:2]
    return float(((face[:, :2] < 0) | (face[:, :2] > [width, height])).any(1).mean())


def whole_faces(faces: list[Face], image: np.ndarray) -> list[Face]:
    """Those of the faces that lie in their image [H, W, 3], but for a small part."""
    return [face for face in faces if share_outside(face.landmarks, image) <= MOST_OUTSIDE]


def distinct_faces(faces: list[Face]) -> list[Face]:
    """Faces largest first, without those that lie on a larger one and those that are too small."""
    result: list[Face] = []
    for face in sorted(faces, key=lambda f: -bounding_square(f.landmarks)[2]):
        x, y, size = bounding_square(face.landmarks)
        larger = [bounding_square(other.landmarks) for other in result]
        if size >= MIN_FACE_SIZE and all(np.hypot(x - a, y - b) > DUPLICATE_DISTANCE * s for a, b, s in larger):
            result.append(face)
    return result
