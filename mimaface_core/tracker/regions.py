"""The squares that the networks look at: of a whole face, and of its eyes and mouth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..morphable.bundled.face_mesh import (
    CHIN,
    FACE_POINTS,
    FOREHEAD_TOP,
    LEFT_EYE_OUTER,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP,
    RIGHT_EYE_OUTER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)

FACE_SIDE = 1.5  # side of a face's square, over the face's size
NOSE_TOP, NOSE_BASE = 168, 2  # bone, which no expression moves
NOSE_SHARE = 0.56  # length of the nose over the distance of the eyes' outer corners, of a mean face
FADE = 0.04  # of a region's side, in which its points cease to count at its border


class Square(NamedTuple):
    """A square in an image.

    Attributes:
        x, y: centre, pixels.
        side: pixels.
        roll: turn in degrees, anticlockwise as seen.
    """

    x: float
    y: float
    side: float
    roll: float

    def matrix(self, pixels: int) -> np.ndarray:
        """Matrix [2, 3], image pixels to those of the square, `pixels` wide, in which a face stands upright."""
        scale, angle = pixels / self.side, np.radians(self.roll)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        return np.hstack([turn, (pixels / 2 - turn @ [self.x, self.y])[:, None]])


class Region(NamedTuple):
    """A part of the face that is looked at more closely.

    Attributes:
        middle: landmarks whose mean is its centre.
        up: shift of the centre upwards, over the distance of the eyes' outer corners.
        side: of its square, likewise.
        reach: how far its landmarks lie from the centre, share of the side.
        flat: factor on vertical distances there.
    """

    middle: list[int]
    up: float
    side: float
    reach: float
    flat: float


RIGHT_EYE = Region(RIGHT_UPPER_LID + RIGHT_LOWER_LID, up=0.07, side=0.75, reach=0.46, flat=1.0)
LEFT_EYE = RIGHT_EYE._replace(middle=LEFT_UPPER_LID + LEFT_LOWER_LID)
MOUTH = Region(UPPER_LIP[0] + LOWER_LIP[0][1:-1], up=0.0, side=1.0, reach=0.42, flat=1.6)
REGIONS = {"right_eye": RIGHT_EYE, "left_eye": LEFT_EYE, "mouth": MOUTH}


def standing_roll(landmarks: np.ndarray) -> float:
    """Turn of a face in the image plane in degrees, anticlockwise as seen, of landmarks [478, 2 or 3].

    By the line between the eyes and the one from forehead to chin, each by its length: in profile the first is short.
    """
    eyes = landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2]
    down = landmarks[CHIN, :2] - landmarks[FOREHEAD_TOP, :2]
    x, y = eyes + [down[1], -down[0]]
    return float(np.degrees(np.arctan2(-y, x)))


def _standing(roll: float) -> np.ndarray:
    """Rotation [2, 2] of image axes (for column vectors) under which a face turned by `roll` degrees stands upright."""
    angle = np.radians(roll)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def face_square(landmarks: np.ndarray) -> Square:
    """The square of a whole face of landmarks [478, 2 or 3]."""
    roll = standing_roll(landmarks)
    turn = _standing(roll)
    upright = landmarks[:FACE_POINTS, :2] @ turn.T
    low, high = upright.min(0), upright.max(0)
    x, y = turn.T @ ((low + high) / 2)
    return Square(float(x), float(y), FACE_SIDE * float((high - low).max()), roll)


def eye_distance(landmarks: np.ndarray) -> float:
    """Distance of the eyes' outer corners as if seen from the front, of landmarks [478, 2 or 3]."""
    across = np.linalg.norm(landmarks[LEFT_EYE_OUTER, :2] - landmarks[RIGHT_EYE_OUTER, :2])
    along = np.linalg.norm(landmarks[NOSE_BASE, :2] - landmarks[NOSE_TOP, :2]) / NOSE_SHARE
    return max(float(across), float(along), 1.0)


def region_square(landmarks: np.ndarray, region: Region) -> Square:
    """The square of a region of a face of landmarks [478, 2 or 3]."""
    roll, size = standing_roll(landmarks), eye_distance(landmarks)
    up = _standing(roll).T @ [0.0, -region.up * size]
    x, y = landmarks[region.middle, :2].mean(0) + up
    return Square(float(x), float(y), region.side * size, roll)


def region_points(mean: np.ndarray, region: Region, more: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The landmarks of a region, and how much its network's word counts.

    Args:
        mean: a mean face [478, 3] from the front.
        region: the region.
        more: landmarks that belong to it wherever they are: the iris of an eye.

    Returns:
        Indices [P], and shares [P] in 0–1, which fall towards the border.
    """
    square = region_square(mean, region)
    away = (np.abs(mean[:, :2] - [square.x, square.y]) * [1, region.flat]).max(1) / square.side
    away[FACE_POINTS:] = np.inf
    away[more] = 0
    points = np.flatnonzero(away < region.reach)
    share = np.clip((region.reach - away[points]) / FADE, 0, 1)
    return points, share * share * (3 - 2 * share)
