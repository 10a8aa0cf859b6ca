"""Recordings of clean speech as the world makes them: breaths, rooms, noises, music, telephones, loud and quiet microphones.

Waves are float32 [n] of 16 kHz; every choice comes from the generator `rng` that is handed in. Nothing is delayed: the
direct sound stays where it was, so that labels of the clean speech hold for the recording.
"""

from __future__ import annotations

import numpy as np
from scipy import fft

from ...audio.speech import SAMPLE_RATE

Random = np.random.Generator
BANDS = ((300, 3400), (300, 3400), (60, 3700), (100, 5000), (350, 7000), (30, 2800))  # telephone, 8 kHz, radio, …
FRAME = 320  # samples of a short frame, 20 ms


def decibels(gain: float) -> float:
    """The factor of an amplitude that so many decibels are."""
    return 10 ** (gain / 20)


def loudness(wave: np.ndarray, where: np.ndarray | None = None) -> float:
    """Root mean square of a wave, or of the samples `where` (bool [n]) is true; never 0."""
    chosen = wave if where is None else wave[where]
    return float(np.sqrt(np.mean(np.square(chosen)) + 1e-12)) if len(chosen) else 1e-6


def curve(n: int, step: float, rng: Random) -> np.ndarray:
    """A smooth random course [n] of about unit variance that turns every `step` samples."""
    knots = rng.standard_normal(int(n / step) + 3).astype(np.float32)
    return np.interp(np.arange(n) / step + rng.uniform(), np.arange(len(knots)), knots).astype(np.float32)


def equalizer(bins: int, strength: float, rng: Random) -> np.ndarray:
    """A random smooth frequency response [bins] up to 8 kHz; strength: decibels it deviates by."""
    octaves = np.log2(np.maximum(np.arange(bins) / bins * SAMPLE_RATE / 2, 60) / 60)
    knots = rng.normal(0, strength, 9) + rng.normal(0, strength / 4) * np.arange(9)
    return (10 ** (np.interp(octaves, np.arange(9), knots) / 20)).astype(np.float32)


def band(bins: int, low: float, high: float, steep: float) -> np.ndarray:
    """The response [bins] of a band from `low` to `high` Hz."""
    f = np.maximum(np.arange(bins) / bins * SAMPLE_RATE / 2, 1.0)
    return (1 / np.sqrt((1 + (low / f) ** (2 * steep)) * (1 + (f / high) ** (2 * steep)))).astype(np.float32)


