"""The sliders of an expression: what each is called, how far it goes, and which coefficients it moves."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .blendshapes import NAMES
from .face import ProceduralFace


class Slider(NamedTuple):
    """One slider: `modes` are the coefficients at 1 (a name without its side stands for both sides)."""

    low: float
    high: float
    tooltip: str
    modes: dict[str, float]


EXPRESSION_SLIDERS: dict[str, Slider] = {
    "mouth_open": Slider(
        -0.3, 1.2, "Lowers the jaw. 1 is wide open; below 0 presses an open mouth shut.", {"jaw_open": 0.8}
    ),
    "smile": Slider(
        -1, 1.5, "Draws the corners of the mouth out and up; below 0 draws them down.",
        {"smile": 0.7, "corner_y": 0.25, "cheek_raise": 0.35, "squint": 0.25},
    ),
    "pucker": Slider(-0.5, 1.5, "Rounds the lips as for a kiss; below 0 makes the mouth wider.", {"pucker": 1.0, "funnel": 0.3}),
    "mouth_side": Slider(-1, 1, "Moves the mouth to the picture's right; below 0 to its left.", {"mouth_side": 0.6, "jaw_side": 0.2}),
    "brows": Slider(
        -1, 1.5, "Raises both brows; below 0 lowers them.",
        {"brow_inner": 0.4, "brow_mid": 0.45, "brow_outer": 0.3, "lid_fold": 0.2},
    ),
    "frown": Slider(0, 1.5, "Draws the brows together and down in the middle.", {"brow_in": 0.7, "brow_inner": -0.3, "brow_centre": -0.3}),
    "squint": Slider(-0.5, 1.5, "Narrows the eyes from below; below 0 opens them wider.", {"squint": 0.8, "lower_lid": 0.9, "upper_lid": 0.12}),
    "blink_right": Slider(
        -0.4, 1, "Closes the person's right eye, the one on the picture's left. 1 is closed; below 0 opens it wider.",
        {"upper_lid_right": 1.0, "lower_lid_right": 1.0},
    ),
    "blink_left": Slider(
        -0.4, 1, "Closes the person's left eye, the one on the picture's right. 1 is closed; below 0 opens it wider.",
        {"upper_lid_left": 1.0, "lower_lid_left": 1.0},
    ),
    "wink": Slider(
        -1, 1, "Winks with the person's right eye (the picture's left); below 0 with the other.",
        {"cheek_raise_right": 0.6, "squint_right": 0.6, "smile_right": 0.25, "brow_outer_right": -0.15},
    ),
}  # fmt: skip
BLINKS = {"blink_right": 0, "blink_left": 1}
LIDS = [[NAMES.index(f"{lid}_{side}") for lid in ("upper_lid", "lower_lid")] for side in ("right", "left")]


def slider_modes(name: str) -> Tensor:
    """The coefficients [64] of a slider at 1."""
    change = torch.zeros(len(NAMES))
    for mode, amount in EXPRESSION_SLIDERS[name].modes.items():
        for number in [i for i, known in enumerate(NAMES) if known in (mode, f"{mode}_right", f"{mode}_left")]:
            change[number] = amount
    return change


def slider_expression(face: ProceduralFace, identity: Tensor, expression: Tensor, values: dict[str, float]) -> Tensor:
    """What sliders add to the expression of N frames: [N, 64].

    identity [N, 80] and expression [N, 64] are the face's own, because a wide eye needs more to close than a narrow
    one: a blink of 1 closes the eye just so. values: slider → position; what is left out is 0.
    """
    change = torch.zeros_like(expression)
    for name, value in values.items():
        if name not in BLINKS and name != "wink":
            change = change + value * slider_modes(name)
    wink = values.get("wink", 0.0)
    if wink:
        right = slider_modes("wink")
        change = change + abs(wink) * (right if wink > 0 else mirrored(right))

    # lids: from where all else has put them
    wide = face.eye_opening(identity, expression + change)
    nought = torch.zeros(1, 80), torch.zeros(1, 64)
    full = wide / face.eye_opening(*nought)
    for name, side in BLINKS.items():
        share = values.get(name, 0.0)
        if (wink > 0) == (side == 0):
            share = max(share, abs(wink))
        change[:, LIDS[side]] += (share * full[:, side])[:, None]
    return change


def mirrored(change: Tensor) -> Tensor:
    """Coefficients [64] with right and left exchanged (modes without a side stay)."""
    partner = {"_right": "_left", "_left": "_right"}
    order = []
    for name in NAMES:
        side = next((end for end in partner if name.endswith(end)), None)
        order.append(NAMES.index(name.removesuffix(side) + partner[side]) if side else NAMES.index(name))
    return change[order]


def quick_modes() -> list[int]:
    """Numbers of the coefficients that move within a few frames: lids, lips and jaw."""
    quick = ("lid_", "lip", "jaw", "pucker", "funnel", "press", "chin", "mouth", "corner")
    return [i for i, name in enumerate(NAMES) if any(part in name for part in quick) and "fold" not in name]
