"""Prosody on a time grid: where speech is, its phrases and its accents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .timing import GRID_RATE, Array, smoothed

PAUSE_SECONDS = 0.3  # of silence that end a phrase
ACCENT_STRESS = 0.25  # stress from which on a peak is an accent
_ACTIVITY_SECONDS = 0.35  # deviations of the Gaussians that smooth speech, for activity and for phrases, and stress
_SPEECH_SECONDS = 0.05
_STRESS_SECONDS = 0.04
_ACCENT_WINDOW_SECONDS = 0.34  # an accent is the highest stress within it


@dataclass(frozen=True)
class Prosody:
    """Prosody of a whole recording, independent of the frame rate.

    Attributes:
        grid: [T], seconds.
        activity: [T], 0–1, whether there is speech, smooth.
        phrase_starts: [P], seconds; a phrase lies between silences of at least `PAUSE_SECONDS`.
        phrase_ends: [Q], seconds; a phrase that is cut by the end of the recording has none.
        accents: [A], seconds of the peaks of stress.
        strengths: [A], stress of each accent, 0–1.
    """

    grid: Array
    activity: Array
    phrase_starts: Array
    phrase_ends: Array
    accents: Array
    strengths: Array

    @property
    def seconds(self) -> float:
        """The last time of the grid."""
        return self.grid[-1]

    @classmethod
    def of(cls, times: Array, speaking: Array, stress: Array, fps: float) -> Prosody:
        """Prosody from its course at video frames.

        Args:
            times: [N], seconds of each frame.
            speaking: [N], 0–1, whether there is speech.
            stress: [N], 0–1.
            fps: frames a second.
        """
        grid = np.arange(int(len(times) / fps * GRID_RATE) + 2) / GRID_RATE
        speaking, stress = np.interp(grid, times, speaking), np.interp(grid, times, stress)
        starts, ends = _phrases(grid, speaking)
        accents, strengths = _accents(grid, smoothed(stress, _STRESS_SECONDS))
        return cls(grid, smoothed(speaking, _ACTIVITY_SECONDS), starts, ends, accents, strengths)


def _phrases(grid: Array, speaking: Array) -> tuple[Array, Array]:
    """Starts and ends of phrases, in seconds."""
    spoken = np.concatenate([[False], smoothed(speaking, _SPEECH_SECONDS) > 0.5, [False]])
    change = np.flatnonzero(np.diff(spoken.astype(int)))
    starts, ends = change[::2], change[1::2]
    separate = starts[1:] - ends[:-1] >= PAUSE_SECONDS * GRID_RATE
    starts = starts[np.concatenate([[True], separate])[: len(starts)]]
    ends = ends[np.concatenate([separate, [True]])[: len(ends)]]
    return grid[starts], grid[ends[ends < len(grid)]]


def _accents(grid: Array, stress: Array) -> tuple[Array, Array]:
    """Times and strengths of accents."""
    from scipy.ndimage import maximum_filter1d

    rising = np.diff(stress, prepend=stress[:1]) > 0
    highest = maximum_filter1d(stress, int(_ACCENT_WINDOW_SECONDS * GRID_RATE) + 1)
    peak = (stress >= highest) & rising & (stress > ACCENT_STRESS)
    return grid[peak], stress[peak]
