"""The 64 expression modes of the bundled face: names, and displacement fields on the 468-point mesh.

A coefficient of 1 is a strong natural movement: jaw_open = 1 drops the chin by about 25 mm, upper_lid + lower_lid = 1
close the eye. Modes with a side are given for the subject's right; the left ones are their mirror images.
Units: 100 mm; x to the subject's left (the picture's right), y up, z to the viewer.
"""

import numpy as np

from .face_mesh import (  # fmt: skip
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LOWER_LIP,
    OVAL,
    RIGHT_BROW,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP,
)

JAW_AXIS = np.array([0.0, -0.05, 0.15])  # the hinge, just before the ears
JAW_OPEN = 0.28  # radians at coefficient 1
NOSE_BASE = [2, 94, 97, 326, 19]  # between nostrils and lip

CENTRAL = [
    "jaw_open", "jaw_side", "jaw_forward", "chin_raise", "pucker", "funnel", "press",
    "upper_lip_mid", "lower_lip_mid", "upper_lip_out", "lower_lip_out", "upper_lip_roll", "lower_lip_roll", "mouth_side",
    "mouth_height", "brow_centre",
]  # fmt: skip
SIDED = [
    "upper_lip", "lower_lip", "corner_x", "corner_y", "corner_z", "upper_lip_thick", "lower_lip_thick", "upper_lip_quarter",
    "lower_lip_quarter", "upper_lid", "lower_lid", "upper_lid_tilt", "lower_lid_tilt", "squint", "brow_inner", "brow_mid",
    "brow_outer", "brow_in", "nose_wrinkle", "nostril", "cheek_puff", "cheek_raise", "smile", "lid_fold",
]  # fmt: skip
NAMES = CENTRAL + [f"{name}_{side}" for name in SIDED for side in ("right", "left")]
assert len(NAMES) == 64
# the modes of the right and of the left lids
LID_MODES = [
    [i for i, name in enumerate(NAMES) if name.endswith((f"lid_{side}", f"lid_tilt_{side}"))]
    for side in ("right", "left")
]
# all modes that move lips or jaw: a speaking mouth
MOUTH_MODES = [
    i for i, name in enumerate(NAMES)
    if (i < len(CENTRAL) and name != "brow_centre") or name.startswith(("upper_lip", "lower_lip", "corner", "cheek_puff", "smile"))
]  # fmt: skip


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def jaw_weight(points: np.ndarray, below: np.ndarray, mouth_y: float) -> np.ndarray:
    """How much each point [V] follows the lower jaw: 1 on chin and lower lip, fading towards cheeks and ears."""
    depth = _smooth((mouth_y + 0.14 - points[:, 1]) / 0.26)
    front = _smooth((points[:, 2] - 0.02) / 0.45)
    cheek = 0.4 * _smooth((np.abs(points[:, 0]) - 0.22) / 0.2)  # above the mouth only the cheeks are drawn along
    return depth * np.where(below, 1.0, cheek) * front


