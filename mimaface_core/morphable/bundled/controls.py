"""Controls of an edit: names, ranges and tooltips, and the blendshapes that each one moves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from ...errors import InputError

GROUPS = {  # name → label
    "head": "Head",
    "eyes": "Eyes",
    "lids": "Lids",
    "brows": "Brows",
    "mouth": "Mouth",
    "jaw_cheeks_nose": "Jaw, cheeks, nose",
    "combined": "Several at once",
}
HEAD, EYES, LIDS, BROWS, MOUTH, CHEEKS, COMBINED = GROUPS
OTHER_SIDE = {"right": "left", "left": "right"}
STEP = 0.05


class Control(NamedTuple):
    """One control.

    Attributes:
        label: its name for people, without its side.
        group: one of GROUPS.
        low, high: range of its positions.
        tooltip: its effect.
        blendshapes: name → coefficient at position 1; a name without its side stands for both sides. Empty for head
            and eyes.
        opposite: the same at position −1, where it is not the same movement the other way.
        rest: the position that changes nothing.
        step: between two positions.
        pair: name of the same control of the other side, None where there is none.
    """

    label: str
    group: str
    low: float
    high: float
    tooltip: str
    blendshapes: Mapping[str, float] = {}
    opposite: Mapping[str, float] | None = None
    rest: float = 0.0
    step: float = STEP
    pair: str | None = None


_HEAD = {
    "yaw": Control(
        "Turn", HEAD, -45, 45, "Degrees. Turns the head to the image's right; below 0 to its left.", step=0.5
    ),
    "pitch": Control("Nod", HEAD, -35, 35, "Degrees. Raises the face to look up; below 0 lowers it.", step=0.5),
    "roll": Control(
        "Tilt", HEAD, -45, 45, "Degrees. Tilts the head clockwise as seen; below 0 the other way.", step=0.5
    ),
    "shift_x": Control(
        "Shift sideways", HEAD, -30, 30, "Moves the head to the image's right, in % of the face crop.", step=0.5
    ),
    "shift_y": Control("Shift up", HEAD, -30, 30, "Moves the head up, in % of the face crop.", step=0.5),
    "zoom": Control("Zoom", HEAD, 0.7, 1.4, "Size of the head; above 1 it comes nearer.", rest=1.0, step=0.01),
}
_GAZE = {
    "gaze_x": Control("Look sideways", EYES, -1.5, 1.5, "Turns both eyes to the image's right; below 0 to its left."),
    "gaze_y": Control("Look up", EYES, -1.5, 1.5, "Turns both eyes up; below 0 down."),
}
_COMBINED = {
    "mouth_open": Control(
        "Open the mouth",
        COMBINED,
        -0.3,
        1.2,
        "Lowers the jaw. 1 is wide open; below 0 presses an open mouth shut.",
        {"jawOpen": 0.6},
    ),
    "smile": Control(
        "Smile",
        COMBINED,
        -1,
        1.5,
        "Draws the corners of the mouth out and up; below 0 draws them down.",
        {"mouthSmile": 0.8, "cheekSquint": 0.5, "eyeSquint": 0.2},
        {
            "mouthSmile": -0.68,
            "cheekSquint": -0.42,
            "eyeSquint": -0.17,
        },  # farther, the likeness goes
    ),
    "pucker": Control(
        "Kiss",
        COMBINED,
        -0.5,
        1.5,
        "Rounds the lips as for a kiss; below 0 makes the mouth wider.",
        {"mouthPucker": 1.0, "mouthFunnel": 0.2},
    ),
    "mouth_side": Control(
        "Mouth and jaw sideways",
        COMBINED,
        -1,
        1,
        "Moves the mouth to the image's right; below 0 to its left.",
        {"mouthLeft": 0.5, "mouthRight": -0.5, "jawLeft": 0.2, "jawRight": -0.2},
    ),
    "brows": Control(
        "Raise the brows",
        COMBINED,
        -1,
        1.5,
        "Raises both brows; below 0 lowers them.",
        {"browInnerUp": 0.7, "browOuterUp": 0.7},
    ),
    "frown": Control(
        "Knit the brows",
        COMBINED,
        0,
        1.5,
        "Draws the brows together and down in the middle.",
        {"browDown": 0.9},
    ),
    "squint": Control(
        "Narrow the eyes",
        COMBINED,
        -0.5,
        1.5,
        "Narrows the eyes from below; below 0 opens them wider.",
        {"eyeSquint": 0.8, "cheekSquint": 0.4},
    ),
    "blink_right": Control(
        "Close the lid",
        LIDS,
        -0.4,
        1,
        "Closes the person's right eye, the one on the image's left. 1 is closed; below 0 opens it wider.",
        {"eyeBlinkRight": 1.0},
        pair="blink_left",
    ),
    "blink_left": Control(
        "Close the lid",
        LIDS,
        -0.4,
        1,
        "Closes the person's left eye, the one on the image's right. 1 is closed; below 0 opens it wider.",
        {"eyeBlinkLeft": 1.0},
        pair="blink_right",
    ),
    "wink": Control(
        "Wink",
        COMBINED,
        -1,
        1,
        "Winks with the person's right eye (the image's left); below 0 with the other.",
        {"cheekSquintRight": 0.7, "eyeSquintRight": 0.4, "mouthSmileRight": 0.25, "browOuterUpRight": -0.15},
    ),
}
_CENTRAL = {
    "jaw_open": Control("Open the jaw", CHEEKS, -0.2, 1, "Lowers the jaw; 1 is as far as it goes.", {"jawOpen": 1.0}),
    "jaw_forward": Control("Jaw forwards", CHEEKS, 0, 1, "Pushes the jaw forwards.", {"jawForward": 1.0}),
    "jaw_shift": Control(
        "Jaw sideways",
        CHEEKS,
        -1,
        1,
        "Moves the jaw to the image's right; below 0 to its left.",
        {"jawLeft": 1.0},
        {"jawRight": 1.0},
    ),
    "mouth_shift": Control(
        "Lips sideways",
        MOUTH,
        -1,
        1,
        "Moves the lips alone to the image's right; below 0 to its left.",
        {"mouthLeft": 1.0},
        {"mouthRight": 1.0},
    ),
    "mouth_close": Control(
        "Lips together", MOUTH, 0, 1, "Brings open lips together; the jaw stays. 1 closes them.", {"mouthClose": 1.0}
    ),
    "mouth_funnel": Control("Funnel", MOUTH, -0.5, 1.5, "Opens the lips as in “oh”.", {"mouthFunnel": 1.0}),
    "mouth_pucker": Control("Pucker", MOUTH, -0.5, 1.5, "Draws the lips together to a point.", {"mouthPucker": 1.0}),
    "upper_lip_roll": Control(  # alone the movement would raise the edge of the lip, and open shut lips
        "Roll in the upper lip",
        MOUTH,
        0,
        1,
        "Rolls it inwards.",
        {"mouthRollUpper": 0.8, "mouthUpperUp": -0.1, "mouthLowerDown": -0.5},
    ),
    "lower_lip_roll": Control("Roll in the lower lip", MOUTH, 0, 1, "Rolls it inwards.", {"mouthRollLower": 1.0}),
    "upper_lip_shrug": Control(
        "Push up the upper lip", MOUTH, 0, 1, "Pushes it up and forwards.", {"mouthShrugUpper": 1.0}
    ),
    "lower_lip_shrug": Control(
        "Push up the lower lip", MOUTH, 0, 1, "Pushes it up with the chin, as in doubt.", {"mouthShrugLower": 1.0}
    ),
}
# of each side: blendshape without its side, label, group, low, high, tooltip with {eye} and {side}
_SIDED: dict[str, tuple[str, str, str, float, float, str]] = {
    "lid_wide": ("eyeWide", "Widen the eye", LIDS, 0, 1.5, "Opens the {side} eye wider than usual."),
    "lid_squint": ("eyeSquint", "Narrow from below", LIDS, -0.5, 1.5, "Raises the lower lid of the {side} eye."),
    "brow_down": ("browDown", "Lower the brow", BROWS, 0, 1.5, "Draws the {side} brow down and inwards."),
    "brow_inner_up": ("browInnerUp", "Raise its inner end", BROWS, -0.5, 1.5, "Raises the {side} brow at the nose."),
    "brow_outer_up": ("browOuterUp", "Raise its outer end", BROWS, -0.5, 1.5, "Raises the {side} brow at the temple."),
    "mouth_smile": ("mouthSmile", "Smile", MOUTH, -0.5, 1.5, "Draws the {side} corner of the mouth out and up."),
    "mouth_frown": ("mouthFrown", "Corner down", MOUTH, 0, 1.5, "Draws the {side} corner of the mouth down."),
    "mouth_dimple": ("mouthDimple", "Dimple", MOUTH, 0, 1.5, "Draws the {side} corner of the mouth back."),
    "mouth_stretch": ("mouthStretch", "Stretch", MOUTH, 0, 1.5, "Draws the {side} corner of the mouth to the side."),
    "mouth_press": ("mouthPress", "Press the lips", MOUTH, 0, 1.5, "Presses the lips together on the {side} side."),
    "lower_lip_down": ("mouthLowerDown", "Lower lip down", MOUTH, 0, 1.5, "Lowers the lower lip on the {side} side."),
    "upper_lip_up": ("mouthUpperUp", "Upper lip up", MOUTH, 0, 1.5, "Raises the upper lip on the {side} side."),
    "cheek_puff": ("cheekPuff", "Puff the cheek", CHEEKS, 0, 1.5, "Blows up the {side} cheek."),
    "cheek_squint": ("cheekSquint", "Raise the cheek", CHEEKS, 0, 1.5, "Raises the {side} cheek towards the eye."),
    "nose_sneer": ("noseSneer", "Wrinkle the nose", CHEEKS, 0, 1.5, "Raises the {side} wing of the nose."),
}
_CALMER = {"mouth_dimple": 0.67}  # of the scanned movement: 1.5 times it, the skin folds over the corner of the mouth
_WHICH = {"right": "person's right", "left": "person's left"}


def _sided() -> Iterator[tuple[str, Control]]:
    """The controls that each side has, those of one pair after another."""
    for axis, label, way in (
        ("x", "Look sideways", "to the image's right; below 0 to its left"),
        ("y", "Look up", "up; below 0 down"),
    ):
        for side, which in _WHICH.items():
            tooltip = f"Turns the {which} eye alone {way}."
            pair = f"gaze_{axis}_{OTHER_SIDE[side]}"
            yield f"gaze_{axis}_{side}", Control(label, EYES, -1.5, 1.5, tooltip, pair=pair)
    for name, (blendshape, label, group, low, high, tooltip) in _SIDED.items():
        for side, which in _WHICH.items():
            moved = {f"{blendshape}{side.title()}": _CALMER.get(name, 1.0)}
            text = tooltip.format(side=which)
            pair = f"{name}_{OTHER_SIDE[side]}"
            yield f"{name}_{side}", Control(label, group, low, high, text, moved, pair=pair)
    for side, which in _WHICH.items():
        title, inwards = side.title(), side == "right"  # the right eye looks to the image's right when it looks in
        there, back = ("eyeLookIn", "eyeLookOut") if inwards else ("eyeLookOut", "eyeLookIn")
        yield (
            f"lid_follow_x_{side}",
            Control(
                "Lid sideways",
                LIDS,
                -1,
                1,
                f"Shapes the lids of the {which} eye as if it looked to the image's right; below 0 to its left.",
                {f"{there}{title}": 1.0},
                {f"{back}{title}": 1.0},
                pair=f"lid_follow_x_{OTHER_SIDE[side]}",
            ),
        )
    for side, which in _WHICH.items():
        title = side.title()
        yield (
            f"lid_follow_y_{side}",
            Control(
                "Lid up or down",
                LIDS,
                -1,
                1,
                f"Raises the lids of the {which} eye as if it looked up; below 0 lowers them as if it looked down.",
                {f"eyeLookUp{title}": 1.0},
                {f"eyeLookDown{title}": 1.0},
                pair=f"lid_follow_y_{OTHER_SIDE[side]}",
            ),
        )


CONTROLS: dict[str, Control] = {**_HEAD, **_GAZE, **_COMBINED, **_CENTRAL, **dict(_sided())}
EXPRESSION_SLIDERS = _COMBINED  # those that Edit Motion has as widgets of their own


def controls_for_page() -> dict[str, list[dict[str, Any]]]:
    """Groups and controls as JSON, in the order in which a page shows them."""
    order = list(GROUPS)
    listed = sorted(CONTROLS.items(), key=lambda item: order.index(item[1].group))
    hidden = ("blendshapes", "opposite")
    return {
        "groups": [{"name": name, "label": label} for name, label in GROUPS.items()],
        "controls": [
            {"name": name} | {key: value for key, value in one._asdict().items() if key not in hidden}
            for name, one in listed
        ],
    }


def check_name(name: str) -> None:
    """Raises InputError where there is no such control."""
    if name not in CONTROLS:
        nearest = get_close_matches(name, CONTROLS, 1, 0)[0]
        raise InputError(f"There is no control '{name[:40]}'; the nearest is '{nearest}'.")
