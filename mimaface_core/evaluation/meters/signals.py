"""Ten signals of a face, measured on landmarks only, and scores of how the output's follow the driver's.

The signals are angles and ratios in the face's own frame, so that crops and people may differ. They do not use the face
model that drives the output, and so check its fit independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypedDict

import numpy as np
from torch import Tensor

from ..scores import HIGHER, ONE, Score, absent, measured
from .landmarks import BONE, BROWS_AND_LIDS, INNER_LIPS, LEFT_EYE, MOUTH_CORNERS, OUTER_EYE_CORNERS, RIGHT_EYE, Eye
from .pearson import pearson

ESTIMATOR = "ratios of mediapipe's landmarks, independent of the face model"
# Smallest range of a driver's signal that exceeds tracker noise: degrees for the head, ratios for the rest.
NOISE_RANGE = {
    "pitch": 3.0, "yaw": 3.0, "roll": 3.0, "mouth": 0.08, "smile": 0.06, "blink_r": 0.15, "blink_l": 0.15,
    "brow": 0.05, "gaze_x": 0.06, "gaze_y": 0.05,
}  # fmt: skip
UNITS = {name: "°" if name in ("pitch", "yaw", "roll") else "ratio" for name in NOISE_RANGE}
MIN_FRAMES = 5  # for a correlation
STILL = 1e-9  # product of two signals' deviations, below which their correlation counts as 0
MIDDLE_LIPS = INNER_LIPS[1]


class SignalDetail(TypedDict):
    """One signal of an output beside its driver's, as it stands in the JSON.

    `range` has the driver's first; `counted` is True where the driver's exceeds the noise.
    """

    correlation: float
    gain: float | None
    change_error: float
    range: list[float]
    unit: str
    counted: bool


class FollowScores(NamedTuple):
    """Scores `motion` and `gain`, and the details of each signal; None for too few frames."""

    scores: dict[str, Score]
    details: dict[str, SignalDetail] | None


def video_signals(landmarks: Sequence[Tensor]) -> np.ndarray:
    """Signals of all frames of a video, [N, 10], head angles counted from the video's first frame.

    Args:
        landmarks: [478, 3] a frame, in pixels.
    """
    return np.array([face_signals(points.numpy(), landmarks[0].numpy()) for points in landmarks])


def face_signals(points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Signals of one face, [10], in the order of NOISE_RANGE.

    Args:
        points: landmarks [478, 3] in pixels.
        first: those of the video's first frame, whose head pose is 0°.
    """
    eye_distance = _length(points[OUTER_EYE_CORNERS[0]] - points[OUTER_EYE_CORNERS[1]])

    def distance(pair: tuple[int, int]) -> float:
        return _length(points[pair[0], :2] - points[pair[1], :2])

    brow = sum(distance(pair) for pair in BROWS_AND_LIDS) / 2
    (blink_r, *gaze_r), (blink_l, *gaze_l) = _eye_signals(points, RIGHT_EYE), _eye_signals(points, LEFT_EYE)
    gaze_x, gaze_y = (np.array(gaze_r) + gaze_l) / 2
    ratios = (distance(MIDDLE_LIPS) / eye_distance, distance(MOUTH_CORNERS) / eye_distance)
    return np.array([*head_angles(points, first), *ratios, blink_r, blink_l, brow / eye_distance, gaze_x, gaze_y])


def head_angles(points: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Pitch, yaw and roll in degrees of the head's rotation since the first frame.

    The rotation fits the points on bone of both frames to each other by least squares (Kabsch 1976), their centres and
    sizes removed, so that neither a dropping jaw nor a widening mouth counts as a nod. Axes: x right, y down, z away.

    Args:
        points: landmarks [478, 3] in pixels.
        first: those of the first frame.
    """
    from scipy.spatial.transform import Rotation

    bone, bone_first = (frame[list(BONE)] - frame[list(BONE)].mean(0) for frame in (points, first))
    return Rotation.align_vectors(bone, bone_first)[0].as_euler("xyz", degrees=True)


def follow_scores(driver: np.ndarray, output: np.ndarray) -> FollowScores:
    """Scores of how the output's signals follow the driver's, on the frames that show both faces.

    `motion` is the mean correlation over the signals that the driver moves, `gain` the median of the output's range
    over the driver's there. Each signal has its correlation, gain, and mean absolute difference of the change since
    the first frame, in the signal's unit.

    Args:
        driver: `video_signals` [N, 10] of the driver.
        output: those of the output.
    """
    if len(driver) < MIN_FRAMES:
        reason = f"faces are seen in {len(driver)} common frames, and it needs {MIN_FRAMES}"
        return FollowScores({name: absent(name, ESTIMATOR, reason) for name in ("motion", "gain")}, None)
    driver_range, output_range = np.ptp(driver, 0), np.ptp(output, 0)
    correlation = [np.nan_to_num(pearson(a, b, STILL)) for a, b in zip(driver.T, output.T, strict=True)]
    change_error = np.abs((driver - driver[0]) - (output - output[0])).mean(0)
    moved = [i for i, noise in enumerate(NOISE_RANGE.values()) if driver_range[i] > noise]
    if moved:
        scores = {
            "motion": measured(
                np.mean([correlation[i] for i in moved]), "motion: correlation with the driver's", "", HIGHER,
                f"{ESTIMATOR}; mean over those that the driver moves",
            ),
            "gain": measured(
                np.median([output_range[i] / driver_range[i] for i in moved]), "gain: range over the driver's", "", ONE,
                f"{ESTIMATOR}; median over those that the driver moves",
            ),
        }  # fmt: skip
    else:
        scores = {name: absent(name, ESTIMATOR, "the driver does not move") for name in ("motion", "gain")}
    details: dict[str, SignalDetail] = {
        name: {
            "correlation": round(float(correlation[i]), 3),
            "gain": round(float(output_range[i] / driver_range[i]), 3) if driver_range[i] > STILL else None,
            "change_error": round(float(change_error[i]), 4),
            "range": [round(float(driver_range[i]), 4), round(float(output_range[i]), 4)],
            "unit": UNITS[name],
            "counted": i in moved,
        }
        for i, name in enumerate(NOISE_RANGE)
    }
    return FollowScores(scores, details)


def _eye_signals(points: np.ndarray, eye: Eye) -> tuple[float, float, float]:
    """Opening of an eye, and the iris across and down from the eye's middle, in eye widths."""
    left, right, upper, lower, iris = points[[*eye.corners, *eye.lids[1], eye.iris], :2]
    across = right - left
    width = _length(across)
    opening = _length(upper - lower) / width
    return opening, (iris - (left + right) / 2) @ across / width**2, (iris - (upper + lower) / 2)[1] / width


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector)) + 1e-6
