"""Effects on recorded speech: breath, room, dynamics, clipping, codecs.

Waves are float32 [T] at 16 kHz. No effect delays its wave.
"""

from __future__ import annotations

import numpy as np

from ...audio.speech import SAMPLE_RATE
from .signals import FRAME, coloured_noise, from_decibels, overlap_add, short_time_spectra

BREATH_PAUSE_SECONDS = 0.25  # shortest pause in which a breath is taken
DECAY_TO_60_DB = 6.9  # ln(1000)
MU = 255  # of μ-law companding
MU_LAW_STEPS = 127  # of either sign


def whispered(wave: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Speech [T] with a share (0–1) of its harmonics replaced by breath noise; 1 is a whisper."""
    spectra = short_time_spectra(wave)
    phase = rng.uniform(0, 2 * np.pi, spectra.shape).astype(np.float32)
    breath = overlap_add(np.abs(spectra) * np.exp(1j * phase), len(wave))
    return (1 - share) * wave + share * breath


def breath_noises(pauses: list[tuple[int, int]], samples: int, level: float, rng: np.random.Generator) -> np.ndarray:
    """Breaths and lip smacks [samples] within pauses.

    Args:
        pauses: first sample and one past the last of each.
        samples: length of the result.
        level: RMS of the speech.
        rng: source of randomness.
    """
    out = np.zeros(samples, np.float32)
    for start, stop in pauses:
        if stop - start > BREATH_PAUSE_SECONDS * SAMPLE_RATE and rng.uniform() < 0.5:
            length = int(min(rng.uniform(0.15, 0.7) * SAMPLE_RATE, 0.9 * (stop - start)))
            at = int(rng.uniform(start, stop - length))
            swell = np.sin(np.pi * np.linspace(0, 1, length) ** rng.uniform(0.5, 2)).astype(np.float32)
            centre = rng.uniform(500, 3000)
            breath = coloured_noise(length, rng.uniform(-1, 0), rng, (centre / 3, centre * 2)) * swell
            out[at : at + length] += level * from_decibels(rng.uniform(-42, -16)) * breath
        if rng.uniform() < 0.2:
            length = int(rng.uniform(0.004, 0.03) * SAMPLE_RATE)
            if stop - start > 2 * length:
                at = int(rng.uniform(start, stop - length))
                decay = np.linspace(1, 0, length, dtype=np.float32)
                smack = coloured_noise(length, rng.uniform(-1, 0.5), rng) * decay
                out[at : at + length] += level * from_decibels(rng.uniform(-35, -8)) * smack
    return out


def room_impulse_response(rng: np.random.Generator) -> np.ndarray:
    """Random impulse response [R]: direct sound at sample 0, early reflections, exponentially decaying noise."""
    reverberation_time = np.exp(rng.uniform(np.log(0.1), np.log(0.8)))  # s, to −60 dB
    samples = int(reverberation_time * SAMPLE_RATE)
    times = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    response = coloured_noise(samples, rng.uniform(-1, 0), rng) * np.exp(-DECAY_TO_60_DB * times / reverberation_time)
    response[: int(rng.uniform(0.002, 0.02) * SAMPLE_RATE)] = 0
    response *= from_decibels(-rng.uniform(-2, 20)) / np.sqrt(np.square(response).sum() + 1e-9)
    for _ in range(rng.integers(3, 14)):
        delay = rng.uniform(0.001, 0.045)  # s
        reflection = rng.choice([-1, 1]) * rng.uniform(0.1, 0.6) * np.exp(-delay / 0.03)
        response[int(delay * SAMPLE_RATE)] += reflection
    response[0] = 1
    return response.astype(np.float32)


def compressed(wave: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Wave [T] with its level differences reduced to the share 1 − `strength`."""
    step = FRAME // 2
    padded = np.pad(wave, (0, -len(wave) % step))
    level = np.sqrt(np.square(padded).reshape(-1, step).mean(1) + 1e-10)
    reach = int(rng.uniform(1, 25))  # frames to either side that are averaged
    kernel = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    level = np.convolve(np.pad(level, reach, mode="edge"), kernel, "valid")
    loud = np.quantile(level, 0.9)
    gain = np.minimum((np.maximum(level, 1e-6) / loud) ** -strength, from_decibels(rng.uniform(6, 24)))
    return wave * np.interp(np.arange(len(wave)) / step - 0.5, np.arange(len(gain)), gain).astype(np.float32)


def lossy_coded(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wave [T] with artefacts of a lossy codec: weak bins of each frame dropped, the others inexact."""
    spectra = short_time_spectra(wave)
    size = np.abs(spectra)
    threshold = size.max(1, keepdims=True) * from_decibels(-rng.uniform(25, 50))
    inexactness = rng.uniform(0.05, 0.35)
    noise = 1 + inexactness * rng.uniform(-1, 1, size.shape).astype(np.float32)
    return overlap_add(np.where(size > threshold, spectra * noise, 0), len(wave))


def clipped(wave: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wave [T] clipped, hard or softly, at a high quantile of its own samples."""
    limit = max(float(np.quantile(np.abs(wave), rng.uniform(0.9, 0.998))), 1e-6)
    return np.clip(wave, -limit, limit) if rng.uniform() < 0.5 else limit * np.tanh(wave / limit)


def mu_law_coded(wave: np.ndarray) -> np.ndarray:
    """Wave [T] quantised to eight bits by μ-law companding (ITU-T G.711)."""
    peak = max(float(np.abs(wave).max()), 1e-6)
    companded = np.sign(wave) * np.log1p(MU * np.abs(wave) / peak) / np.log(MU + 1)
    companded = np.round(companded * MU_LAW_STEPS) / MU_LAW_STEPS
    expanded = np.sign(companded) * ((MU + 1) ** np.abs(companded) - 1) / MU * peak
    return expanded.astype(np.float32)
