"""What is measured of a face: head, gaze, lids, brows and mouth, each as a few numbers."""

from mimaface.mimaface_core.morphable.bundled.face import EYE_PARTS, bundled_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    CHIN,
    EYE_CORNERS,
    LEFT_BROW,
    LID_MIDDLES,
    LIP_MIDDLES,
    MOUTH_CORNERS,
    RIGHT_BROW,
)

FACE = bundled_face()


def signals(shape, pose):
    """Measures [N] by group and name, in model units and radians."""
    measured = {"head": dict(zip(("pitch", "yaw", "roll", "x", "y", "z"), pose.T, strict=True))}
    measured["eyes"], measured["lids"], measured["brows"] = {}, {}, {}
    brows = (RIGHT_BROW[:5], LEFT_BROW[:5])
    for side, part, corners, lids, brow in zip(
        ("right", "left"), EYE_PARTS, EYE_CORNERS, LID_MIDDLES, brows, strict=True
    ):
        middle = shape[:, corners].mean(1)
        iris = shape[:, FACE.parts[part]][:, :24].mean(1) - middle
        measured["eyes"] |= {f"x {side}": iris[:, 0], f"y {side}": iris[:, 1]}
        measured["lids"][side] = shape[:, lids[0], 1] - shape[:, lids[1], 1]
        measured["brows"][side] = (shape[:, brow].mean(1) - middle)[:, 1]
    corners, middles = shape[:, MOUTH_CORNERS], shape[:, LIP_MIDDLES]
    measured["mouth"] = {
        "width": (corners[:, 0] - corners[:, 1]).norm(dim=-1),
        "right corner": corners[:, 0, 1],
        "left corner": corners[:, 1, 1],
        "opening": (middles[:, 0] - middles[:, 1]).norm(dim=-1),
        "chin": shape[:, CHIN, 1],
    }
    return measured
