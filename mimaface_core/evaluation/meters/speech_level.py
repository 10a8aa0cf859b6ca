"""What a clip lets hear of a voice: its loudness through time, where it speaks and where it pauses."""

from __future__ import annotations

import numpy as np
import torch

from ...audio.speech import SAMPLE_RATE, Speech
from ...media.container import Source

STEP = 0.01  # seconds between two levels; level k is of the instant (k + 0.5) · STEP
SMOOTH = 0.04  # seconds, standard deviation of the low pass: −3 dB at 3.3 Hz, the pace of syllables
SILENT = -65.0  # dB of full scale: a sound that is never louder holds no voice
WIDEST = 40.0  # dB between speech and background at most, however clean the recording
NARROWEST = 10.0  # dB that speech has to stand out by
# Of the way from background to speech: a voice begins above the one and ends below the other.
BEGINS, ENDS = 0.5, 0.35
SHORTEST_PAUSE = 0.3  # seconds


def listen(source: Source) -> np.ndarray:
    """The sound of a file as one channel at its own loudness, float32 [T] at SAMPLE_RATE, from the first frame's beginning.

    Raises InputError when the file is missing, no media file, or holds no sound.
    """
    return torch.cat(list(Speech.of(source).blocks(normalised=False))).numpy()


def levels(wave: np.ndarray) -> np.ndarray:
    """Level in dB (0: a square wave of full scale) every STEP seconds, over 30 ms, [T // 160]; at least −100."""
    from scipy.ndimage import uniform_filter1d

    hop = round(SAMPLE_RATE * STEP)
    power = (wave[: len(wave) // hop * hop].astype(np.float64).reshape(-1, hop) ** 2).mean(1)
    return 10 * np.log10(np.maximum(uniform_filter1d(power, 3, mode="nearest"), 1e-10))


def envelope(level: np.ndarray) -> np.ndarray:
    """Loudness on the grid of `levels`: power to the 0.3 (Stevens 1955), low-passed without delay."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(10 ** (0.03 * level), SMOOTH / STEP, mode="nearest")


def speaking(level: np.ndarray) -> np.ndarray | None:
    """Where there is a voice, bool on the grid of `levels`; None where it cannot be told from the background.

    The file is its own measure: speech is the 90th percentile of all that is within 40 dB of the loudest,
    background the 5th percentile of all, and a voice begins and ends at two thresholds between them.
    """
    if not len(level) or level.max() < SILENT:
        return None
    speech = np.percentile(level[level > level.max() - WIDEST], 90)
    background = max(np.percentile(level, 5), speech - WIDEST)
    if speech - background < NARROWEST:
        return None
    begins, ends = (background + share * (speech - background) for share in (BEGINS, ENDS))
    # between the thresholds it stays what it was
    decided = np.where(level > begins, 1, np.where(level < ends, 0, -1))
    last = np.maximum.accumulate(np.where(decided >= 0, np.arange(len(level)), -1))
    return np.where(last < 0, False, decided[last] == 1)


def pauses(speech: np.ndarray) -> list[tuple[float, float]]:
    """Begin and end in seconds of each stretch longer than SHORTEST_PAUSE in which nothing is said."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], speech.astype(np.int8), [1]])))
    stretches = edges.reshape(-1, 2) * STEP
    return [(float(begin), float(end)) for begin, end in stretches if end - begin > SHORTEST_PAUSE + 1e-9]
