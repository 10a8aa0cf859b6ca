"""Landmark numbers of mediapipe's face mesh by name. "right" and "left" are the subject's own."""

from __future__ import annotations

from typing import NamedTuple

from ...morphable.bundled.face_mesh import (
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    OUTER_UPPER_LIP,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
)


class Eye(NamedTuple):
    """Landmarks of one eye.

    Attributes:
        corners: outer and inner corner in the order of the image, its left one first.
        lids: three pairs of upper and lower lid, the middle of the eye in the second one.
        iris: centre of the iris.
    """

    corners: tuple[int, int]
    lids: tuple[tuple[int, int], ...]
    iris: int


RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = RIGHT_IRIS[0], LEFT_IRIS[0]
RIGHT_EYE = Eye(
    (RIGHT_UPPER_LID[0], RIGHT_UPPER_LID[-1]),
    tuple(zip(RIGHT_UPPER_LID[3:6], RIGHT_LOWER_LID[3:6], strict=True)),
    RIGHT_IRIS_CENTRE,
)
LEFT_EYE = Eye(
    (LEFT_UPPER_LID[-1], LEFT_UPPER_LID[0]),
    tuple(zip(LEFT_UPPER_LID[5:2:-1], LEFT_LOWER_LID[5:2:-1], strict=True)),
    LEFT_IRIS_CENTRE,
)
OUTER_EYE_CORNERS = (RIGHT_EYE.corners[0], LEFT_EYE.corners[1])  # about 90 mm apart in an adult
INNER_LIPS = tuple(zip(INNER_UPPER_LIP[4:7], INNER_LOWER_LIP[4:7], strict=True))  # the middle of the mouth
MOUTH_CORNERS = (OUTER_UPPER_LIP[0], OUTER_UPPER_LIP[-1])
NOSE_TIP = 1
BROWS_AND_LIDS = ((105, 159), (334, 386))  # brow and upper lid of the right, of the left eye
# Points on bone, which the jaw, the lips and the brows do not move.
EYE_CORNERS = (*RIGHT_EYE.corners, *LEFT_EYE.corners)
NOSE_BRIDGE = (168, 6, 197, 195, 5, 8, 9)
FOREHEAD = (151, 10, 67, 297, 109, 338)
TEMPLES = (127, 356, 234, 454)
BONE = (*EYE_CORNERS, *NOSE_BRIDGE, *FOREHEAD, *TEMPLES)
