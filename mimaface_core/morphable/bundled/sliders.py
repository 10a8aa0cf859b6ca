"""Expression sliders: name, range, tooltip, and the blendshapes that each one moves."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from ...motion.track import BUNDLED, MotionTrack
from .blendshapes import BLENDSHAPES, LIP_CORRECTIVES, SIDED_NAMES, blendshape, blendshapes
from .face import BundledFace, bundled_face


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
        {"jawOpen": 0.6},
    ),
    "smile": Slider(
        -1,
        1.5,
        "Draws the corners of the mouth out and up; below 0 draws them down.",
        {"mouthSmile": 0.8, "cheekSquint": 0.5, "eyeSquint": 0.2},
    ),
    "pucker": Slider(
        -0.5,
        1.5,
        "Rounds the lips as for a kiss; below 0 makes the mouth wider.",
        {"mouthPucker": 1.0, "mouthFunnel": 0.2},
    ),
    "mouth_side": Slider(
        -1,
        1,
        "Moves the mouth to the image's right; below 0 to its left.",
        {"mouthLeft": 0.5, "mouthRight": -0.5, "jawLeft": 0.2, "jawRight": -0.2},
    ),
    "brows": Slider(
        -1,
        1.5,
        "Raises both brows; below 0 lowers them.",
        {"browInnerUp": 0.7, "browOuterUp": 0.7},
    ),
    "frown": Slider(
        0,
        1.5,
        "Draws the brows together and down in the middle.",
        {"browDown": 0.9},
    ),
    "squint": Slider(
        -0.5,
        1.5,
        "Narrows the eyes from below; below 0 opens them wider.",
        {"eyeSquint": 0.8, "cheekSquint": 0.4},
    ),
    "blink_right": Slider(
        -0.4,
        1,
        "Closes the person's right eye, the one on the image's left. 1 is closed; below 0 opens it wider.",
        {"eyeBlinkRight": 1.0},
    ),
    "blink_left": Slider(
        -0.4,
        1,
        "Closes the person's left eye, the one on the image's right. 1 is closed; below 0 opens it wider.",
        {"eyeBlinkLeft": 1.0},
    ),
    "wink": Slider(
        -1,
        1,
        "Winks with the person's right eye (the image's left); below 0 with the other.",
        {"cheekSquintRight": 0.7, "eyeSquintRight": 0.4, "mouthSmileRight": 0.25, "browOuterUpRight": -0.15},
    ),
}
BLINK_SLIDERS = {"blink_right": 0, "blink_left": 1}  # → side


def slider_coefficients(name: str) -> Tensor:
    """Expression coefficients [64] of a slider at 1."""
    coefficients = torch.zeros(len(BLENDSHAPES))
    for moved, amount in EXPRESSION_SLIDERS[name].blendshapes.items():
        coefficients[blendshapes(moved)] = amount
    return coefficients


def slider_expression(face: BundledFace, identity: Tensor, expression: Tensor, values: dict[str, float]) -> Tensor:
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
        change = change + abs(wink) * (right if wink > 0 else mirrored(face, right))

    # lids close from where everything else has put them
    full = face.blink(face.eye_opening(identity, expression + change))
    for name, side in BLINK_SLIDERS.items():
        share = values.get(name, 0.0)
        if (wink > 0) == (side == 0):
            share = max(share, abs(wink))
        change[:, blendshapes("eyeBlink")[side]] += share * full[:, side]
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
    if motion.basis != BUNDLED:
        raise InputError(
            "The sliders of the expression move the bundled face model only; leave them at 0 for a motion of this pack,"
            " or extract it with the bundled pack."
        )
    c = motion.coefficients
    return slider_expression(bundled_face(), c.identity, c.expression, dict(sliders))


def mirrored(face: BundledFace, change: Tensor) -> Tensor:
    """Expression coefficients [64] of the mirrored face: right and left exchanged."""
    rights, lefts = blendshapes(*SIDED_NAMES)[::2], blendshapes(*SIDED_NAMES)[1::2]
    exchanged = change.clone()
    exchanged[rights], exchanged[lefts] = change[lefts], change[rights]
    exchanged[[blendshape(name) for name in LIP_CORRECTIVES]] *= face.lip_parity
    return exchanged
