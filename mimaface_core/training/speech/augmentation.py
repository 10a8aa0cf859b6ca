"""Audio augmentation: reverb, noise, band limits, codecs, gain."""

from __future__ import annotations

import numpy as np
from scipy import fft

from ...audio.speech import SAMPLE_RATE
from .background import Background
from .effects import (
    breath_noises,
    clipped,
    compressed,
    lossy_coded,
    mu_law_coded,
    room_impulse_response,
    whispered,
)
from .signals import band_pass, equalizer, filter_bins, filtered, random_curve, rms

BANDS = ((300, 3400), (300, 3400), (60, 3700), (100, 5000), (350, 7000), (30, 2800))  # Hz; telephone, 8 kHz, radio, …
HIGHEST_FREQUENCY = 7900  # Hz, of a band's upper limit
BACKGROUND_ALONE = 0.05  # RMS of a background without a voice


class Recorder:
    """Random recordings of clean speech.

    Nothing is delayed: the direct sound keeps its time, so that labels of the clean speech hold for the recording.

    Args:
        others: waves of other voices, float [T] at 16 kHz, for a babble in the background.
        rng: source of the background music, which is made once.
        music_seconds: length of that music.
    """

    def __init__(self, others: list[np.ndarray], rng: np.random.Generator, music_seconds: float) -> None:
        self._background = Background(others, rng, music_seconds)

    def record(self, wave: np.ndarray, speaks: np.ndarray, rng: np.random.Generator, alone: bool = False) -> np.ndarray:
        """One recording; before band limits and dynamics the voice has about the level of the clean wave.

        Args:
            wave: clean speech, float32 [T] at 16 kHz.
            speaks: bool [T], where somebody speaks.
            rng: source of all choices.
            alone: only the background, without the voice.

        Returns:
            Recording, float32 [T].
        """
        samples, level = len(wave), rms(wave, speaks)
        if rng.uniform() < 0.35:
            wave = whispered(wave, 1.0 if rng.uniform() < 0.05 else rng.uniform(0.03, 0.5), rng)
        gain = random_curve(samples, SAMPLE_RATE * rng.uniform(0.2, 0.8), rng)
        wave = wave * 10 ** (gain * (rng.uniform(0, 4) / 20))
        if rng.uniform() < 0.7:
            wave = wave + breath_noises(_pauses(speaks), samples, level, rng)
        wave = _reverberated(wave, rng)
        wave = wave * (level / rms(wave, speaks))
        if alone:
            wave, level = np.zeros_like(wave), BACKGROUND_ALONE
        return _transmitted(wave + level * self._background.mix(samples, rng, alone), rng)


def _pauses(speaks: np.ndarray) -> list[tuple[int, int]]:
    """First sample and one past the last of each run in which nobody speaks."""
    edges = np.flatnonzero(np.diff(np.concatenate([[1], speaks, [1]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _reverberated(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wave [T] through the frequency response of a microphone and, mostly, a room."""
    room = room_impulse_response(rng) if rng.uniform() < 0.65 else np.ones(1, np.float32)
    size = fft.next_fast_len(len(wave) + len(room), real=True)
    spectrum = fft.rfft(wave, size) * equalizer(size // 2 + 1, rng.uniform(0, 5), rng)
    return fft.irfft(spectrum * fft.rfft(room, size), size)[: len(wave)].astype(np.float32)


def _transmitted(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wave [T] through a random chain of band limit, compressor, clipping and codecs."""
    if rng.uniform() < 0.4:
        lowest, highest = BANDS[rng.integers(len(BANDS))]
        low, high = lowest * rng.uniform(0.7, 1.4), min(HIGHEST_FREQUENCY, highest * rng.uniform(0.8, 1.2))
        wave = filtered(wave, band_pass(filter_bins(len(wave)), low, high, rng.uniform(2, 10))).astype(np.float32)
    if rng.uniform() < 0.35:
        wave = compressed(wave, rng.uniform(0.1, 0.7), rng)
    if rng.uniform() < 0.12:
        wave = clipped(wave, rng)
    if rng.uniform() < 0.2:
        wave = lossy_coded(wave, rng)
    if rng.uniform() < 0.08:
        wave = mu_law_coded(wave)
    return wave
