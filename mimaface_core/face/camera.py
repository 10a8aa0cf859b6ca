"""Camera motion, from the picture around a person: what zooms, pans and shakes behind a head is no movement of it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .crop import to_uint8_array

WORKING_SIZE = 360  # longer side of the frames in which points are followed, pixels
CORNERS = 300  # points that are followed at most
LEAST_CORNERS = 24  # fewer tell nothing
LEAST_SPREAD = 0.2  # standard deviation of the points over the frame's longer side; nearer ones cannot tell a zoom
LEAST_SHARE = 0.6  # of the points that must be found again
LEAST_AGREEING = 0.8  # of those that must move as one
STILL = 0.4  # pixels of the working size, mean shift of points of a camera that stands
REPROJECTION = 1.5  # pixels, error of a point that moves with the others
NEW_KEY_SHARE = 0.8  # of a key frame's points; when fewer are still seen, a new key frame is taken
HEAD_SIDES, HEAD_ABOVE = 0.35, 0.5  # margins about the face's box, of its sides, that hold head and hair
BODY_SIDES, SHOULDERS = 1.0, 0.7  # and those of the body, which begins that far down the face


class CameraMotion:
    """How the camera has moved since a shot's first frame, as similarities of the image.

    Corners outside the person are followed from a key frame by optical flow (Lucas and Kanade 1981) and fitted by a
    similarity (RANSAC). Without OpenCV, before a plain background, and where the surroundings do not move as one, the
    camera counts as standing.
    """

    def __init__(self) -> None:
        self._key: np.ndarray | None = None
        self._points: Any = np.zeros((0, 1, 2), np.float32)  # OpenCV's types are narrower than what it takes
        self._to_first = np.eye(3)  # from the key frame's pixels, working size
        self._last = np.eye(3)
        self._usable = find_spec("cv2") is not None

    def add(self, frame: Tensor, landmarks: Tensor) -> Tensor:
        """Map [2, 3] from pixels of this frame to those of the first one.

        Args:
            frame: [H, W, 3], uint8 or float in 0–1.
            landmarks: [478, 2 or 3] in its pixels.
        """
        if not self._usable:
            return torch.eye(2, 3)
        grey, scale = _working(frame)
        outside = _surroundings(grey.shape, landmarks.numpy()[:, :2] * scale)
        if self._key is None:
            self._set_key(grey, outside, np.eye(3))
            return torch.eye(2, 3)
        moved, share = self._moved(grey, outside)
        if moved is not None:
            self._last = self._to_first @ moved
        if moved is None or share < NEW_KEY_SHARE:
            self._set_key(grey, outside, self._last)
        resized = np.diag([scale, scale, 1.0])
        whole = np.linalg.inv(resized) @ self._last @ resized
        return torch.from_numpy(whole[:2]).float()

    def _set_key(self, grey: np.ndarray, outside: np.ndarray, to_first: np.ndarray) -> None:
        import cv2

        corners = cv2.goodFeaturesToTrack(grey, CORNERS, 0.003, 4, mask=outside)
        self._key, self._to_first = grey, to_first
        self._points = np.zeros((0, 1, 2), np.float32) if corners is None else corners

    def _moved(self, grey: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray | None, float]:
        """Similarity [3, 3] from this frame to the key frame, if it can be told, and the share of points still seen."""
        import cv2

        if len(self._points) < LEAST_CORNERS or self._key is None:
            return None, 0.0
        flow: Any = cv2.calcOpticalFlowPyrLK
        there, found, _ = flow(self._key, grey, self._points, None)
        inside = np.clip(there[:, 0].round().astype(int), 0, [grey.shape[1] - 1, grey.shape[0] - 1])
        seen = found.ravel().astype(bool) & (outside[inside[:, 1], inside[:, 0]] > 0)
        if found.mean() < LEAST_SHARE or not self._tells(seen, grey):
            return None, 0.0
        shift = np.linalg.norm((there - self._points)[:, 0], axis=1)
        if np.median(shift[seen]) < STILL:
            return np.eye(3), float(seen.mean())
        back, returned, _ = flow(grey, self._key, there, None)
        again = (found & returned).ravel().astype(bool) & (np.abs(back - self._points).max((1, 2)) < 1)
        kept = again & seen
        if again.mean() < LEAST_SHARE or not self._tells(kept, grey):
            return None, 0.0
        share = float(kept.mean())
        key, now = self._points[kept][:, 0], there[kept][:, 0]
        matrix, agreeing = cv2.estimateAffinePartial2D(now, key, ransacReprojThreshold=REPROJECTION)
        if matrix is None or agreeing.mean() < LEAST_AGREEING:
            return None, share
        return np.vstack([matrix, [0, 0, 1]]), share

    def _tells(self, seen: np.ndarray, grey: np.ndarray) -> bool:
        """Whether the points that are seen [N] are enough, and lie far enough apart."""
        key = self._points[seen][:, 0]
        return len(key) >= LEAST_CORNERS and key.std(0).max() >= LEAST_SPREAD * max(grey.shape)


def _working(frame: Tensor) -> tuple[np.ndarray, float]:
    """The frame in grey at the working size, and its scale."""
    import cv2

    image = to_uint8_array(frame)
    scale = min(1.0, WORKING_SIZE / max(image.shape[:2]))
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), scale


def _surroundings(size: tuple[int, ...], landmarks: np.ndarray) -> np.ndarray:
    """Mask uint8 [h, w]: 255 outside the person whose face has these landmarks."""
    mask = np.full(size, 255, np.uint8)
    (left, top), (right, bottom) = landmarks.min(0), landmarks.max(0)
    width, height = right - left, bottom - top
    for sides, above in ((HEAD_SIDES, HEAD_ABOVE), (BODY_SIDES, -SHOULDERS)):
        x0, x1 = (max(0, int(x)) for x in (left - sides * width, right + sides * width))
        mask[max(0, int(top - above * height)) :, x0:x1] = 0
    return mask
