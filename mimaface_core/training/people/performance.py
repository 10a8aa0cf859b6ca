"""Acted performances over time: expression, head pose and gaze as coefficients of the bundled face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...morphable.bundled.blendshapes import BLENDSHAPES, SPREADS, blendshape, blendshapes

SMILE = {"mouthSmile": 0.9, "cheekSquint": 0.5, "eyeSquint": 0.4, "mouthUpperUp": 0.15}
POSE_LIMITS = np.radians([15.0, 25.0, 12.0])  # pitch, yaw, roll
GAZE_LIMIT = 0.2  # eye widths
LID_RANGE = (-0.25, 1.0)  # of `eyeBlink`; 1 is closed
JAW_RANGE = (-0.02, 0.9)  # of `jawOpen`
NOISE = 0.15  # standard deviation of every coefficient, of its usual one
SOURCE_STRENGTHS = (0.15, 0.5, 0.9)  # of the source's expression
SOURCE_PROBABILITIES = (0.55, 0.3, 0.15)
TALKING = ("mouthPucker", "mouthFunnel", "mouthLowerDown", "mouthUpperUp")  # one of them moves with the jaw
JAW, LIDS = blendshape("jawOpen"), blendshapes("eyeBlink")  # lids: right, left


@dataclass(frozen=True)
class Performance:
    """Coefficients of N frames.

    Attributes:
        expression: blendshape coefficients [N, 64].
        angles: pitch, yaw and roll [N, 3], rad.
        translation: of the head [N, 3], model units.
        gaze: x and y of the right, then of the left eye [N, 4], eye widths.
    """

    expression: Tensor
    angles: Tensor
    translation: Tensor
    gaze: Tensor

    @classmethod
    def of(cls, expression: np.ndarray, angles: np.ndarray, translation: np.ndarray, gaze: np.ndarray) -> Performance:
        """A performance of arrays, converted to float32."""
        arrays = (expression, angles, translation, gaze)
        return cls(*(torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays))


def add_blendshape(expression: np.ndarray, name: str, value: np.ndarray | float, skew: float = 0.0) -> None:
    """Add to a central blendshape, or to both sides of a sided one, in place.

    Args:
        expression: coefficients [..., 64].
        name: of a blendshape; a sided one without its side.
        value: to add, a number or one for each frame.
        skew: share by which the right side gets more, and the left side less.
    """
    if name in BLENDSHAPES:
        expression[..., blendshape(name)] += value
    else:
        right, left = blendshapes(name)
        expression[..., right] += value * (1 + skew)
        expression[..., left] += value * (1 - skew)


def random_expression(rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """One natural expression: some of smile, speech, frown, lids and brows, with a little of every blendshape.

    Args:
        rng: source of randomness.
        strength: factor on all but the lids.

    Returns:
        Coefficients [64].
    """
    expression = rng.normal(0, 1, 64) * SPREADS * NOISE * strength

    def amount(probability: float) -> float:
        return rng.uniform(0.2, 1.0) * strength if rng.random() < probability else 0.0

    def add(name: str, value: float, skew: float = 0.0) -> None:
        add_blendshape(expression, name, value, skew)

    skew = rng.normal(0, 0.15)
    smile = amount(0.4)
    for name, share in SMILE.items():
        add(name, share * smile * rng.uniform(0.7, 1.2), skew)
    if smile and rng.random() < 0.6:
        add("mouthUpperUp", 0.4 * smile)
    add("jawOpen", rng.choice([0.0, 0.0, 0.15, 0.3, 0.6]) * rng.uniform(0.6, 1.1) * strength)
    add("mouthLowerDown", 0.7 * amount(0.4), skew)
    add("mouthUpperUp", 0.5 * amount(0.3), skew)
    if not smile:
        add("mouthPucker", amount(0.2))
        add("mouthFunnel", 0.8 * amount(0.15))
        add("mouthFrown", amount(0.2), skew)
        add("mouthPress", amount(0.15))
        add("mouthRollLower", 0.6 * amount(0.1))
        add("mouthRollUpper", 0.6 * amount(0.1))
        add("mouthShrugLower", 0.6 * amount(0.1))
    aside = rng.choice(["Left", "Right"])
    add(f"jaw{aside}", 0.4 * amount(0.1))
    add(f"mouth{aside}", 0.6 * amount(0.15))
    brows = amount(0.3)
    if rng.random() < 0.5:
        add("browInnerUp", brows * rng.uniform(0.5, 1.1), skew)
        add("browOuterUp", brows * rng.uniform(0.5, 1.1), skew)
    else:
        add("browDown", brows, skew)
    add("noseSneer", 0.7 * amount(0.12), skew)
    add("cheekPuff", 0.6 * amount(0.06))
    add("eyeBlink", rng.normal(0.04, 0.08))
    add("eyeWide", 0.5 * amount(0.1))
    return expression


def random_performance(rng: np.random.Generator, frames: int, depth: float) -> Performance:
    """A source image (frame 0) and a clip of `frames` after it, smooth in time.

    Args:
        rng: source of randomness.
        frames: of the clip.
        depth: distance of the head behind the model's origin, model units.

    Returns:
        Performance of 1 + `frames` frames.
    """
    resting_lids = rng.uniform(0.02, 0.3)
    ease = _ease(rng, frames)[:, None]
    expression = _random_expressions(rng, ease)
    _close_lids(rng, expression, resting_lids)
    expression[:, JAW] = expression[:, JAW].clip(*JAW_RANGE)

    source_pose = _random_pose(rng, 0.4)
    start = source_pose * rng.uniform(0, 1) + _random_pose(rng, 0.55)
    end = start + _random_pose(rng, 0.3)
    angles = np.concatenate([source_pose[None], start + ease * (end - start)]).clip(-POSE_LIMITS, POSE_LIMITS)
    first = rng.normal(0, 0.05, 3)
    last = first + rng.normal(0, [0.06, 0.05, 0.08])
    translation = np.concatenate([np.zeros((1, 3)), first + ease * (last - first)]) - [0, 0, depth]
    return Performance.of(expression, angles, translation, _random_gaze(rng, frames))


def _random_expressions(rng: np.random.Generator, ease: np.ndarray) -> np.ndarray:
    """Coefficients [1 + N, 64] of the source and of a clip with progress `ease` [N, 1], half of the clips talking."""
    source = random_expression(rng, float(rng.choice(SOURCE_STRENGTHS, p=SOURCE_PROBABILITIES)))
    first, last = random_expression(rng), random_expression(rng)
    if rng.random() < 0.3:
        first = source
    clip = first + ease * (last - first)
    if rng.random() < 0.5:
        syllables = np.sin(np.arange(len(ease)) * rng.uniform(0.4, 1.3) + rng.uniform(0, 6)) * 0.5 + 0.5
        clip[:, JAW] += rng.uniform(0.1, 0.6) * syllables
        lips = blendshapes(str(rng.choice(TALKING)))
        clip[:, lips] += rng.uniform(0.1, 0.5) * np.roll(syllables, 2)[:, None]
    return np.concatenate([source[None], clip])


def _close_lids(rng: np.random.Generator, expression: np.ndarray, resting: float) -> None:
    """Let upper lids of [1 + N, 64] hang by `resting`, and close in a blink, a wink or for the whole clip, in place."""
    frames = len(expression) - 1
    closed = np.zeros(frames)
    if rng.random() < 0.6:
        centre, width = rng.uniform(-2, frames + 2), rng.uniform(1.3, 3.5)
        closed = rng.uniform(0.5, 1.0) * np.exp(-(((np.arange(frames) - centre) / width) ** 2))
    elif rng.random() < 0.15:
        closed[:] = rng.uniform(0.3, 1.0)
    expression[:, LIDS] += resting
    eyes = rng.choice([0, 1, 2], p=[0.86, 0.07, 0.07])  # both, or one that winks
    for lid in LIDS:
        if eyes == 0 or lid % 2 == eyes % 2:
            expression[1:, lid] = expression[1:, lid] * (1 - closed) + closed
    expression[:, LIDS] = expression[:, LIDS].clip(*LID_RANGE)


def _random_gaze(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Gaze [1 + N, 4] of the source and of a clip with at most one saccade."""
    targets = rng.normal(0, [0.07, 0.04], (3, 2))
    saccade = rng.integers(0, frames + 6)
    step = 1 / (1 + np.exp(-(np.arange(frames) - saccade) * 2.0))[:, None]
    gaze = np.concatenate([targets[:1] * 0.6, targets[1] + step * (targets[2] - targets[1])])
    gaze = gaze.clip(-GAZE_LIMIT, GAZE_LIMIT)
    vergence = np.array([1, 0, -1, 0]) * abs(rng.normal(0, 0.01))
    return np.tile(gaze, (1, 2)) + vergence


def _ease(rng: np.random.Generator, frames: int) -> np.ndarray:
    """Progress [N] from 0 to 1, with a random start, end and speed-up."""
    t = np.linspace(rng.uniform(-0.3, 0.1), rng.uniform(0.9, 1.3), frames).clip(0, 1)
    return t * t * (3 - 2 * t)


def _random_pose(rng: np.random.Generator, spread: float) -> np.ndarray:
    """Pitch, yaw and roll [3] with a standard deviation of `spread` times POSE_LIMITS."""
    return (rng.normal(0, spread, 3) * POSE_LIMITS).clip(-POSE_LIMITS, POSE_LIMITS)
