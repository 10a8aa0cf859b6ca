"""Landmark indices of the 468-point face mesh (478 with the irises), by name.

Indices are those of mediapipe's public face-mesh topology. "right" and "left" are the subject's own, and pairs name
the right side first.
"""

from __future__ import annotations

from typing import NamedTuple

FACE_POINTS = 468  # vertices of the face mesh
IRIS_POINTS = 5  # landmarks of one iris: its centre and four on its rim
LANDMARK_COUNT = FACE_POINTS + 2 * IRIS_POINTS  # of a tracked face

# -- single landmarks

RIGHT_EYE_OUTER, RIGHT_EYE_INNER = 33, 133  # corners of the eyes
LEFT_EYE_OUTER, LEFT_EYE_INNER = 263, 362
EYE_CORNERS = [[RIGHT_EYE_OUTER, RIGHT_EYE_INNER], [LEFT_EYE_OUTER, LEFT_EYE_INNER]]
OUTER_EYE_CORNERS = [RIGHT_EYE_OUTER, LEFT_EYE_OUTER]

RIGHT_UPPER_LID_MIDDLE, RIGHT_LOWER_LID_MIDDLE = 159, 145
LEFT_UPPER_LID_MIDDLE, LEFT_LOWER_LID_MIDDLE = 386, 374
LID_MIDDLES = [(RIGHT_UPPER_LID_MIDDLE, RIGHT_LOWER_LID_MIDDLE), (LEFT_UPPER_LID_MIDDLE, LEFT_LOWER_LID_MIDDLE)]

RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE = 468, 473
IRIS_CENTRES = [RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE]

RIGHT_BROW_MIDDLE, LEFT_BROW_MIDDLE = 105, 334  # on the upper edges
BETWEEN_BROWS = 9
FOREHEAD_TOP, CHIN = 10, 152  # highest and lowest landmark of the outline
CHIN_FRONT = 200  # between chin and lower lip
NOSE_TIP = 4  # the foremost landmark
NOSE_TIP_LOWER = 1  # the one below, mediapipe's "nose tip"
RIGHT_CHEEK, LEFT_CHEEK = 50, 280
RIGHT_TRAGION, LEFT_TRAGION = 234, 454  # where the outline passes the ears: its widest place

RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER = 61, 291  # of the outer lips
MOUTH_CORNERS = [RIGHT_MOUTH_CORNER, LEFT_MOUTH_CORNER]
RIGHT_INNER_LIP_CORNER, LEFT_INNER_LIP_CORNER = 78, 308
UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE = 13, 14  # of the inner lips
LIP_MIDDLES = [UPPER_LIP_MIDDLE, LOWER_LIP_MIDDLE]

# -- lines of landmarks

OUTER_UPPER_LIP = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
OUTER_LOWER_LIP = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]
INNER_UPPER_LIP = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
INNER_LOWER_LIP = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
# lines along the red of the lips, from the outline inwards, corner to corner
UPPER_LIP = [
    OUTER_UPPER_LIP,
    [76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306],
    [62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292],
    INNER_UPPER_LIP,
]
LOWER_LIP = [
    OUTER_LOWER_LIP,
    [76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306],
    [62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292],
    INNER_LOWER_LIP,
]
UPPER_LIP_POINTS = [point for line in UPPER_LIP for point in line]
LOWER_LIP_POINTS = [point for line in LOWER_LIP for point in line]
# lid edges from the outer to the inner corner
RIGHT_UPPER_LID = [33, 246, 161, 160, 159, 158, 157, 173, 133]
RIGHT_LOWER_LID = [33, 7, 163, 144, 145, 153, 154, 155, 133]
LEFT_UPPER_LID = [263, 466, 388, 387, 386, 385, 384, 398, 362]
LEFT_LOWER_LID = [263, 249, 390, 373, 374, 380, 381, 382, 362]
RIGHT_BROW = [70, 63, 105, 66, 107, 46, 53, 52, 65, 55]  # upper edge, then lower edge, outside to inside
LEFT_BROW = [300, 293, 334, 296, 336, 276, 283, 282, 295, 285]
# iris centre, then the rim's rightmost, top, leftmost and bottom point in the image, in the tracker's order
RIGHT_IRIS = [468, 469, 470, 471, 472]
LEFT_IRIS = [473, 474, 475, 476, 477]


class EyeLandmarks(NamedTuple):
    """Landmarks of one eye.

    Attributes:
        upper_lid, lower_lid: edges of the lids, from the outer to the inner corner.
        brow_edge: lower edge of the brow, from outside to inside.
        iris: its centre, then four points of its rim.
    """

    upper_lid: list[int]
    lower_lid: list[int]
    brow_edge: list[int]
    iris: list[int]


# keys as the eyes are called among the parts of the bundled face
EYE_LANDMARKS = {
    "right_eye": EyeLandmarks(RIGHT_UPPER_LID, RIGHT_LOWER_LID, RIGHT_BROW[5:], RIGHT_IRIS),
    "left_eye": EyeLandmarks(LEFT_UPPER_LID, LEFT_LOWER_LID, LEFT_BROW[5:], LEFT_IRIS),
}
# outline of the face: from the top of the forehead along the subject's left to the chin and back on the right
OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip

# the 68 landmarks of the iBUG scheme: jaw, brows, nose, eyes, outer lips, inner lips
IBUG_LANDMARKS = [
    127, 234, 93, 132, 58, 172, 136, 149, 152, 378, 365, 397, 288, 361, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 75, 97, 2, 326, 305,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 40, 37, 0, 267, 270, 291, 321, 314, 17, 84, 91, 78, 81, 13, 311, 308, 402, 14, 178,
]  # fmt: skip

# -- groups whose weight in the pose is alike, see face/fit.py

FOREHEAD_OUTLINE = OVAL[:5] + OVAL[-4:]
CHIN_OUTLINE = OVAL[16:21]
EAR_OUTLINE = [RIGHT_TRAGION, 127, LEFT_TRAGION, 356]  # the tragions and the landmarks above them
NOSE_RIDGE = [168, 6, 197, 195, 5, NOSE_TIP, NOSE_TIP_LOWER]
GLABELLA = [8, BETWEEN_BROWS, 151]
CHIN_MIDLINE = [175, 199, CHIN_FRONT]
