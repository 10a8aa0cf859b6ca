"""Opening of mouth and eyes a frame, the closed mouth of a video, blinks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from torch import Tensor

from .landmarks import INNER_LIPS, LEFT_EYE, OUTER_EYE_CORNERS, RIGHT_EYE, Eye

# Lips that touch measure 0.00–0.03 in photographs. MAX_CLOSED bounds a video's own closed state; CLOSED_TOLERANCE is
# added to it (0.02 is 1.8 mm on an adult).
MAX_CLOSED = 0.03
CLOSED_TOLERANCE = 0.02

# Blinks, as shares of the open eye, which is the 80th percentile over OPEN_EYE_SECONDS.
BLINK_BELOW = 0.6  # opening that a blink falls below
BLINK_DEPTH = 0.25  # least fall and rise
BLINK_SECONDS = 0.4  # longest blink, at 30 % of its depth; eyes shut for longer are not blinking
OPEN_EYE_SECONDS = 3.0


def mouth_opening(landmarks: Sequence[Tensor | None]) -> np.ndarray:
    """Gap between the inner lips over the distance of the outer eye corners, [N]; NaN without a face.

    Both are measured in three dimensions, so that turning the head changes little.

    Args:
        landmarks: [478, 3] in pixels a frame, None without a face.
    """
    return np.array([np.nan if points is None else _mouth_gap(points) for points in landmarks])


def eye_opening(landmarks: Sequence[Tensor | None]) -> np.ndarray:
    """Eye aspect ratio: gap between the lids over the eye's width, mean of both eyes, [N]; NaN without a face.

    Soukupová & Čech, "Real-Time Eye Blink Detection using Facial Landmarks" (2016).

    Args:
        landmarks: [478, 3] in pixels a frame, None without a face.
    """
    return np.array([np.nan if points is None else _lid_gap(points) for points in landmarks])


def closed_below(opening: np.ndarray) -> float:
    """Opening below which a video's mouth is closed: its 5th percentile, at most MAX_CLOSED, plus CLOSED_TOLERANCE.

    Args:
        opening: `mouth_opening` [N].
    """
    return min(float(np.nanpercentile(opening, 5)), MAX_CLOSED) + CLOSED_TOLERANCE


def count_blinks(eyes: np.ndarray, fps: Fraction) -> int:
    """Number of blinks; frames without a face are interpolated.

    Args:
        eyes: `eye_opening` [N].
        fps: frames a second.
    """
    from scipy.ndimage import percentile_filter
    from scipy.signal import find_peaks

    valid = np.flatnonzero(np.isfinite(eyes))
    if not len(valid):
        return 0
    filled = np.interp(np.arange(len(eyes)), valid, eyes[valid])
    open_eye = percentile_filter(filled, 80, size=max(3, round(OPEN_EYE_SECONDS * fps)), mode="nearest")
    closing = -filled / np.maximum(open_eye, 1e-6)
    longest = max(1.0, BLINK_SECONDS * float(fps))
    peaks, _ = find_peaks(closing, height=-BLINK_BELOW, prominence=BLINK_DEPTH, width=(None, longest), rel_height=0.3)
    return len(peaks)


def _mouth_gap(points: Tensor) -> float:
    gaps = [_distance(points, *pair) for pair in INNER_LIPS]
    return sum(gaps) / len(gaps) / max(_distance(points, *OUTER_EYE_CORNERS), 1e-6)


def _lid_gap(points: Tensor) -> float:
    def ratio(eye: Eye) -> float:
        gap = sum(_distance(points, *pair) for pair in eye.lids) / len(eye.lids)
        return gap / max(_distance(points, *eye.corners), 1e-6)

    return (ratio(RIGHT_EYE) + ratio(LEFT_EYE)) / 2


def _distance(points: Tensor, a: int, b: int) -> float:
    return float((points[a] - points[b]).norm())
