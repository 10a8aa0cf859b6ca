"""Signal tools of audio augmentation: levels, random curves, frequency responses, short-time spectra, coloured noise.

Waves are float32 [T] at 16 kHz; randomness comes from the generator `rng` alone.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from ...audio.speech import SAMPLE_RATE

NYQUIST = SAMPLE_RATE / 2  # Hz
LOWEST_EQUALIZED = 60  # Hz; responses are constant below
EQUALIZER_KNOTS = 9  # one an octave
FRAME = 320  # samples of a short-time frame, 20 ms; frames overlap by half
_WINDOW = np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME).astype(np.float32)


def from_decibels(decibels: float) -> float:
    """Amplitude factor of a gain in decibels."""
    return 10 ** (decibels / 20)


def rms(wave: np.ndarray, where: np.ndarray | None = None) -> float:
    """Root mean square of a wave [T], or of its samples where the mask (bool [T]) is true; never 0."""
    samples = wave if where is None else wave[where]
    return float(np.sqrt(np.mean(np.square(samples)) + 1e-12)) if len(samples) else 1e-6


def random_curve(count: int, step: float, rng: np.random.Generator) -> np.ndarray:
    """Piecewise linear random curve [count] of about unit variance, with a knot every `step` values."""
    knots = rng.standard_normal(int(count / step) + 3).astype(np.float32)
    return np.interp(np.arange(count) / step + rng.uniform(), np.arange(len(knots)), knots).astype(np.float32)


def filtered(wave: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Wave [T] filtered by a real frequency response, whose length comes from `filter_bins`."""
    size = _fft_size(len(wave))
    return fft.irfft(fft.rfft(wave, size) * response, size)[: len(wave)]


def filter_bins(samples: int) -> int:
    """Bins of a frequency response for `filtered` waves of a length."""
    return _fft_size(samples) // 2 + 1


def _fft_size(samples: int) -> int:
    return fft.next_fast_len(samples, real=True)


def equalizer(bins: int, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth random frequency response [bins], 0 Hz to NYQUIST; strength: standard deviation in decibels."""
    frequency = np.arange(bins) / bins * SAMPLE_RATE / 2
    octaves = np.log2(np.maximum(frequency, LOWEST_EQUALIZED) / LOWEST_EQUALIZED)
    numbers = np.arange(EQUALIZER_KNOTS)
    knots = rng.normal(0, strength, EQUALIZER_KNOTS) + rng.normal(0, strength / 4) * numbers
    return (10 ** (np.interp(octaves, numbers, knots) / 20)).astype(np.float32)


def band_pass(bins: int, low: float, high: float, order: float) -> np.ndarray:
    """Butterworth-like response [bins], 0 Hz to NYQUIST, of the band from `low` to `high` Hz."""
    frequency = np.maximum(np.arange(bins) / bins * SAMPLE_RATE / 2, 1.0)
    power = (1 + (low / frequency) ** (2 * order)) * (1 + (frequency / high) ** (2 * order))
    return (1 / np.sqrt(power)).astype(np.float32)


def short_time_spectra(wave: np.ndarray) -> np.ndarray:
    """Spectra [M, FRAME / 2 + 1] of overlapping frames, which `overlap_add` inverts."""
    padded = np.pad(wave, (FRAME // 2, FRAME - len(wave) % (FRAME // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[:: FRAME // 2]
    return fft.rfft(frames * _WINDOW, axis=1)


def overlap_add(spectra: np.ndarray, samples: int) -> np.ndarray:
    """Wave [samples] of the spectra of overlapping frames."""
    halves = (fft.irfft(spectra, FRAME, axis=1) * _WINDOW).reshape(len(spectra), 2, FRAME // 2)
    return (halves[1:, 0] + halves[:-1, 1]).reshape(-1)[:samples].astype(np.float32)


def coloured_noise(
    samples: int, slope: float, rng: np.random.Generator, band: tuple[float, float] | None = None
) -> np.ndarray:
    """Noise [samples] of unit level.

    Args:
        samples: length.
        slope: exponent with which power depends on frequency: 0 white, −1 pink, −2 brown.
        rng: source of randomness.
        band: lowest and highest frequency in Hz.
    """
    size = _fft_size(max(samples, 16))
    bins = size // 2 + 1
    spectrum = rng.standard_normal((2, bins), np.float32)
    response = (np.maximum(np.arange(bins), bins / 200) / bins) ** (slope / 2)
    if band:
        response = response * band_pass(bins, *band, 2)
    wave = fft.irfft((spectrum[0] + 1j * spectrum[1]) * response.astype(np.float32), size)[:samples]
    return (wave / rms(wave)).astype(np.float32)
