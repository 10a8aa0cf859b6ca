"""Random performances: what a synthetic person's head, face and eyes do, as coefficients of the bundled model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshape

SMILE = (
    ("smile", 0.6),
    ("corner_x", 0.4),
    ("corner_y", 0.4),
    ("corner_z", 0.25),
    ("cheek_raise", 0.5),
    ("squint", 0.5),
    ("upper_lip", 0.3),
)
POSE_LIMIT = np.radians([15.0, 25.0, 12.0])  # pitch, yaw, roll


@dataclass(frozen=True)
class Performance:
    """expression [N, 64], angles [N, 3] (rad), translation [N, 3] (model units), gaze [N, 4] (eye widths)."""

    expression: Tensor
    angles: Tensor
    translation: Tensor
    gaze: Tensor


def _add(expression: np.ndarray, name: str, value: float, skew: float = 0.0) -> None:
    """Add to a central mode, or to both sides of a sided one (skew: what the right side has more)."""
    if name in BLENDSHAPES:
        expression[blendshape(name)] += value
    else:
        expression[blendshape(f"{name}_right")] += value * (1 + skew)
        expression[blendshape(f"{name}_left")] += value * (1 - skew)


def random_expression(rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """One natural mix [64]: some of smile, speech, frown, lids and brows, with a little of every mode."""
    e = rng.normal(0, 0.07, 64) * strength

    def some(share: float) -> float:
        return rng.uniform(0.2, 1.0) * strength if rng.random() < share else 0.0

    skew = rng.normal(0, 0.15)
    smile = some(0.4)
    for name, value in SMILE:
        _add(e, name, value * smile * rng.uniform(0.7, 1.2), skew)
    if smile and rng.random() < 0.6:
        _add(e, "upper_lip_mid", 0.4 * smile), _add(e, "upper_lip_quarter", 0.4 * smile)
    _add(e, "jaw_open", rng.choice([0.0, 0.0, 0.25, 0.5, 0.9]) * rng.uniform(0.6, 1.1) * strength)
    (
        _add(e, "lower_lip_mid", 0.5 * some(0.3)),
        _add(e, "lower_lip", 0.5 * some(0.25), skew),
        _add(e, "lower_lip_quarter", 0.5 * some(0.25)),
    )
    _add(e, "upper_lip_mid", 0.4 * some(0.25)), _add(e, "upper_lip_quarter", 0.4 * some(0.2))
    if not smile:
        _add(e, "pucker", some(0.2)), _add(e, "funnel", 0.8 * some(0.15)), _add(e, "corner_y", -0.5 * some(0.2), skew)
        _add(e, "press", 0.6 * some(0.15))
    _add(e, "jaw_side", rng.normal(0, 0.2) * some(0.2)), _add(e, "mouth_side", rng.normal(0, 0.5) * some(0.2))
    brows = some(0.3) * rng.choice([-0.6, 1.0])
    for name in ("brow_inner", "brow_mid", "brow_outer"):
        _add(e, name, brows * rng.uniform(0.5, 1.1), skew)
    (
        _add(e, "brow_in", 0.6 * some(0.2)),
        _add(e, "nose_wrinkle", 0.7 * some(0.12)),
        _add(e, "cheek_puff", 0.6 * some(0.06)),
    )
    narrow = rng.normal(0.04, 0.08)
    _add(e, "upper_lid", narrow), _add(e, "lower_lid", narrow + 0.25 * smile)
    return e


def _ease(n: int, rng: np.random.Generator) -> np.ndarray:
    """Progress [n] from 0 to 1, with a random start, end and speed-up."""
    t = np.linspace(rng.uniform(-0.3, 0.1), rng.uniform(0.9, 1.3), n).clip(0, 1)
    return t * t * (3 - 2 * t)


def _pose(rng: np.random.Generator, spread: float) -> np.ndarray:
    return (rng.normal(0, spread, 3) * POSE_LIMIT).clip(-POSE_LIMIT, POSE_LIMIT)


def random_performance(rng: np.random.Generator, frames: int, depth: float) -> Performance:
    """A source picture (frame 0) and a clip of `frames` after it, smooth in time.

    depth: how far the head stands behind the model's origin (model units).
    """
    n = frames
    habit = rng.uniform(0.02, 0.3)  # how far the lids usually hang
    ease = _ease(n, rng)[:, None]
    source_e = random_expression(rng, rng.choice([0.15, 0.5, 0.9], p=[0.55, 0.3, 0.15]))
    first, last = random_expression(rng), random_expression(rng)
    if rng.random() < 0.3:
        first = source_e
    clip = first + ease * (last - first)
    # talking: the jaw and lips on top, a few times a second
    if rng.random() < 0.5:
        wave = np.sin(np.arange(n) * rng.uniform(0.4, 1.3) + rng.uniform(0, 6)) * 0.5 + 0.5
        clip[:, blendshape("jaw_open")] += rng.uniform(0.1, 0.6) * wave
        clip[:, blendshape(rng.choice(["pucker", "funnel", "lower_lip_mid", "upper_lip_mid"]))] += rng.uniform(
            0.1, 0.5
        ) * np.roll(wave, 2)
    closed = np.zeros(n)
    if rng.random() < 0.6:
        centre, width = rng.uniform(-2, n + 2), rng.uniform(1.3, 3.5)
        closed = rng.uniform(0.5, 1.0) * np.exp(-(((np.arange(n) - centre) / width) ** 2))
    elif rng.random() < 0.15:
        closed[:] = rng.uniform(0.3, 1.0)
    e = np.concatenate([source_e[None], clip])
    lids = [blendshape(f"{name}_{side}") for name in ("upper_lid", "lower_lid") for side in ("right", "left")]
    e[:, lids[:2]] += habit
    sides = rng.choice([0, 1, 2], p=[0.86, 0.07, 0.07])  # a wink now and then
    for i in lids:
        if sides == 0 or (i % 2 == sides % 2):
            e[1:, i] = e[1:, i] * (1 - closed) + closed
    e[:, lids] = e[:, lids].clip(-0.25, 1.0)
    e[:, blendshape("jaw_open")] = e[:, blendshape("jaw_open")].clip(-0.02, 1.1)

    source_pose = _pose(rng, 0.4)
    start = source_pose * rng.uniform(0, 1) + _pose(rng, 0.55)
    end = start + _pose(rng, 0.3)
    angles = np.concatenate([source_pose[None], start + ease * (end - start)]).clip(-POSE_LIMIT, POSE_LIMIT)
    place = rng.normal(0, 0.05, 3)
    move = place + rng.normal(0, [0.06, 0.05, 0.08])
    shift = np.concatenate([np.zeros((1, 3)), place + ease * (move - place)]) - [0, 0, depth]

    look = rng.normal(0, [0.07, 0.04], (3, 2))
    jump = rng.integers(0, n + 6)
    step = 1 / (1 + np.exp(-(np.arange(n) - jump) * 2.0))[:, None]
    gaze = np.concatenate([look[:1] * 0.6, look[1] + step * (look[2] - look[1])]).clip(-0.2, 0.2)
    gaze = np.tile(gaze, (1, 2)) + np.array([1, 0, -1, 0]) * abs(rng.normal(0, 0.01))
    tensors = (torch.from_numpy(np.ascontiguousarray(x)).float() for x in (e, angles, shift, gaze))
    return Performance(*tensors)
