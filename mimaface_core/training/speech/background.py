"""Background of speech recordings: noise, other voices, mains hum, music, knocks.

Waves are float32 [T] at 16 kHz.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...audio.speech import SAMPLE_RATE
from .signals import band_pass, coloured_noise, filter_bins, filtered, from_decibels, random_curve, rms

# probabilities of steady noise, of changing noise (wind, traffic, handling), other voices, hum, music, and knocks
PROBABILITIES = (0.5, 0.15, 0.15, 0.1, 0.25, 0.1)
MIN_DISTANCE_DB = 5.0  # of background below a voice, at least
MIN_VOICES_DISTANCE_DB, MIN_MUSIC_DISTANCE_DB = 6.0, 3.0
OVERTONES = (1, 2, 3, 4, 6)  # of the mains
MAJOR_SCALE = np.array([0, 2, 4, 5, 7, 9, 11])  # semitones
HIGHEST_OVERTONE = 7500  # Hz
MIDDLE_A, MIDDLE_A_HZ = 69, 440  # note number of MIDI, and its frequency


class Background:
    """Random mixes of background audio.

    Args:
        others: waves of other voices, of which a babble is mixed.
        rng: source of the music, which is made once.
        music_seconds: length of the music, of which parts are taken.
    """

    def __init__(self, others: list[np.ndarray], rng: np.random.Generator, music_seconds: float) -> None:
        self.others, self.music = others, synthetic_music(music_seconds, rng)

    def mix(self, samples: int, rng: np.random.Generator, alone: bool) -> np.ndarray:
        """Background [samples] of a voice of unit level; `alone`: of none, so that it may be as loud as a voice."""
        out = coloured_noise(samples, rng.uniform(-2, 0), rng) * from_decibels(-rng.uniform(45, 85))
        nearest = 0.0 if alone else MIN_DISTANCE_DB
        steady, changing, voices, hum, music, knocks = rng.uniform(size=len(PROBABILITIES)) < PROBABILITIES
        if steady:
            noise = coloured_noise(samples, rng.uniform(-2.3, 0.3), rng)
            out += noise * from_decibels(-nearest - 40 * rng.uniform() ** 0.7)
        if changing:
            noise = coloured_noise(samples, rng.uniform(-2.3, 0), rng)
            noise = noise * 10 ** (random_curve(samples, SAMPLE_RATE * rng.uniform(0.1, 1), rng) * 0.4)
            out += _at_level(noise, -rng.uniform(nearest, 35))
        if voices and self.others:
            babble = np.zeros(samples, np.float32)
            for _ in range(rng.integers(2, 7)):
                babble += _random_part(self.others[rng.integers(len(self.others))], samples, rng)
            out += _at_level(babble, -rng.uniform(max(nearest, MIN_VOICES_DISTANCE_DB), 35))
        if hum:
            out += _at_level(mains_hum(samples, rng), -rng.uniform(nearest, 40))
        if music:
            part = _random_part(self.music, samples, rng)
            out += _at_level(part, -rng.uniform(max(nearest, MIN_MUSIC_DISTANCE_DB), 35))
        if knocks:
            impulses = (rng.uniform(size=samples) < rng.uniform(0.5, 20) / SAMPLE_RATE) * rng.standard_normal(samples)
            low, high = rng.uniform(30, 800), rng.uniform(1000, 7000)
            noise = filtered(impulses, band_pass(filter_bins(samples), low, high, 1))
            peak = max(np.abs(noise).max(), 1e-6)
            out += (noise / peak * from_decibels(-rng.uniform(-5, 25))).astype(np.float32)
        return out


def _at_level(noise: np.ndarray, decibels: float) -> np.ndarray:
    """Noise [T] scaled to a level in decibels of unit level."""
    return noise / max(rms(noise), 1e-4) * from_decibels(decibels)


def _random_part(wave: np.ndarray, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Random part [samples] of a longer wave; a shorter one is repeated."""
    start = rng.integers(max(1, len(wave) - samples))
    part = wave[start : start + samples].astype(np.float32)
    return np.resize(part, samples) if len(part) < samples else part


def mains_hum(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Hum [samples] of 50 or 60 Hz with overtones."""
    times, base = np.arange(samples, dtype=np.float32) / SAMPLE_RATE, rng.choice([50, 60])
    tones = [rng.uniform(0, 1) / k * np.sin(2 * np.pi * (base * k * times + rng.uniform())) for k in OVERTONES]
    return np.sum(tones, 0).astype(np.float32)


class _Piece(NamedTuple):
    """A piece of music: key (MIDI note), seconds of a beat, decay of overtones, plucked or bowed, with drums or not."""

    key: float
    beat: float
    overtone_decay: float
    plucked: bool
    drums: bool


def _random_piece(rng: np.random.Generator) -> _Piece:
    key, beat = rng.uniform(50, 62), rng.uniform(0.18, 0.6)
    return _Piece(key, beat, rng.uniform(0.4, 1.6), rng.uniform() < 0.5, rng.uniform() < 0.5)


def synthetic_music(seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Random instrumental music [T]: chords, tunes and drums, in pieces of about twenty beats."""
    samples = int(seconds * SAMPLE_RATE)
    out, at = np.zeros(samples, np.float32), 0
    piece = _Piece(rng.uniform(50, 62), rng.uniform(0.18, 0.6), 1.0, True, True)
    while at < samples:
        if rng.uniform() < 0.05:
            piece = _random_piece(rng)
        for _ in range(rng.integers(0, 4)):
            length = min(samples - at, int(piece.beat * rng.choice([1, 2, 4]) * SAMPLE_RATE))
            out[at : at + length] += _note(piece, length, rng)
        if piece.drums and rng.uniform() < 0.6:
            length = min(samples - at, int(rng.uniform(0.03, 0.25) * SAMPLE_RATE))
            hit = coloured_noise(length, rng.choice([-2.0, 0.0]), rng) * np.exp(-6 * np.linspace(0, 1, length))
            out[at : at + length] += (rng.uniform(0.5, 2) * hit).astype(np.float32)
        at += int(piece.beat * SAMPLE_RATE)
    return out


def _note(piece: _Piece, samples: int, rng: np.random.Generator) -> np.ndarray:
    """One note [samples] of a random pitch in the piece's key, with a little vibrato."""
    times = np.arange(samples, dtype=np.float32) / SAMPLE_RATE
    note = piece.key + rng.choice(MAJOR_SCALE) + 12 * rng.integers(-1, 3)
    pitch = MIDDLE_A_HZ * 2 ** ((note - MIDDLE_A) / 12)
    if piece.plucked:
        envelope = np.exp(-times * rng.uniform(2, 8))
    else:
        envelope = np.sin(np.pi * np.linspace(0, 1, samples)) ** 0.5
    vibrato = 1 + rng.uniform(0, 0.004) * np.sin(2 * np.pi * 5.5 * times)
    tone = np.zeros(samples, times.dtype)
    for k in range(1, 9):
        if k * pitch < HIGHEST_OVERTONE:
            tone = tone + k**-piece.overtone_decay * np.sin(2 * np.pi * k * pitch * times * vibrato + k)
    return (rng.uniform(0.2, 1) * envelope * tone).astype(np.float32)
