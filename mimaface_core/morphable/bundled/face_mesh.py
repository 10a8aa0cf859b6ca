"""The 468-point face mesh (478 with the irises): which points are lips, lids, brows and outline.

Point numbers are those of the public face-mesh topology. "right" and "left" are the subject's own.
"""

OUTER_UPPER_LIP = [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291]
OUTER_LOWER_LIP = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291]
INNER_UPPER_LIP = [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308]
INNER_LOWER_LIP = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308]
# the rings of the red of the lips, from the outline inwards, corner to corner
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
# lid edges from the outer to the inner corner
RIGHT_UPPER_LID = [33, 246, 161, 160, 159, 158, 157, 173, 133]
RIGHT_LOWER_LID = [33, 7, 163, 144, 145, 153, 154, 155, 133]
LEFT_UPPER_LID = [263, 466, 388, 387, 386, 385, 384, 398, 362]
LEFT_LOWER_LID = [263, 249, 390, 373, 374, 380, 381, 382, 362]
RIGHT_BROW = [70, 63, 105, 66, 107, 46, 53, 52, 65, 55]  # upper edge, then lower edge, outside to inside
LEFT_BROW = [300, 293, 334, 296, 336, 276, 283, 282, 295, 285]
# iris centre, then its rightmost, top, leftmost, bottom point in the picture's order of the tracker
RIGHT_IRIS = [468, 469, 470, 471, 472]
LEFT_IRIS = [473, 474, 475, 476, 477]
OVAL = [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
        152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109]  # fmt: skip
