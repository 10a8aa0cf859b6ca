"""Loudness of a voice through time, voice activity and pauses."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange

from ...audio.speech import SAMPLE_RATE, Speech
from ...media.container import Source

LEVEL_SECONDS = 0.01  # between two levels; level k is that of the instant (k + 0.5) · LEVEL_SECONDS
ENVELOPE_SECONDS = 0.04  # standard deviation of the low pass: −3 dB at 3.3 Hz, the rate of syllables
SILENCE_DB = -65.0  # of full scale: audio that never exceeds it holds no voice
MAX_SPEECH_RANGE_DB = 40.0  # between speech and background at most, however clean the recording
MIN_SPEECH_CONTRAST_DB = 10.0  # of speech above the background
# Thresholds of voice activity, as shares of the way from background to speech.
ONSET_SHARE, OFFSET_SHARE = 0.5, 0.35
MIN_PAUSE_SECONDS = 0.3


def read_voice(source: Source) -> np.ndarray:
    """Audio of a file as one channel at its own loudness, float32 [T] at SAMPLE_RATE, from the first video frame on.

    Args:
        source: path or bytes of a video or audio file.

    Raises:
        InputError: the file is missing, no media file, or holds no audio.
    """
    return torch.cat(list(Speech.of(source).blocks(normalised=False))).numpy()


def levels(wave: np.ndarray) -> np.ndarray:
    """Level in dB (0: a square wave of full scale) every LEVEL_SECONDS, over 30 ms, [T // 160]; at least −100.

    Args:
        wave: [T] in ±1 at SAMPLE_RATE.
    """
    from scipy.ndimage import uniform_filter1d

    step = round(SAMPLE_RATE * LEVEL_SECONDS)
    whole = wave[: len(wave) // step * step].astype(np.float64)
    power = (rearrange(whole, "(levels step) -> levels step", step=step) ** 2).mean(1)
    return 10 * np.log10(np.maximum(uniform_filter1d(power, 3, mode="nearest"), 1e-10))


def envelope(level: np.ndarray) -> np.ndarray:
    """Loudness at the instants of `levels`: power to the 0.3 (Stevens 1955), low-passed without delay."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(10 ** (0.03 * level), ENVELOPE_SECONDS / LEVEL_SECONDS, mode="nearest")


def speaking(level: np.ndarray) -> np.ndarray | None:
    """Voice activity, bool at the instants of `levels`; None where speech does not exceed the background enough.

    The thresholds are the file's own, with hysteresis: speech is the 90th percentile of all levels within
    MAX_SPEECH_RANGE_DB of the loudest, background the 5th percentile of all; between the thresholds the decision holds.
    """
    if not len(level) or level.max() < SILENCE_DB:
        return None
    speech = np.percentile(level[level > level.max() - MAX_SPEECH_RANGE_DB], 90)
    background = max(np.percentile(level, 5), speech - MAX_SPEECH_RANGE_DB)
    if speech - background < MIN_SPEECH_CONTRAST_DB:
        return None
    onset, offset = (background + share * (speech - background) for share in (ONSET_SHARE, OFFSET_SHARE))
    decision = np.where(level > onset, 1, np.where(level < offset, 0, -1))
    last = np.maximum.accumulate(np.where(decision >= 0, np.arange(len(level)), -1))
    return np.where(last < 0, False, decision[last] == 1)


def pauses(speech: np.ndarray) -> list[tuple[float, float]]:
    """Begin and end in seconds of each stretch without voice that is longer than MIN_PAUSE_SECONDS.

    Args:
        speech: voice activity of `speaking`.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[1], speech.astype(np.int8), [1]])))
    stretches = rearrange(edges, "(pauses ends) -> pauses ends", ends=2) * LEVEL_SECONDS
    return [(float(begin), float(end)) for begin, end in stretches if end - begin > MIN_PAUSE_SECONDS + 1e-9]
