"""Correlation of mouth opening and loudness, its lag, its chance level, and closed mouths in pauses."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from .mouth_opening import closed_below
from .pearson import pearson
from .speech_level import ENVELOPE_SECONDS, LEVEL_SECONDS

MAX_LAG_SECONDS = 0.4  # by which the video may be late or early
LAG_STEP_SECONDS = 0.01
MIN_SECONDS = 1.0  # with a face and audio, for a correlation
MIN_CHANCE_SECONDS = 6.0  # for a chance level
MIN_SHIFT_SECONDS = 1.0  # between the voice and its shifted copy, for that to count as another voice
CHANCE_STEP = 5  # levels between two shifts
LIP_SECONDS = 0.1  # at both ends of a pause, in which the lips close and open


def correlations(opening: np.ndarray, fps: Fraction, envelope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pearson's correlation of mouth and loudness at each lag.

    A positive lag compares each frame with earlier audio: the video is late.

    Args:
        opening: [N], NaN without a face; frame i shows the instant (i + 0.5) / fps.
        fps: frames a second.
        envelope: loudness of `speech_level.envelope`.

    Returns:
        Lags in seconds [81], 0 in the middle, and the correlations [81], NaN without overlap.
    """
    instants = frame_instants(opening, fps)
    level_instants = (np.arange(len(envelope)) + 0.5) * LEVEL_SECONDS
    smooth = _smoothed(opening, ENVELOPE_SECONDS * float(fps))
    steps = round(MAX_LAG_SECONDS / LAG_STEP_SECONDS)
    lags = np.arange(-steps, steps + 1) * LAG_STEP_SECONDS
    values = np.full(len(lags), np.nan)
    for i, lag in enumerate(lags):
        delayed = instants - lag
        valid = np.isfinite(smooth) & (delayed >= 0) & (delayed <= len(envelope) * LEVEL_SECONDS)
        if valid.sum() >= MIN_SECONDS / 2 * fps:
            values[i] = pearson(smooth[valid], np.interp(delayed[valid], level_instants, envelope))
    return lags, values


def peak(lags: np.ndarray, values: np.ndarray) -> tuple[float | None, float | None]:
    """Highest correlation and its lag in seconds, by a parabola through it and its neighbours.

    The lag is None where the highest lies at the end of the search; both are None without any correlation.

    Args:
        lags: of `correlations`.
        values: of `correlations`.
    """
    if not np.isfinite(values).any():
        return None, None
    at = int(np.nanargmax(values))
    around = values[max(at - 1, 0) : at + 2]
    if len(around) < 3 or not np.isfinite(around).all():
        return float(values[at]), None
    before, top, after = around
    curvature = before - 2 * top + after
    shift = 0.0 if curvature == 0 else 0.5 * (before - after) / curvature
    return float(top - 0.25 * (before - after) * shift), float(lags[at] + shift * LAG_STEP_SECONDS)


def chance(opening: np.ndarray, fps: Fraction, envelope: np.ndarray) -> float | None:
    """Correlation that one in twenty wrong voices exceeds; None where the video is too short.

    The wrong voices are circular shifts of the right one by MIN_SHIFT_SECONDS or more.

    Args:
        opening: [N], NaN without a face.
        fps: frames a second.
        envelope: loudness of `speech_level.envelope`.
    """
    instants = frame_instants(opening, fps)
    smooth = _smoothed(opening, ENVELOPE_SECONDS * float(fps))
    valid = np.isfinite(smooth) & (instants <= len(envelope) * LEVEL_SECONDS)
    if valid.sum() < MIN_CHANCE_SECONDS * fps:
        return None
    at = np.minimum((instants[valid] / LEVEL_SECONDS).astype(int), len(envelope) - 1)
    used, least = envelope[: at.max() + 1], round(MIN_SHIFT_SECONDS / LEVEL_SECONDS)
    shifts = range(least, len(used) - least, CHANCE_STEP)
    return float(np.percentile([pearson(smooth[valid], np.roll(used, shift)[at]) for shift in shifts], 95))


def closed_in_pauses(opening: np.ndarray, fps: Fraction, pauses: list[tuple[float, float]]) -> list[bool]:
    """Closed mouth (True) or open one (False) in each pause that shows a face.

    The median opening is compared with `closed_below`, without LIP_SECONDS at either end of the pause.

    Args:
        opening: [N], NaN without a face.
        fps: frames a second.
        pauses: begin and end in seconds.
    """
    instants = frame_instants(opening, fps)
    closed = []
    for begin, end in pauses:
        within = opening[(instants >= begin + LIP_SECONDS) & (instants <= end - LIP_SECONDS)]
        if np.isfinite(within).any():
            closed.append(bool(np.nanmedian(within) < closed_below(opening)))
    return closed


def frame_instants(opening: np.ndarray, fps: Fraction) -> np.ndarray:
    """Instants [N] in seconds, the middle of each frame's time on the screen."""
    return (np.arange(len(opening)) + 0.5) / float(fps)


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values [N] under the envelope's low pass, `sigma` in frames; NaN is left out and stays."""
    from scipy.ndimage import gaussian_filter1d

    valid = np.isfinite(values)
    weight = gaussian_filter1d(valid.astype(float), sigma, mode="constant")
    total = gaussian_filter1d(np.where(valid, values, 0.0), sigma, mode="constant")
    return np.where(valid, total / np.maximum(weight, 1e-9), np.nan)