def expression_basis(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Displacement fields [468, 3, 64] on the mean face `points` [468, 3] with left/right partners `mirror` [468]."""
    index = np.arange(len(points))
    mouth = (points[INNER_UPPER_LIP[5]] + points[INNER_LOWER_LIP[5]]) / 2
    upper_red, lower_red = {i for ring in UPPER_LIP for i in ring}, {i for ring in LOWER_LIP for i in ring}
    corners = upper_red & lower_red
    corner_ids = sorted(c for c in corners if points[c, 0] < 0)
    # skin above or below the line through the closed lips, which belongs to one lip alone
    line = mouth[1] - 0.25 * points[:, 0] ** 2
    above = np.where(
        np.isin(index, list(upper_red)),
        1.0,
        np.where(np.isin(index, list(lower_red)), 0.0, _smooth((points[:, 1] - line + 0.02) / 0.04)),
    )
    below = 1 - above
    above[list(corners)] = below[list(corners)] = 0.5

    def near(ids, sigma: float, scale=(1.0, 1.0, 1.0)) -> np.ndarray:
        d = ((points[:, None] - points[ids][None]) * scale / sigma) ** 2
        return np.exp(-d.sum(-1).min(1) / 2)

    def along(weight: np.ndarray, *direction: float) -> np.ndarray:
        return weight[:, None] * np.array(direction)

    mid = np.exp(-((points[:, 0] / 0.11) ** 2) / 2)
    quarter = np.exp(-(((points[:, 0] + 0.12) / 0.06) ** 2) / 2)
    side = np.exp(-(((points[:, 0] + 0.19) / 0.06) ** 2) / 2)
    off_nose = 1 - 0.85 * near(NOSE_BASE, 0.055)  # lips move below the nose, not with it
    lip_band_up = near([i for ring in UPPER_LIP for i in ring], 0.08) * above * off_nose
    lip_band_low = near([i for ring in LOWER_LIP for i in ring], 0.08) * below
    lips = np.maximum(lip_band_up, lip_band_low)
    inner = near(INNER_UPPER_LIP + INNER_LOWER_LIP, 0.035)
    jaw = jaw_weight(points, below > 0.5, mouth[1])
    jaw[list(corners)] = 0.45

    arm = points - JAW_AXIS
    field = {
        "jaw_open": jaw[:, None] * JAW_OPEN * np.stack([0 * jaw, -arm[:, 2], arm[:, 1]], 1),
        "jaw_side": along(jaw, 0.10, 0, 0),
        "jaw_forward": along(jaw, 0, 0, 0.08),
        "chin_raise": along(near([152, 175, 199, 200], 0.12) * below, 0, 0.08, 0.01),
        "pucker": lips[:, None] * np.stack([-0.35 * points[:, 0], 0 * jaw, 0.10 + 0 * jaw], 1),
        "funnel": lips[:, None] * np.stack([-0.15 * points[:, 0], 0.06 * (above - below), 0.08 + 0 * jaw], 1),
        "press": lips[:, None] * np.stack([0 * jaw, -0.25 * (points[:, 1] - line), -0.03 + 0 * jaw], 1),
        "upper_lip_mid": along(lip_band_up * mid, 0, 0.08, 0),
        "lower_lip_mid": along(lip_band_low * mid, 0, -0.08, 0),
        "upper_lip_out": along(lip_band_up * mid, 0, 0, 0.06),
        "lower_lip_out": along(lip_band_low * mid, 0, 0, 0.06),
        "upper_lip_roll": along(inner * above, 0, 0.05, 0),
        "lower_lip_roll": along(inner * below, 0, -0.05, 0),
        "mouth_side": along(near([i for ring in UPPER_LIP + LOWER_LIP for i in ring], 0.12), 0.08, 0, 0),
        "mouth_height": along(near([i for ring in UPPER_LIP + LOWER_LIP for i in ring], 0.12) * off_nose, 0, 0.06, 0),
        "brow_centre": along(near([9, 8, 107, 336], 0.09), 0, 0.05, 0),
    }

    # one side only
    right = _smooth(0.5 - points[:, 0] / 0.08)
    corner = near(corner_ids, 0.11) * right
    lid_up, lid_low = RIGHT_UPPER_LID, RIGHT_LOWER_LID
    eye = points[lid_up + lid_low].mean(0)
    brow_line = points[RIGHT_BROW[5:], 1].mean()
    eye_above, eye_below = (points[:, 1] >= eye[1] - 0.005).astype(float), (points[:, 1] < eye[1] + 0.005).astype(float)
    eye_above[lid_up], eye_below[lid_low] = 1, 1
    eye_above[lid_low[1:-1]], eye_below[lid_up[1:-1]] = 0, 0
    fold = _smooth((brow_line - points[:, 1]) / (brow_line - eye[1] - 0.03))

    def lid(edge, towards, share: float, sigma: float, keep: np.ndarray) -> np.ndarray:
        move = share * (points[towards] - points[edge])
        weight = np.exp(-(((points[:, None] - points[edge][None]) / sigma) ** 2).sum(-1) / 2)
        total = (weight**2).sum(1, keepdims=True) + 1e-9
        spread = (weight**2 / total) @ move * weight.max(1, keepdims=True) * keep[:, None]
        spread[edge] = move
        return spread * right[:, None]

    upper = lid(lid_up, lid_low, 0.82, 0.05, eye_above * fold)
    lower = lid(lid_low, lid_up, 0.18, 0.06, eye_below)
    tilt = np.clip((points[:, 0] - eye[0]) / 0.15, -1, 1)[:, None]
    brow = near(RIGHT_BROW, 0.08) * right * (points[:, 1] > eye[1] + 0.05)
    inner_brow, mid_brow, outer_brow = (
        near(ids, 0.09) for ids in ([107, 55, 66, 65], [105, 52, 66, 65], [70, 46, 63, 53])
    )
    cheek = near([50, 101, 205], 0.14) * right
    field |= {
        "upper_lip_right": along(lip_band_up * side * right, 0, 0.08, 0),
        "lower_lip_right": along(lip_band_low * side * right, 0, -0.08, 0),
        "corner_x_right": along(corner, -0.10, 0, 0),
        "corner_y_right": along(corner, 0, 0.10, 0),
        "corner_z_right": along(corner, 0, 0, -0.08),
        "upper_lip_thick_right": along(inner * above * (quarter + side) * right, 0, 0.04, 0),
        "lower_lip_thick_right": along(inner * below * (quarter + side) * right, 0, -0.04, 0),
        "upper_lip_quarter_right": along(lip_band_up * quarter * right, 0, 0.08, 0),
        "lower_lip_quarter_right": along(lip_band_low * quarter * right, 0, -0.08, 0),
        "upper_lid_right": upper,
        "lower_lid_right": lower,
        "upper_lid_tilt_right": 0.3 * upper * tilt,
        "lower_lid_tilt_right": 1.0 * lower * tilt,
        "squint_right": along(near([230, 229, 231, 119, 118], 0.08) * right * eye_below, 0, 0.04, 0.01),
        "brow_inner_right": along(brow * inner_brow, 0, 0.10, 0),
        "brow_mid_right": along(brow * mid_brow, 0, 0.10, 0),
        "brow_outer_right": along(brow * outer_brow, 0, 0.10, 0),
        "brow_in_right": along(brow * inner_brow, 0.06, 0, 0),
        "nose_wrinkle_right": along(near([198, 49, 129, 217], 0.07) * right, 0, 0.05, 0),
        "nostril_right": along(near([64, 98, 102, 48], 0.05) * right, -0.04, 0, 0),
        "cheek_puff_right": along(near([207, 187, 214], 0.16) * right, -0.06, 0, 0.05),
        "cheek_raise_right": along(cheek, 0, 0.07, 0.02),
        "smile_right": along(near(corner_ids + [57, 186, 216], 0.17) * right, -0.10, 0.06, -0.06),
        "lid_fold_right": along(
            near([28, 27, 29, 56, 221, 222, 223, 224], 0.05) * right * eye_above * (1 - near(lid_up, 0.02)), 0, 0.04, 0
        ),
    }
    fields = []
    for name in NAMES:
        if name.endswith("_left"):
            fields.append(fields[-1][mirror] * [-1, 1, 1])
        else:
            fields.append(field[name])
    basis = np.stack(fields, -1)
    basis[OVAL[:3] + OVAL[-2:]] *= 0.5
    return basis
