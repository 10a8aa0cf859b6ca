"""Displacement fields of the 64 blendshapes on the 468-point mesh.

Sided blendshapes are defined for the subject's right; the left ones are their mirror images. Units: 100 mm; x to the
subject's left (the image's right), y up, z to the viewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .blendshapes import BLENDSHAPES
from .face_mesh import (
    BETWEEN_BROWS,
    CHIN,
    CHIN_FRONT,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LIP_MIDDLE,
    LOWER_LIP_POINTS,
    OVAL,
    RIGHT_BROW,
    RIGHT_CHEEK,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_MIDDLE,
    UPPER_LIP_POINTS,
)

JAW_AXIS = np.array([0.0, -0.05, 0.15])  # the hinge, just before the ears
JAW_OPEN_ANGLE = 0.28  # radians at coefficient 1
JAW_SIDE = (0.10, 0.0, 0.0)
JAW_FORWARD = (0.0, 0.0, 0.08)

# centres of the regions that blendshapes move
NOSE_BASE_POINTS = [2, 94, 97, 326, 19]  # between nostrils and lip
CHIN_POINTS = [CHIN, 175, 199, CHIN_FRONT]
BROW_CENTRE_POINTS = [BETWEEN_BROWS, 8, 107, 336]
RIGHT_BROW_POINTS = {"inner": [107, 55, 66, 65], "mid": [105, 52, 66, 65], "outer": [70, 46, 63, 53]}
RIGHT_SQUINT_POINTS = [230, 229, 231, 119, 118]
RIGHT_NOSE_WING_POINTS = [198, 49, 129, 217]
RIGHT_NOSTRIL_POINTS = [64, 98, 102, 48]
RIGHT_CHEEK_PUFF_POINTS = [207, 187, 214]
RIGHT_CHEEK_RAISE_POINTS = [RIGHT_CHEEK, 101, 205]
RIGHT_SMILE_POINTS = [57, 186, 216]  # beside the corner of the mouth
RIGHT_LID_FOLD_POINTS = [28, 27, 29, 56, 221, 222, 223, 224]

Fields = dict[str, np.ndarray]  # name of a blendshape → displacements [468, 3]


def expression_basis(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Displacement fields of all blendshapes on a mean face.

    Args:
        points: [468, 3], the mean face, in units of 100 mm.
        mirror: long [468], each vertex's partner on the other side.

    Returns:
        [468, 3, 64], in the order of BLENDSHAPES.
    """
    mouth = _Mouth.of(points)
    by_name = _central(points, mouth) | _right_mouth(points, mouth) | _right_eye(points) | _right_cheek(points)
    fields: list[np.ndarray] = []
    for name in BLENDSHAPES:
        fields.append(fields[-1][mirror] * [-1, 1, 1] if name.endswith("_left") else by_name[name])
    basis = np.stack(fields, -1)
    basis[OVAL[:3] + OVAL[-2:]] *= 0.5  # the top of the outline joins the rings of the head
    return basis


def jaw_opening(points: np.ndarray) -> np.ndarray:
    """Velocity [V, 3] of points [V, 3] as the jaw turns about its axis, a radian."""
    arm = points - JAW_AXIS
    return np.stack([0 * arm[:, 0], -arm[:, 2], arm[:, 1]], 1)


# -- weights of regions


