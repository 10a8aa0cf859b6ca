"""Ten signals of a face, taken from landmarks alone, and how closely those of an output follow its driver's.

They are ratios and angles in the face's own frame, so that crops and people may differ, and they do not pass
through the face model that drives: a second opinion on what the fit says.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..scores import HIGHER, ONE, Score, absent, measured

ESTIMATOR = "ratios of mediapipe's landmarks, independent of the face model"
OUTER_EYES = (33, 263)
FOREHEAD, CHIN = 10, 152
INNER_LIPS, MOUTH_CORNERS = (13, 14), (61, 291)
BROWS_AND_LIDS = ((105, 159), (334, 386))
# Of an eye: its corners (the picture's left one first), upper and lower lid, centre of the iris.
RIGHT_EYE, LEFT_EYE = (33, 133, 159, 145, 468), (362, 263, 386, 374, 473)
# Ranges below these are the tracker's noise: degrees for the head, ratios for the rest.
FLOOR = {
    "pitch": 3.0, "yaw": 3.0, "roll": 3.0, "mouth": 0.08, "smile": 0.06, "blink_r": 0.15, "blink_l": 0.15,
    "brow": 0.05, "gaze_x": 0.06, "gaze_y": 0.05,
}  # fmt: skip
UNITS = {name: "°" if name in ("pitch", "yaw", "roll") else "ratio" for name in FLOOR}
FEWEST = 5  # frames that a correlation needs


def signals(points: np.ndarray) -> np.ndarray:
    """The signals, in FLOOR's order, [10], of one face's landmarks [478, 3] in pixels."""
    x, y = _axes(points)
    between_eyes = _length(points[OUTER_EYES[0]] - points[OUTER_EYES[1]])

    def flat(pair: tuple[int, int]) -> float:
        return _length(points[pair[0], :2] - points[pair[1], :2])

    brow = sum(flat(pair) for pair in BROWS_AND_LIDS) / 2
    (blink_r, *gaze_r), (blink_l, *gaze_l) = _eye(points, RIGHT_EYE), _eye(points, LEFT_EYE)
    gaze_x, gaze_y = (np.array(gaze_r) + gaze_l) / 2
    head = (_degrees(y[2], _length(y[:2])), _degrees(x[2], _length(x[:2])), _degrees(x[1], x[0]))
    ratios = (flat(INNER_LIPS) / between_eyes, flat(MOUTH_CORNERS) / between_eyes)
    return np.array([*head, *ratios, blink_r, blink_l, brow / between_eyes, gaze_x, gaze_y])


def follow_scores(driver: Sequence[np.ndarray], output: Sequence[np.ndarray]) -> dict[str, Score]:
    """How the output's signals follow the driver's, from what `signals` gave for each frame that shows both.

    motion: mean correlation over the signals that the driver really moves. gain: median of the output's range
    over the driver's there. Then for each signal its correlation, gain, and mean difference of the change since
    the first frame, in the signal's unit.
    """
    if len(driver) < FEWEST:
        reason = f"faces are seen in {len(driver)} common frames, and it needs {FEWEST}"
        return {name: absent(name, ESTIMATOR, reason) for name in ("motion", "gain")}
    shown, made = np.array(driver), np.array(output)
    spread, answer = np.ptp(shown, 0), np.ptp(made, 0)
    correlation = [_correlation(a, b) for a, b in zip(shown.T, made.T)]
    change = np.abs((shown - shown[0]) - (made - made[0])).mean(0)
    moved = [i for i, least in enumerate(FLOOR.values()) if spread[i] > least]
    if moved:
        scores = {
            "motion": measured(
                np.mean([correlation[i] for i in moved]), "motion: correlation with the driver's", "", HIGHER,
                f"{ESTIMATOR}; mean over those that the driver moves",
            ),
            "gain": measured(
                np.median([answer[i] / spread[i] for i in moved]), "gain: range over the driver's", "", ONE,
                f"{ESTIMATOR}; median over those that the driver moves",
            ),
        }  # fmt: skip
    else:
        scores = {name: absent(name, ESTIMATOR, "the driver does not move") for name in ("motion", "gain")}
    detail = {
        name: {
            "correlation": round(correlation[i], 3),
            "gain": round(float(answer[i] / spread[i]), 3) if spread[i] > 1e-9 else None,
            "change_error": round(float(change[i]), 4),
            "range": [round(float(spread[i]), 4), round(float(answer[i]), 4)],
            "unit": UNITS[name],
            "counted": i in moved,
        }
        for i, name in enumerate(FLOOR)
    }
    return scores | {"signals": detail}


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The head's x (between the eyes) and y (forehead to chin, at right angles to x), unit vectors."""
    x = points[OUTER_EYES[1]] - points[OUTER_EYES[0]]
    x = x / _length(x)
    y = points[CHIN] - points[FOREHEAD]
    y = y - (y @ x) * x
    return x, y / _length(y)


def _eye(points: np.ndarray, eye: tuple[int, ...]) -> tuple[float, float, float]:
    """Opening of an eye and where its iris lies, across and down from the middle, all over the eye's width."""
    left, right, upper, lower, iris = points[list(eye), :2]
    across = right - left
    width = _length(across)
    opening = _length(upper - lower) / width
    return opening, (iris - (left + right) / 2) @ across / width**2, (iris - (upper + lower) / 2)[1] / width


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector)) + 1e-6


def _degrees(opposite: float, adjacent: float) -> float:
    return float(np.degrees(np.arctan2(opposite, adjacent)))


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's; 0 where one of the two does not move."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-9 else 0.0
