"""Expression sliders: name, range, tooltip, and the blendshapes that each one moves."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from ...motion.track import PROCEDURAL, MotionTrack
from ..model import EXPRESSION_SIZE, IDENTITY_SIZE
from .blendshapes import BLENDSHAPES, SIDED_NAMES, SIDES, blendshapes
from .face import ProceduralFace, procedural_face


class Slider(NamedTuple):
    """One slider.

    Attributes:
        low, high: range of its positions.
        tooltip: its effect, for the node.
        blendshapes: name → coefficient at position 1; a name without its side stands for both sides.
    """

    low: float
    high: float
    tooltip: str
    blendshapes: dict[str, float]


EXPRESSION_SLIDERS: dict[str, Slider] = {
    "mouth_open": Slider(
        -0.3,
        1.2,
        "Lowers the jaw. 1 is wide open; below 0 presses an open mouth shut.",
        {"jaw_open": 0.8},
    ),
    "smile": Slider(
        -1,
        1.5,
        "Draws the corners of the mouth out and up; below 0 draws them down.",
        {"smile": 0.7, "corner_y": 0.25, "cheek_raise": 0.35, "squint": 0.25},
    ),
    "pucker": Slider(
        -0.5,
        1.5,
        "Rounds the lips as for a kiss; below 0 makes the mouth wider.",
        {"pucker": 1.0, "funnel": 0.3},
    ),
    "mouth_side": Slider(
        -1,
        1,
        "Moves the mouth to the image's right; below 0 to its left.",
        {"mouth_side": 0.6, "jaw_side": 0.2},
    ),
    "brows": Slider(
        -1,
        1.5,
        "Raises both brows; below 0 lowers them.",
        {"brow_inner": 0.4, "brow_mid": 0.45, "brow_outer": 0.3, "lid_fold": 0.2},
    ),
    "frown": Slider(
        0,
        1.5,
        "Draws the brows together and down in the middle.",
        {"brow_in": 0.7, "brow_inner": -0.3, "brow_centre": -0.3},
    ),
    "squint": Slider(
        -0.5,
        1.5,
        "Narrows the eyes from below; below 0 opens them wider.",
        {"squint": 0.8, "lower_lid": 0.9, "upper_lid": 0.12},
    ),
    "blink_right": Slider(
        -0.4,
        1,
        "Closes the person's right eye, the one on the image's left. 1 is closed; below 0 opens it wider.",
        {"upper_lid_right": 1.0, "lower_lid_right": 1.0},
    ),
    "blink_left": Slider(
        -0.4,
        1,
        "Closes the person's left eye, the one on the image's right. 1 is closed; below 0 opens it wider.",
        {"upper_lid_left": 1.0, "lower_lid_left": 1.0},
    ),
    "wink": Slider(
        -1,
        1,
        "Winks with the person's right eye (the image's left); below 0 with the other.",
        {"cheek_raise_right": 0.6, "squint_right": 0.6, "smile_right": 0.25, "brow_outer_right": -0.15},
    ),
}
BLINK_SLIDERS = {f"blink_{side}": index for index, side in enumerate(SIDES)}
# both lids of each side, without their tilt: they close the eye
CLOSING_LIDS = [blendshapes(f"upper_lid_{side}", f"lower_lid_{side}") for side in SIDES]


def slider_coefficients(name: str) -> Tensor:
    """Expression coefficients [64] of a slider at 1."""
    coefficients = torch.zeros(len(BLENDSHAPES))
    for blendshape, amount in EXPRESSION_SLIDERS[name].blendshapes.items():
        coefficients[blendshapes(blendshape)] = amount
    return coefficients


def slider_expression(face: ProceduralFace, identity: Tensor, expression: Tensor, values: dict[str, float]) -> Tensor:
    """Change of expression by slider positions.

    Args:
        face: the bundled face.
        identity: [N, 80], the face's own: a wide eye needs more than a narrow one to close.
        expression: [N, 64], likewise; a blink of 1 closes the eye exactly.
        values: slider → position; absent ones are at 0.

    Returns:
        [N, 64], to be added to `expression`.
    """
    change = torch.zeros_like(expression)
    for name, value in values.items():
        if name not in BLINK_SLIDERS and name != "wink":
            change = change + value * slider_coefficients(name)
    wink = values.get("wink", 0.0)
    if wink:
        right = slider_coefficients("wink")
        change = change + abs(wink) * (right if wink > 0 else mirrored(right))

    # lids close from where everything else has put them
    opening = face.eye_opening(identity, expression + change)
    full = opening / face.eye_opening(torch.zeros(1, IDENTITY_SIZE), torch.zeros(1, EXPRESSION_SIZE))
    for name, side in BLINK_SLIDERS.items():
        share = values.get(name, 0.0)
        if (wink > 0) == (side == 0):
            share = max(share, abs(wink))
        change[:, CLOSING_LIDS[side]] += (share * full[:, side])[:, None]
    return change


def slider_change(motion: MotionTrack, sliders: Mapping[str, float]) -> Tensor | None:
    """Change of the expression [N, 64] of a motion by slider positions by name, None where all are at 0.

    Raises:
        InputError: there is no such slider, or the motion is of another face model than the bundled one.
    """
    for name in sliders:
        if name not in EXPRESSION_SLIDERS:
            nearest = get_close_matches(name, EXPRESSION_SLIDERS, 1, 0)[0]
            raise InputError(f"There is no expression slider '{name}'; the nearest is '{nearest}'.")
    if not any(sliders.values()):
        return None
    if motion.basis != PROCEDURAL:
        raise InputError(
            "The sliders of the expression move the bundled face model only; leave them at 0 for a motion of this pack,"
            " or extract it with the bundled pack."
        )
    c = motion.coefficients
    return slider_expression(procedural_face(), c.identity, c.expression, dict(sliders))


def mirrored(change: Tensor) -> Tensor:
    """Expression coefficients [64] with right and left exchanged; central ones stay."""
    rights, lefts = blendshapes(*SIDED_NAMES)[::2], blendshapes(*SIDED_NAMES)[1::2]
    exchanged = change.clone()
    exchanged[rights], exchanged[lefts] = change[lefts], change[rights]
    return exchanged
