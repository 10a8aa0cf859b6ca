"""The 64 blendshapes of the bundled face: names, indices by name, and the groups that move together.

A coefficient of 1 is a strong natural movement: jaw_open = 1 drops the chin by about 25 mm, upper_lid + lower_lid = 1
close the eye. Sides are the subject's own.
"""

from __future__ import annotations

SIDES = ("right", "left")
CENTRAL_NAMES = (
    "jaw_open", "jaw_side", "jaw_forward", "chin_raise", "pucker", "funnel", "press",
    "upper_lip_mid", "lower_lip_mid", "upper_lip_out", "lower_lip_out", "upper_lip_roll", "lower_lip_roll",
    "mouth_side", "mouth_height", "brow_centre",
)  # fmt: skip
SIDED_NAMES = (
    "upper_lip", "lower_lip", "corner_x", "corner_y", "corner_z", "upper_lip_thick", "lower_lip_thick",
    "upper_lip_quarter", "lower_lip_quarter", "upper_lid", "lower_lid", "upper_lid_tilt", "lower_lid_tilt", "squint",
    "brow_inner", "brow_mid", "brow_outer", "brow_in", "nose_wrinkle", "nostril", "cheek_puff", "cheek_raise", "smile",
    "lid_fold",
)  # fmt: skip
BLENDSHAPES = (*CENTRAL_NAMES, *(f"{name}_{side}" for name in SIDED_NAMES for side in SIDES))
_INDEX = {name: index for index, name in enumerate(BLENDSHAPES)}


def blendshape(name: str) -> int:
    """Index of one blendshape.

    Args:
        name: its full name, such as `jaw_open` or `smile_left`.

    Raises:
        ValueError: there is no such blendshape; a sided one is not found without its side.
    """
    if name not in _INDEX:
        raise ValueError(f"There is no blendshape {name!r}; BLENDSHAPES lists their names.")
    return _INDEX[name]


def blendshapes(*names: str) -> list[int]:
    """Indices of several blendshapes, in the order of the names.

    Args:
        names: full names, or names of sided blendshapes without their side, which stand for the right, then the left
            one: `blendshapes("jaw_open", "smile")` has three indices.

    Raises:
        ValueError: there is no such blendshape on either side.
    """
    indices = []
    for name in names:
        sided = name not in _INDEX and f"{name}_{SIDES[0]}" in _INDEX
        indices += [blendshape(f"{name}_{side}") for side in SIDES] if sided else [blendshape(name)]
    return indices


# lids of the right and of the left eye
LID_BLENDSHAPES = [
    blendshapes(*(f"{lid}_{side}" for lid in ("upper_lid", "lower_lid", "upper_lid_tilt", "lower_lid_tilt")))
    for side in SIDES
]
# all lids, and the skin that moves when they shut
EYE_BLENDSHAPES = blendshapes(
    "upper_lid", "lower_lid", "upper_lid_tilt", "lower_lid_tilt", "squint", "lid_fold", "cheek_raise", "nose_wrinkle"
)
# lips and jaw: a speaking mouth
MOUTH_BLENDSHAPES = [
    index
    for index, name in enumerate(BLENDSHAPES)
    if (name in CENTRAL_NAMES and name != "brow_centre")
    or name.startswith(("upper_lip", "lower_lip", "corner", "cheek_puff", "smile"))
]
# those that move within a few frames: lids, lips and jaw
QUICK_BLENDSHAPES = [
    index
    for index, name in enumerate(BLENDSHAPES)
    if any(part in name for part in ("lid_", "lip", "jaw", "pucker", "funnel", "press", "chin", "mouth", "corner"))
    and "fold" not in name
]