def frames(wave: np.ndarray) -> np.ndarray:
    """Spectra [m, FRAME / 2 + 1] of overlapping short frames; `unframe` puts them together again."""
    whole = np.pad(wave, (FRAME // 2, FRAME - len(wave) % (FRAME // 2)))
    cut = np.lib.stride_tricks.sliding_window_view(whole, FRAME)[:: FRAME // 2]
    return fft.rfft(cut * _WINDOW, axis=1)


def unframe(spectra: np.ndarray, n: int) -> np.ndarray:
    """The wave [n] of overlapping short frames."""
    cut = (fft.irfft(spectra, FRAME, axis=1) * _WINDOW).reshape(len(spectra), 2, FRAME // 2)
    return (cut[1:, 0] + cut[:-1, 1]).reshape(-1)[:n].astype(np.float32)


_WINDOW = np.sin(np.pi * (np.arange(FRAME) + 0.5) / FRAME).astype(np.float32)


# -- the voice itself


def breathe(wave: np.ndarray, share: float, rng: Random) -> np.ndarray:
    """A voice whose tone is replaced by breath: `share` 1 is a whisper."""
    spectra = frames(wave)
    phase = rng.uniform(0, 2 * np.pi, spectra.shape).astype(np.float32)
    breath = unframe(np.abs(spectra) * np.exp(1j * phase), len(wave))
    return (1 - share) * wave + share * breath


def breaths(pauses: list[tuple[int, int]], n: int, level: float, rng: Random) -> np.ndarray:
    """Breaths and smacks of the lips [n] within pauses (first sample, one past the last) of a voice of `level`."""
    out = np.zeros(n, np.float32)
    for start, stop in pauses:
        if stop - start > 0.25 * SAMPLE_RATE and rng.uniform() < 0.5:
            length = int(min(rng.uniform(0.15, 0.7) * SAMPLE_RATE, 0.9 * (stop - start)))
            at = int(rng.uniform(start, stop - length))
            swell = np.sin(np.pi * np.linspace(0, 1, length) ** rng.uniform(0.5, 2)).astype(np.float32)
            centre = rng.uniform(500, 3000)
            breath = coloured(length, rng.uniform(-1, 0), rng, (centre / 3, centre * 2)) * swell
            out[at : at + length] += level * decibels(rng.uniform(-42, -16)) * breath
        if rng.uniform() < 0.2:
            length = int(rng.uniform(0.004, 0.03) * SAMPLE_RATE)
            if stop - start > 2 * length:
                at = int(rng.uniform(start, stop - length))
                smack = coloured(length, rng.uniform(-1, 0.5), rng) * np.linspace(1, 0, length, dtype=np.float32)
                out[at : at + length] += level * decibels(rng.uniform(-35, -8)) * smack
    return out


def response(rng: Random) -> np.ndarray:
    """What a room makes of a click: the direct sound first, then early reflections, then a decaying rustle."""
    time = np.exp(rng.uniform(np.log(0.1), np.log(0.8)))
    n = int(time * SAMPLE_RATE)
    t = np.arange(n, dtype=np.float32) / SAMPLE_RATE
    tail = coloured(n, rng.uniform(-1, 0), rng) * np.exp(-6.9 * t / time)
    tail[: int(rng.uniform(0.002, 0.02) * SAMPLE_RATE)] = 0
    tail *= decibels(-rng.uniform(-2, 20)) / np.sqrt(np.square(tail).sum() + 1e-9)
    for _ in range(rng.integers(3, 14)):
        late = rng.uniform(0.001, 0.045)
        tail[int(late * SAMPLE_RATE)] += rng.choice([-1, 1]) * rng.uniform(0.1, 0.6) * np.exp(-late / 0.03)
    tail[0] = 1
    return tail.astype(np.float32)


# -- what else sounds


def coloured(n: int, slope: float, rng: Random, limits: tuple[float, float] | None = None) -> np.ndarray:
    """Noise [n] of unit level whose power falls with frequency^slope (0 white, −1 pink, −2 brown)."""
    size = fft.next_fast_len(max(n, 16), real=True)
    bins = size // 2 + 1
    spectrum = rng.standard_normal((2, bins), np.float32)
    shape = (np.maximum(np.arange(bins), bins / 200) / bins) ** (slope / 2)
    if limits:
        shape = shape * band(bins, *limits, 2)
    wave = fft.irfft((spectrum[0] + 1j * spectrum[1]) * shape.astype(np.float32), size)[:n]
    return (wave / loudness(wave)).astype(np.float32)


def hum(n: int, rng: Random) -> np.ndarray:
    """The mains and its overtones."""
    t, base = np.arange(n, dtype=np.float32) / SAMPLE_RATE, rng.choice([50, 60])
    parts = [rng.uniform(0, 1) / k * np.sin(2 * np.pi * (base * k * t + rng.uniform())) for k in (1, 2, 3, 4, 6)]
    return np.sum(parts, 0).astype(np.float32)


def music(seconds: float, rng: Random) -> np.ndarray:
    """Something like music: chords, tunes and drums without a voice."""
    n = int(seconds * SAMPLE_RATE)
    out, at = np.zeros(n, np.float32), 0
    key, beat = rng.uniform(50, 62), rng.uniform(0.18, 0.6)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    while at < n:
        if rng.uniform() < 0.05:  # another piece begins
            key, beat = rng.uniform(50, 62), rng.uniform(0.18, 0.6)
            brightness, pluck, drums = rng.uniform(0.4, 1.6), rng.uniform() < 0.5, rng.uniform() < 0.5
        elif at == 0:
            brightness, pluck, drums = 1.0, True, True
        for _ in range(rng.integers(0, 4)):
            length = min(n - at, int(beat * rng.choice([1, 2, 4]) * SAMPLE_RATE))
            t = np.arange(length, dtype=np.float32) / SAMPLE_RATE
            pitch = 440 * 2 ** ((key + rng.choice(scale) + 12 * rng.integers(-1, 3) - 69) / 12)
            shape = np.exp(-t * rng.uniform(2, 8)) if pluck else np.sin(np.pi * np.linspace(0, 1, length)) ** 0.5
            sway = 1 + rng.uniform(0, 0.004) * np.sin(2 * np.pi * 5.5 * t)
            overtones = [k for k in range(1, 9) if k * pitch < 7500]
            tone = sum(k**-brightness * np.sin(2 * np.pi * k * pitch * t * sway + k) for k in overtones)
            out[at : at + length] += (rng.uniform(0.2, 1) * shape * tone).astype(np.float32)
        if drums and rng.uniform() < 0.6:
            length = min(n - at, int(rng.uniform(0.03, 0.25) * SAMPLE_RATE))
            hit = coloured(length, rng.choice([-2.0, 0.0]), rng) * np.exp(-6 * np.linspace(0, 1, length))
            out[at : at + length] += (rng.uniform(0.5, 2) * hit).astype(np.float32)
        at += int(beat * SAMPLE_RATE)
    return out


# -- microphones, wires and broadcasters


def compress(wave: np.ndarray, strength: float, rng: Random) -> np.ndarray:
    """Quiet parts made louder: levels go by (1 − strength) of what they went by."""
    step = FRAME // 2
    level = np.sqrt(np.square(np.pad(wave, (0, -len(wave) % step))).reshape(-1, step).mean(1) + 1e-10)
    reach = int(rng.uniform(1, 25))
    level = np.convolve(np.pad(level, reach, mode="edge"), np.full(2 * reach + 1, 1 / (2 * reach + 1)), "valid")
    loud = np.quantile(level, 0.9)
    gain = np.minimum((np.maximum(level, 1e-6) / loud) ** -strength, decibels(rng.uniform(6, 24)))
    return wave * np.interp(np.arange(len(wave)) / step - 0.5, np.arange(len(gain)), gain).astype(np.float32)


def code(wave: np.ndarray, rng: Random) -> np.ndarray:
    """What a lossy codec leaves: parts of a frame far below its loudest are dropped, the rest is coarse."""
    spectra = frames(wave)
    size = np.abs(spectra)
    threshold = size.max(1, keepdims=True) * decibels(-rng.uniform(25, 50))
    coarse = rng.uniform(0.05, 0.35)
    noise = 1 + coarse * rng.uniform(-1, 1, size.shape).astype(np.float32)
    return unframe(np.where(size > threshold, spectra * noise, 0), len(wave))


def clip(wave: np.ndarray, rng: Random) -> np.ndarray:
    """Cut off above a quantile of its own samples, hard or soft."""
    top = max(float(np.quantile(np.abs(wave), rng.uniform(0.9, 0.998))), 1e-6)
    return np.clip(wave, -top, top) if rng.uniform() < 0.5 else top * np.tanh(wave / top)


def telephone_code(wave: np.ndarray) -> np.ndarray:
    """Eight bits a sample, μ-law."""
    top = max(float(np.abs(wave).max()), 1e-6)
    log = np.sign(wave) * np.log1p(255 * np.abs(wave) / top) / np.log(256)
    log = np.round(log * 127) / 127
    return (np.sign(log) * (256 ** np.abs(log) - 1) / 255 * top).astype(np.float32)


class Recorder:
    """Makes recordings. others: waves of other voices to draw a babble from; rng: for the music, which is made once."""

    def __init__(self, others: list[np.ndarray], rng: Random, music_seconds: float) -> None:
        self.others, self.music = others, music(music_seconds, rng)

    def record(self, wave: np.ndarray, speaks: np.ndarray, rng: Random, alone: bool = False) -> np.ndarray:
        """One recording of a clean wave. speaks: bool [n]; alone: only what sounds beside the voice.

        The level of the voice within the recording stays about what it was; see `relevel`.
        """
        n, level = len(wave), loudness(wave, speaks)
        if rng.uniform() < 0.35:
            wave = breathe(wave, 1.0 if rng.uniform() < 0.05 else rng.uniform(0.03, 0.5), rng)
        wave = wave * 10 ** (curve(n, SAMPLE_RATE * rng.uniform(0.2, 0.8), rng) * (rng.uniform(0, 4) / 20))
        edges = np.flatnonzero(np.diff(np.concatenate([[1], speaks, [1]])))
        pauses = [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        if rng.uniform() < 0.7:
            wave = wave + breaths(pauses, n, level, rng)

        # microphone and room at once
        room = response(rng) if rng.uniform() < 0.65 else np.ones(1, np.float32)
        size = fft.next_fast_len(n + len(room), real=True)
        bins = size // 2 + 1
        heard = fft.rfft(wave, size) * equalizer(bins, rng.uniform(0, 5), rng)
        wave = fft.irfft(heard * fft.rfft(room, size), size)[:n].astype(np.float32)
        wave = wave * (level / loudness(wave, speaks))
        if alone:
            wave, level = np.zeros_like(wave), 0.05
        wave = wave + level * self.surroundings(n, rng, alone)
        return self.channel(wave, rng)

    def surroundings(self, n: int, rng: Random, alone: bool) -> np.ndarray:
        """What sounds beside a voice of unit level [n]."""
        out = coloured(n, rng.uniform(-2, 0), rng) * decibels(-rng.uniform(45, 85))
        least = 0 if alone else 5
        chosen = rng.uniform(size=6) < (0.5, 0.15, 0.15, 0.1, 0.25, 0.1)
        if chosen[0]:
            noise = coloured(n, rng.uniform(-2.3, 0.3), rng)
            out += noise * decibels(-least - 40 * rng.uniform() ** 0.7)
        if chosen[1]:  # wind, traffic, handling
            noise = coloured(n, rng.uniform(-2.3, 0), rng) * 10 ** (
                curve(n, SAMPLE_RATE * rng.uniform(0.1, 1), rng) * 0.4
            )
            out += noise / loudness(noise) * decibels(-rng.uniform(least, 35))
        if chosen[2] and self.others:
            babble = sum(
                self._slice(self.others[rng.integers(len(self.others))], n, rng) for _ in range(rng.integers(2, 7))
            )
            out += babble / max(loudness(babble), 1e-4) * decibels(-rng.uniform(max(least, 6), 35))
        if chosen[3]:
            noise = hum(n, rng)
            out += noise / loudness(noise) * decibels(-rng.uniform(least, 40))
        if chosen[4]:
            noise = self._slice(self.music, n, rng)
            out += noise / max(loudness(noise), 1e-4) * decibels(-rng.uniform(max(least, 3), 35))
        if chosen[5]:  # knocks and crackle
            ticks = (rng.uniform(size=n) < rng.uniform(0.5, 20) / SAMPLE_RATE) * rng.standard_normal(n)
            size = fft.next_fast_len(n, real=True)
            bins = size // 2 + 1
            noise = fft.irfft(
                fft.rfft(ticks, size) * band(bins, rng.uniform(30, 800), rng.uniform(1000, 7000), 1), size
            )[:n]
            out += (noise / max(np.abs(noise).max(), 1e-6) * decibels(-rng.uniform(-5, 25))).astype(np.float32)
        return out

    @staticmethod
    def _slice(wave: np.ndarray, n: int, rng: Random) -> np.ndarray:
        """A random part [n] of a longer wave; a shorter one is repeated."""
        start = rng.integers(max(1, len(wave) - n))
        part = wave[start : start + n].astype(np.float32)
        return np.resize(part, n) if len(part) < n else part

    @staticmethod
    def channel(wave: np.ndarray, rng: Random) -> np.ndarray:
        """What microphone, wires and broadcaster do to it all."""
        n = len(wave)
        if rng.uniform() < 0.4:
            low, high = BANDS[rng.integers(len(BANDS))]
            size = fft.next_fast_len(n, real=True)
            limits = band(
                size // 2 + 1, low * rng.uniform(0.7, 1.4), min(7900, high * rng.uniform(0.8, 1.2)), rng.uniform(2, 10)
            )
            wave = fft.irfft(fft.rfft(wave, size) * limits, size)[:n].astype(np.float32)
        if rng.uniform() < 0.35:
            wave = compress(wave, rng.uniform(0.1, 0.7), rng)
        if rng.uniform() < 0.12:
            wave = clip(wave, rng)
        if rng.uniform() < 0.2:
            wave = code(wave, rng)
        if rng.uniform() < 0.08:
            wave = telephone_code(wave)
        return wave
