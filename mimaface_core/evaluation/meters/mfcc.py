"""Mel-frequency cepstral coefficients as SyncNet was trained on.

Ours: the original uses python_speech_features, which is unmaintained, and torchaudio's framing, mel bank and log energy
differ.
"""

from __future__ import annotations

import numpy as np

from ...audio.speech import SAMPLE_RATE

WINDOW_SAMPLES, HOP_SAMPLES = 400, 160  # 25 ms every 10 ms
FFT_POINTS = 512
MEL_BANDS, COEFFICIENTS = 26, 13
PRE_EMPHASIS = 0.97
LIFTER = 22
CHUNK = 6000  # windows computed at once, a minute


def mfcc(wave: np.ndarray) -> np.ndarray:
    """13 cepstral coefficients every 10 ms.

    16-bit scale, pre-emphasis, windows without taper, power spectrum, 26 mel triangles from 0 to 8 kHz, log,
    orthonormal DCT-II, lifter. The first coefficient is the window's log energy. Window k begins at k · 10 ms; the
    last one is padded with zeros.

    Args:
        wave: [T] in ±1 at 16 kHz.

    Returns:
        float32 [13, M].
    """
    from scipy.fft import dct

    signal = np.round(np.clip(wave.astype(np.float64), -1, 1) * 32768).clip(-32768, 32767)
    signal = np.concatenate([signal[:1], signal[1:] - PRE_EMPHASIS * signal[:-1]])
    count = 1 + max(0, -(-(len(signal) - WINDOW_SAMPLES) // HOP_SAMPLES))
    signal = np.pad(signal, (0, max(0, (count - 1) * HOP_SAMPLES + WINDOW_SAMPLES - len(signal))))
    tiny, bank = np.finfo(float).eps, _mel_bank()
    lift = 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    result = np.empty((COEFFICIENTS, count), np.float32)
    for start in range(0, count, CHUNK):
        all_windows = np.lib.stride_tricks.sliding_window_view(signal, WINDOW_SAMPLES)
        windows = all_windows[start * HOP_SAMPLES :: HOP_SAMPLES][:CHUNK]
        power = np.abs(np.fft.rfft(windows, FFT_POINTS)) ** 2 / FFT_POINTS
        energy = np.maximum(power.sum(1), tiny)
        mel = np.log(np.maximum(power @ bank.T, tiny))
        cepstrum = dct(mel, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS] * lift
        cepstrum[:, 0] = np.log(energy)
        result[:, start : start + len(windows)] = cepstrum.T
    return result


def _mel_bank() -> np.ndarray:
    """Triangles [26, 257] over the bins of the spectrum, their corners rounded down to whole bins."""
    highest = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, MEL_BANDS + 2) / 2595) - 1)
    bins = np.floor((FFT_POINTS + 1) * corners / SAMPLE_RATE)
    line = np.arange(FFT_POINTS // 2 + 1)
    rising = (line - bins[:-2, None]) / np.diff(bins)[:-1, None]
    falling = (bins[2:, None] - line) / np.diff(bins)[1:, None]
    # A triangle includes its first corner and excludes its last; its top is part of the falling side.
    left = (line >= bins[:-2, None]) & (line < bins[1:-1, None])
    right = (line >= bins[1:-1, None]) & (line < bins[2:, None])
    return np.where(left, rising, np.where(right, falling, 0.0))
