"""Slip: how a tracker's landmarks slide over the skin as eyes turn and mouths open, told by optical flow.

A tracker's network sees the whole face, so that a glance aside takes the nose along by a few pixels. Motion that
carries such slip shows it twice: as movement of the drawn head, and again when that is tracked.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..morphable.bundled.face_mesh import (
    EAR_OUTLINE,
    EYE_CORNERS,
    FACE_POINTS,
    FOREHEAD_OUTLINE,
    GLABELLA,
    IRIS_POINTS,
    NOSE_RIDGE,
    OUTER_EYE_CORNERS,
)
from ..tracker.regions import Square
from .crop import to_uint8_array
from .occlusion import CHEEKS, FOREHEAD
from .upright import roll_of

WORKING_SIZE = 256  # side of the square in which the skin is followed, pixels
EYE_DISTANCE = 72  # of the outer corners there
LIGHT_SIZE = 64  # of the square in which light is told from skin: small, since it is blurred
WINDOW = 21  # side of the patch that is followed about each anchor, pixels
# Landmarks whose skin is followed: they lie on bone or cheek, away from irises, lids, lips and collar.
ANCHORS = sorted({*FOREHEAD_OUTLINE, *EAR_OUTLINE, *GLABELLA, *NOSE_RIDGE, *FOREHEAD, *CHEEKS})
ALIKE = (0.3, 0.7)  # correlation of two patches from which, and from which on fully, they are the same skin
RETURN = 0.5  # pixels by which a point may miss its start when it is followed back
MOST = 0.06  # slip that is believed, over the distance of the eyes
AGREE = 0.02  # and its departure from what the anchors around it say
REACH = 0.3  # over which an anchor tells of the landmarks around it, likewise
INERTIA = 0.5  # weight of the last frame's slip, over that of an anchor at its own place
# Mean shift of the anchors in the square, likewise, up to which slip is taken back fully, and from which on not at all:
# heads turned by 5° and 15°. Turned farther, the skin looks otherwise, and flow falls short of it.
TURNED = (0.03, 0.065)


class _View(NamedTuple):
    """A frame from which the skin is followed."""

    picture: np.ndarray  # [WORKING_SIZE, WORKING_SIZE], grey
    tracked: np.ndarray  # anchors [A, 2], pixels of the square, as the tracker has them


class Slip:
    """Holds the landmarks of one shot to the skin, frame by frame.

    Points on bone and cheeks are followed by optical flow (Lucas and Kanade 1981) from the shot's first frame. What the
    flow says beyond the tracker is spread over the landmarks around, as long as the head looks about where it looked
    there. Without OpenCV landmarks stay as they are.
    """

    def __init__(self) -> None:
        self._first: _View | None = None
        self._last = np.zeros((FACE_POINTS, 2))  # slip of the last frame's landmarks, pixels of the square
        self._usable = find_spec("cv2") is not None

    def add(self, frame: Tensor, landmarks: Tensor) -> Tensor:
        """The next frame's landmarks, where the skin is.

        Args:
            frame: [H, W, 3], uint8 or float in 0–1.
            landmarks: [478, 2 or 3] in its pixels; irises keep their place in the eyes.

        Returns:
            The landmarks, in the shape they came in.
        """
        if not self._usable:
            return landmarks
        points = landmarks.numpy()[:, :2].astype(np.float64)
        to_square = _square(points)
        picture = _picture(frame, to_square)
        tracked = _moved(to_square, points[ANCHORS]).astype(np.float32)
        if self._first is None:
            self._first = _View(picture, tracked)
            return landmarks
        slip, weight = _followed(self._first, picture, tracked)
        self._last = self._spread(_moved(to_square, points[:FACE_POINTS]), tracked, slip, weight)
        shift = np.linalg.norm(self._first.tracked - tracked, axis=1).mean() / EYE_DISTANCE
        share = np.clip((TURNED[1] - shift) / (TURNED[1] - TURNED[0]), 0, 1)
        taken = share * self._last @ np.linalg.inv(to_square[:, :2]).T
        eyes = [np.repeat(taken[corners].mean(0, keepdims=True), IRIS_POINTS, 0) for corners in EYE_CORNERS]
        moved = landmarks.clone()
        moved[:, :2] += torch.from_numpy(np.concatenate([taken, *eyes])).to(landmarks)
        return moved

    def _spread(self, points: np.ndarray, anchors: np.ndarray, slip: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The slip of all landmarks [468, 2], from that of the anchors [A, 2], of which some are known better."""
        distance = np.linalg.norm(points[:, None] - anchors[None], axis=-1)
        near = np.exp(-((distance / (REACH * EYE_DISTANCE)) ** 2)) * weight
        return (near @ slip + INERTIA * self._last) / (near.sum(1, keepdims=True) + INERTIA)


