"""Curves and event times that movements are made of, in seconds, whatever the frame rate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

GRID_RATE = 100  # steps a second of the time grid on which rates are summed up
Array = np.ndarray
Curve = Callable[[Array], Array]  # values at times in seconds


def smoothed(values: Array, seconds: float) -> Array:
    """Values [T] on the grid, filtered by a Gaussian of the given deviation."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(values, seconds * GRID_RATE, mode="nearest")


def ease(x: Array) -> Array:
    """From 0 at 0 to 1 at 1 with the least jerk (Flash and Hogan 1985)."""
    x = np.clip(x, 0, 1)
    return x**3 * (10 - 15 * x + 6 * x * x)


def steps(times: Array, starts: Array, values: Array, seconds: Array) -> Array:
    """A curve that eases from value to value, from 0 on.

    Args:
        times: [N] to evaluate it at.
        starts: [E], ascending: when it leaves for the next value.
        values: [E, D].
        seconds: [E], how long it takes to get there. Up to six steps may overlap.

    Returns:
        [N, D].
    """
    overlap = 6
    last = np.searchsorted(starts, times, side="right") - 1
    before = np.concatenate([np.zeros((1, values.shape[1])), values])
    curve = np.zeros((len(times), values.shape[1]))
    curve += before[(last - overlap + 1).clip(0)]
    for k in range(overlap):
        event = last - k
        started = event >= 0
        e = event[started]
        progress = ease((times[started] - starts[e]) / seconds[e])
        curve[started] += (before[e + 1] - before[e]) * progress[:, None]
    return curve


def bumps(times: Array, peaks: Array, heights: Array, rise: float, hold: float, fall: float) -> Array:
    """A sum of bumps.

    Args:
        times: [N] to evaluate it at, ascending.
        peaks: [E], when each bump reaches its height.
        heights: [E, D].
        rise: seconds from 0 to the height.
        hold: seconds at the height.
        fall: seconds back to 0.

    Returns:
        [N, D].
    """
    curve = np.zeros((len(times), heights.shape[1]))
    for peak, height in zip(peaks, heights, strict=True):
        part = slice(*np.searchsorted(times, [peak - rise, peak + hold + fall]))
        since = times[part] - peak
        shape = ease(1 + since / rise) * ease(1 - (since - hold) / fall)
        curve[part] += shape[:, None] * height
    return curve


def random_wave(rng: np.random.Generator, low: float, high: float, parts: int = 12) -> Curve:
    """A smooth random curve between two frequencies (Hz), of mean 0 and deviation 1."""
    edges = np.geomspace(low, high, parts + 1)
    frequency, phase = rng.uniform(edges[:-1], edges[1:]), rng.uniform(0, 2 * np.pi, parts)

    def wave(times: Array) -> Array:
        return np.sqrt(2 / parts) * sum(
            np.sin(2 * np.pi * f * times + p) for f, p in zip(frequency, phase, strict=True)
        )

    return wave


class Clock:
    """Progress of a process whose rate changes, to draw the times of its events.

    Args:
        grid: [T] in seconds.
        rate: [T], progress a second.
    """

    def __init__(self, grid: Array, rate: Array) -> None:
        self._grid = grid
        self._progress = np.concatenate([[0.0], np.cumsum(rate)[:-1] / GRID_RATE])

    def after(self, now: float, amount: float) -> float:
        """The time at which `amount` more has passed since `now`; infinite if the grid ends before."""
        reached = np.interp(now, self._grid, self._progress) + amount
        return float(np.interp(reached, self._progress, self._grid, right=np.inf))