def _smoothstep(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _near(points: np.ndarray, centres: list[int], sigma: float) -> np.ndarray:
    """Gaussian falloff [V] with the distance to the nearest of the points `centres`."""
    squared = ((points[:, None] - points[centres][None]) / sigma) ** 2
    return np.exp(-squared.sum(-1).min(1) / 2)


def _strip(points: np.ndarray, x: float, sigma: float) -> np.ndarray:
    """Gaussian falloff [V] sideways from a vertical line at x."""
    return np.exp(-(((points[:, 0] - x) / sigma) ** 2) / 2)


def _right_half(points: np.ndarray) -> np.ndarray:
    """1 on the subject's right, 0 on the left, blended across the middle [V]."""
    return _smoothstep(0.5 - points[:, 0] / 0.08)


def _along(weight: np.ndarray, *direction: float) -> np.ndarray:
    return weight[:, None] * np.array(direction)


def _jaw_weight(points: np.ndarray, below: np.ndarray, mouth_y: float) -> np.ndarray:
    """Share of the jaw's movement that each point [V] takes: 1 on chin and lower lip, fading towards cheeks and ears.

    Args:
        points: [V, 3].
        below: bool [V], points that belong to the lower lip or the skin under it.
        mouth_y: height of the closed lips.
    """
    depth = _smoothstep((mouth_y + 0.14 - points[:, 1]) / 0.26)
    front = _smoothstep((points[:, 2] - 0.02) / 0.45)
    cheek = 0.4 * _smoothstep((np.abs(points[:, 0]) - 0.22) / 0.2)  # above the mouth only the cheeks move along
    return depth * np.where(below, 1.0, cheek) * front


@dataclass(frozen=True)
class _Mouth:
    """Weights [V] around the mouth.

    Attributes:
        line: height of the closed lips.
        above, below: share of the upper and of the lower lip.
        upper, lower: bands around the lips.
        inner: edges of the opening.
        jaw: share of the jaw's movement.
        right_corner: landmarks of the right corner, on every line of the lips.
    """

    line: np.ndarray
    above: np.ndarray
    below: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    inner: np.ndarray
    jaw: np.ndarray
    right_corner: list[int]

    @classmethod
    def of(cls, points: np.ndarray) -> _Mouth:
        middle = (points[UPPER_LIP_MIDDLE] + points[LOWER_LIP_MIDDLE]) / 2
        corners = sorted(set(UPPER_LIP_POINTS) & set(LOWER_LIP_POINTS))
        # skin above or below the line through the closed lips belongs to one lip alone
        line = middle[1] - 0.25 * points[:, 0] ** 2
        above = _smoothstep((points[:, 1] - line + 0.02) / 0.04)
        above[LOWER_LIP_POINTS], above[UPPER_LIP_POINTS] = 0.0, 1.0
        below = 1 - above
        above[corners] = below[corners] = 0.5
        off_nose = _off_nose(points)
        jaw = _jaw_weight(points, below > 0.5, middle[1])
        jaw[corners] = 0.45
        return cls(
            line=line,
            above=above,
            below=below,
            upper=_near(points, UPPER_LIP_POINTS, 0.08) * above * off_nose,
            lower=_near(points, LOWER_LIP_POINTS, 0.08) * below,
            inner=_near(points, INNER_UPPER_LIP + INNER_LOWER_LIP, 0.035),
            jaw=jaw,
            right_corner=[corner for corner in corners if points[corner, 0] < 0],
        )


def _off_nose(points: np.ndarray) -> np.ndarray:
    """Lips move below the nose, not with it [V]."""
    return 1 - 0.85 * _near(points, NOSE_BASE_POINTS, 0.055)


# -- the fields


def _central(points: np.ndarray, mouth: _Mouth) -> Fields:
    lips = np.maximum(mouth.upper, mouth.lower)
    around = _near(points, UPPER_LIP_POINTS + LOWER_LIP_POINTS, 0.12)
    mid = _strip(points, 0, 0.11)
    zero, x = np.zeros(len(points)), points[:, 0]
    above, below = mouth.above, mouth.below
    return {
        "jaw_open": mouth.jaw[:, None] * JAW_OPEN_ANGLE * jaw_opening(points),
        "jaw_side": _along(mouth.jaw, *JAW_SIDE),
        "jaw_forward": _along(mouth.jaw, *JAW_FORWARD),
        "chin_raise": _along(_near(points, CHIN_POINTS, 0.12) * below, 0, 0.08, 0.01),
        "pucker": lips[:, None] * np.stack([-0.35 * x, zero, zero + 0.10], 1),
        "funnel": lips[:, None] * np.stack([-0.15 * x, 0.06 * (above - below), zero + 0.08], 1),
        "press": lips[:, None] * np.stack([zero, -0.25 * (points[:, 1] - mouth.line), zero - 0.03], 1),
        "upper_lip_mid": _along(mouth.upper * mid, 0, 0.08, 0),
        "lower_lip_mid": _along(mouth.lower * mid, 0, -0.08, 0),
        "upper_lip_out": _along(mouth.upper * mid, 0, 0, 0.06),
        "lower_lip_out": _along(mouth.lower * mid, 0, 0, 0.06),
        "upper_lip_roll": _along(mouth.inner * above, 0, 0.05, 0),
        "lower_lip_roll": _along(mouth.inner * below, 0, -0.05, 0),
        "mouth_side": _along(around, 0.08, 0, 0),
        "mouth_height": _along(around * _off_nose(points), 0, 0.06, 0),
        "brow_centre": _along(_near(points, BROW_CENTRE_POINTS, 0.09), 0, 0.05, 0),
    }


def _right_mouth(points: np.ndarray, mouth: _Mouth) -> Fields:
    right = _right_half(points)
    quarter, side = _strip(points, -0.12, 0.06), _strip(points, -0.19, 0.06)
    corner = _near(points, mouth.right_corner, 0.11) * right
    smile = _near(points, mouth.right_corner + RIGHT_SMILE_POINTS, 0.17) * right
    return {
        "upper_lip_right": _along(mouth.upper * side * right, 0, 0.08, 0),
        "lower_lip_right": _along(mouth.lower * side * right, 0, -0.08, 0),
        "corner_x_right": _along(corner, -0.10, 0, 0),
        "corner_y_right": _along(corner, 0, 0.10, 0),
        "corner_z_right": _along(corner, 0, 0, -0.08),
        "upper_lip_thick_right": _along(mouth.inner * mouth.above * (quarter + side) * right, 0, 0.04, 0),
        "lower_lip_thick_right": _along(mouth.inner * mouth.below * (quarter + side) * right, 0, -0.04, 0),
        "upper_lip_quarter_right": _along(mouth.upper * quarter * right, 0, 0.08, 0),
        "lower_lip_quarter_right": _along(mouth.lower * quarter * right, 0, -0.08, 0),
        "smile_right": _along(smile, -0.10, 0.06, -0.06),
    }


def _right_eye(points: np.ndarray) -> Fields:
    right = _right_half(points)
    upper_lid, lower_lid = RIGHT_UPPER_LID, RIGHT_LOWER_LID
    eye = points[upper_lid + lower_lid].mean(0)
    brow_y = points[RIGHT_BROW[5:], 1].mean()
    above = (points[:, 1] >= eye[1] - 0.005).astype(float)
    below = (points[:, 1] < eye[1] + 0.005).astype(float)
    above[upper_lid], below[lower_lid] = 1, 1
    above[lower_lid[1:-1]], below[upper_lid[1:-1]] = 0, 0
    fold = _smoothstep((brow_y - points[:, 1]) / (brow_y - eye[1] - 0.03))
    upper = _lid(points, upper_lid, lower_lid, 0.82, 0.05, above * fold)
    lower = _lid(points, lower_lid, upper_lid, 0.18, 0.06, below)
    tilt = np.clip((points[:, 0] - eye[0]) / 0.15, -1, 1)[:, None]
    brow = _near(points, RIGHT_BROW, 0.08) * right * (points[:, 1] > eye[1] + 0.05)
    inner, mid, outer = (_near(points, RIGHT_BROW_POINTS[part], 0.09) for part in ("inner", "mid", "outer"))
    lid_fold = _near(points, RIGHT_LID_FOLD_POINTS, 0.05) * right * above * (1 - _near(points, upper_lid, 0.02))
    return {
        "upper_lid_right": upper,
        "lower_lid_right": lower,
        "upper_lid_tilt_right": 0.3 * upper * tilt,
        "lower_lid_tilt_right": 1.0 * lower * tilt,
        "squint_right": _along(_near(points, RIGHT_SQUINT_POINTS, 0.08) * right * below, 0, 0.04, 0.01),
        "brow_inner_right": _along(brow * inner, 0, 0.10, 0),
        "brow_mid_right": _along(brow * mid, 0, 0.10, 0),
        "brow_outer_right": _along(brow * outer, 0, 0.10, 0),
        "brow_in_right": _along(brow * inner, 0.06, 0, 0),
        "lid_fold_right": _along(lid_fold, 0, 0.04, 0),
    }


def _lid(
    points: np.ndarray, edge: list[int], opposite: list[int], share: float, sigma: float, mask: np.ndarray
) -> np.ndarray:
    """Displacements [V, 3] of a right lid whose edge moves by `share` of the way to the opposite one.

    sigma: falloff of the movement from the edge, model units; mask [V]: share of it that other points take.
    """
    move = share * (points[opposite] - points[edge])
    weight = np.exp(-(((points[:, None] - points[edge][None]) / sigma) ** 2).sum(-1) / 2)
    total = (weight**2).sum(1, keepdims=True) + 1e-9
    spread = (weight**2 / total) @ move * weight.max(1, keepdims=True) * mask[:, None]
    spread[edge] = move
    return spread * _right_half(points)[:, None]


def _right_cheek(points: np.ndarray) -> Fields:
    right = _right_half(points)
    return {
        "nose_wrinkle_right": _along(_near(points, RIGHT_NOSE_WING_POINTS, 0.07) * right, 0, 0.05, 0),
        "nostril_right": _along(_near(points, RIGHT_NOSTRIL_POINTS, 0.05) * right, -0.04, 0, 0),
        "cheek_puff_right": _along(_near(points, RIGHT_CHEEK_PUFF_POINTS, 0.16) * right, -0.06, 0, 0.05),
        "cheek_raise_right": _along(_near(points, RIGHT_CHEEK_RAISE_POINTS, 0.14) * right, 0, 0.07, 0.02),
    }