def _square(points: np.ndarray) -> np.ndarray:
    """Map [2, 3] from a frame's pixels to the square: the eyes lie level, the face in its middle."""
    right, left = points[OUTER_EYE_CORNERS]
    side = WORKING_SIZE / EYE_DISTANCE * max(float(np.linalg.norm(left - right)), 1e-3)
    x, y = points[ANCHORS].mean(0)
    return Square(x, y, side, roll_of(points)).matrix(WORKING_SIZE)


def _picture(frame: Tensor, to_square: np.ndarray) -> np.ndarray:
    """The square of a frame in grey, in even light."""
    import cv2

    image = cv2.cvtColor(to_uint8_array(frame), cv2.COLOR_RGB2GRAY)
    scale = float(np.sqrt(abs(np.linalg.det(to_square[:, :2]))))
    if scale < 0.7:  # averaged before it shrinks
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        to_square = to_square @ np.diag([1 / scale, 1 / scale, 1.0])
    grey = cv2.warpAffine(image, to_square, (WORKING_SIZE, WORKING_SIZE), borderMode=cv2.BORDER_REPLICATE)
    light = cv2.resize(grey.astype(np.float32), (LIGHT_SIZE, LIGHT_SIZE), interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(light, (0, 0), WINDOW * LIGHT_SIZE / WORKING_SIZE)
    light = cv2.resize(light, (WORKING_SIZE, WORKING_SIZE), interpolation=cv2.INTER_LINEAR)
    return np.clip(grey / np.maximum(light, 8) * 100, 0, 255).astype(np.uint8)


def _moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


def _followed(view: _View, picture: np.ndarray, tracked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slip of the anchors [A, 2] in pixels of the square, and how far each is to be believed [A], 0–1."""
    import cv2

    flow: Any = cv2.calcOpticalFlowPyrLK
    skin = view.tracked
    options = {"winSize": (WINDOW, WINDOW), "maxLevel": 1, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    there, found, _ = flow(view.picture, picture, skin[:, None], tracked[:, None].copy(), **options)
    back, returned, _ = flow(picture, view.picture, there, skin[:, None].copy(), **options)
    missed = np.linalg.norm(back[:, 0] - skin, axis=1)
    slip = (there[:, 0] - tracked).astype(np.float64)
    weight = (found & returned).ravel() * np.clip(2 * (1 - missed / RETURN), 0, 1)
    alike = _correlations(_patches(view.picture, skin), _patches(picture, there[:, 0]))
    weight *= np.clip((alike - ALIKE[0]) / (ALIKE[1] - ALIKE[0]), 0, 1)
    weight *= np.linalg.norm(slip, axis=1) < MOST * EYE_DISTANCE
    near = np.exp(-((np.linalg.norm(tracked[:, None] - tracked[None], axis=-1) / (2 * REACH * EYE_DISTANCE)) ** 2))
    around = _medians(slip, near * weight)
    return slip, weight * (np.linalg.norm(slip - around, axis=1) < AGREE * EYE_DISTANCE)


def _patches(picture: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The patches [A, WINDOW²] about centres [A, 2]."""
    import cv2

    size = (WINDOW, WINDOW)
    cut = [cv2.getRectSubPix(picture, size, (float(x), float(y)), patchType=cv2.CV_32F) for x, y in centres]
    return np.stack(cut).reshape(len(centres), -1)


def _correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's correlation of each row of a with that of b; 0 where one is plain."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.where(size > 1e-6, (a * b).sum(1) / np.maximum(size, 1e-6), 0)


def _medians(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted medians [A, 2] of values [A, 2], for each row of weights [A, A]."""
    medians = []
    for axis in range(values.shape[1]):
        order = np.argsort(values[:, axis])
        running = weights[:, order].cumsum(1)
        index = (running >= running[:, -1:] / 2).argmax(1)
        medians.append(values[order[index], axis])
    return np.stack(medians, 1)
