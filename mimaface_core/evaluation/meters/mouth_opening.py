"""What a clip shows of a face: how far mouth and eyes are open in each frame, a closed mouth, blinks."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from torch import Tensor

# Landmarks of mediapipe's mesh. The outer corners of the eyes are about 90 mm apart in an adult.
EYE_CORNERS = (33, 263)
INNER_LIPS = ((82, 87), (13, 14), (312, 317))  # upper, lower; the middle of the mouth
EYES = (((33, 133), ((160, 144), (159, 145), (158, 153))), ((362, 263), ((385, 380), (386, 374), (387, 373))))

# Lips that lie together measure 0.00–0.03 in photographs. CLOSED_AT_MOST is the widest that a clip's own closed
# state may be, TOLERANCE what may be added to it (0.02 is 1.8 mm on an adult).
CLOSED_AT_MOST = 0.03
TOLERANCE = 0.02

# Blinks, in parts of the usual opening of the eyes, which is the 80th percentile over USUAL_OVER seconds.
SHUT = 0.6  # a blink goes below this
DIP = 0.25  # and comes down and up again by at least this
LONGEST_BLINK = 0.4  # seconds, measured at 30 % of the way up; eyes that stay shut for longer do not blink
USUAL_OVER = 3.0


def mouth_opening(landmarks: Sequence[Tensor | None]) -> np.ndarray:
    """Gap between the inner lips over the distance of the outer eye corners, [N]; NaN where no face is seen.

    landmarks: [478, 3] a frame, in pixels, or None. Both lengths are taken in three dimensions, so that
    turning the head changes little.
    """
    return np.array([np.nan if points is None else _gap(points) for points in landmarks])


def eye_opening(landmarks: Sequence[Tensor | None]) -> np.ndarray:
    """Gap between the lids over the eye's width, mean of both eyes, [N]; NaN where no face is seen.

    The eye aspect ratio of Soukupová & Čech, "Real-Time Eye Blink Detection using Facial Landmarks" (2016).
    """
    return np.array([np.nan if points is None else _lids(points) for points in landmarks])


def closed_below(opening: np.ndarray) -> float:
    """The opening below which a clip's mouth is closed: its smallest (5th percentile) plus TOLERANCE.

    A mouth that never closes in the clip does not make a small gap closed: see CLOSED_AT_MOST.
    """
    return min(float(np.nanpercentile(opening, 5)), CLOSED_AT_MOST) + TOLERANCE


def count_blinks(eyes: np.ndarray, fps: Fraction) -> int:
    """How often the eyes of `eye_opening` go shut and open again; frames without a face are bridged."""
    from scipy.ndimage import percentile_filter
    from scipy.signal import find_peaks

    seen = np.flatnonzero(np.isfinite(eyes))
    if not len(seen):
        return 0
    filled = np.interp(np.arange(len(eyes)), seen, eyes[seen])
    usual = percentile_filter(filled, 80, size=max(3, round(USUAL_OVER * fps)), mode="nearest")
    shut = -filled / np.maximum(usual, 1e-6)
    longest = max(1.0, LONGEST_BLINK * float(fps))
    return len(find_peaks(shut, height=-SHUT, prominence=DIP, width=(None, longest), rel_height=0.3)[0])


def _gap(points: Tensor) -> float:
    gaps = [_distance(points, *pair) for pair in INNER_LIPS]
    return sum(gaps) / len(gaps) / max(_distance(points, *EYE_CORNERS), 1e-6)


def _lids(points: Tensor) -> float:
    open_by = [
        sum(_distance(points, *pair) for pair in pairs) / len(pairs) / max(_distance(points, *corners), 1e-6)
        for corners, pairs in EYES
    ]
    return sum(open_by) / len(open_by)


def _distance(points: Tensor, a: int, b: int) -> float:
    return float((points[a] - points[b]).norm())
