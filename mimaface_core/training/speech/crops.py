"""What the voice network learns from: crops of the speech corpus, performed a little differently and recorded somewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.signal import fftconvolve
from torch import Tensor
from torch.nn import functional as F

from ...audio.mel import HOP, mel_spectrogram
from ...audio.speech import SAMPLE_RATE
from ...audio.voice.lips import REST, widened
from ...audio.voice.net import SILENCE
from .augmentation import Random, Recorder, curve, decibels, loudness
from .corpus import SpeechItem, load_item, stored_items

LEVEL = decibels(-22.0)  # of the speaking parts: about what `Speech` brings voices to
# Loud speech is said with a wider mouth (J. Huber and B. Chandrasekaran, "Effects of increasing sound pressure level on
# lip and jaw movement parameters and consistency in young adults", 2006), of which phonemes say nothing: decibels of
# opening for one of loudness, and the least and the most of them
WIDER, LEAST, MOST = 0.5, -6.0, 3.0
SYLLABLE = 0.075  # seconds in which loudness is taken
EDGE = 2  # mel frames at both ends that see the cut


@dataclass(frozen=True)
class Clip:
    """Clean speech: wave [T], and on its mel grid viseme [M], mouth [M, K], stress [M]; about: see SpeechItem."""

    wave: np.ndarray
    viseme: np.ndarray
    mouth: np.ndarray
    stress: np.ndarray
    about: dict[str, str]

    def __len__(self) -> int:
        return len(self.viseme)


def speaking(viseme: np.ndarray, samples: int) -> np.ndarray:
    """For each sample [samples], whether its mel frame is none of rest."""
    nearest = np.minimum((np.arange(samples) + HOP // 2) // HOP, len(viseme) - 1)
    return viseme[nearest] != REST


def load_clips(folder: Path, which: str, most: int | None = None) -> list[Clip]:
    """The clips of a split (`train` or `held_out`) of the corpus in a folder; the first `most` of them."""
    return [leveled(load_item(path)) for path in stored_items(folder, which)[:most]]


def leveled(item: SpeechItem) -> Clip:
    """A clip of an item of the corpus, at `LEVEL`."""
    wave, viseme = item.wave.numpy().astype(np.float32) / 32768, item.viseme.numpy()
    wave *= LEVEL / loudness(wave, speaking(viseme, len(wave)))
    mouth = louder_mouth(item.mouth.numpy(), levels(wave, len(viseme)))
    # half precision, so that hours of speech fit into memory
    return Clip(wave.astype(np.float16), viseme, mouth.astype(np.float16), item.stress.half().numpy(), item.about)


def levels(wave: np.ndarray, count: int) -> np.ndarray:
    """Loudness at `count` mel frames, decibels above or below that of speech at `LEVEL`."""
    window = np.hanning(int(SYLLABLE * SAMPLE_RATE)).astype(np.float32)
    power = np.maximum(fftconvolve(np.square(wave), window / window.sum(), "same")[::HOP], 0)
    power = np.pad(power, (0, max(0, count - len(power))), mode="edge")[:count]
    return 10 * np.log10(power / LEVEL**2 + 1e-9)


def louder_mouth(mouth: np.ndarray, louder: np.ndarray) -> np.ndarray:
    """Mouths [M, K] of speech that is by `louder` [M] decibels louder than usual."""
    by = np.clip(WIDER * louder, LEAST, MOST).astype(np.float32)
    return widened(torch.from_numpy(mouth.astype(np.float32)), torch.from_numpy(by)).numpy()


def performed(clip: Clip, count: int, rng: Random) -> Clip:
    """`count` frames of a clip at another tempo, pitch and loudness, none of them steady."""
    tempo = np.exp(rng.normal(0, 0.08))
    wobble = curve(count, rng.uniform(8, 30), rng) * rng.uniform(0, 0.04) + curve(count, 2.0, rng) * rng.uniform(
        0, 0.015
    )
    pace = np.cumsum(tempo * np.exp(wobble))
    place = rng.uniform(0, max(1.0, len(clip) - pace[-1])) + pace
    near = np.minimum(np.round(place).astype(int), len(clip) - 1)
    samples = np.interp(np.arange(count * HOP) / HOP, np.arange(count), place) * HOP
    louder = np.clip(curve(count, rng.uniform(10, 40), rng) * rng.uniform(0, 6), -9, 9)
    mouth = louder_mouth(clip.mouth[near], louder)
    wave = _at(clip.wave, samples) * 10 ** (np.interp(np.arange(count * HOP) / HOP, np.arange(count), louder) / 20)
    return Clip(wave.astype(np.float32), clip.viseme[near], mouth, clip.stress[near].astype(np.float32), clip.about)


def _at(wave: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values of a wave between its samples, by a cubic through four of them (Catmull and Rom)."""
    start = np.clip(place.astype(np.int64), 1, len(wave) - 3)
    t = (place - start).astype(np.float32)
    part, start = wave[start[0] - 1 : start[-1] + 3].astype(np.float32), start - start[0] + 1
    a, b, c, d = (part[start + k] for k in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def timbre(mel: Tensor, rng: Random) -> Tensor:
    """Mels [M, 80] of a speaker with another throat: formants moved, sharper or flatter; sometimes bands are lost."""
    bands = mel.shape[1]
    centre = np.arange(bands) + 0.5
    moved = centre * np.exp(rng.normal(0, 0.04)) + curve(bands, rng.uniform(15, 40), rng) * rng.uniform(0, 1.5) - 0.5
    low = torch.from_numpy(np.clip(np.floor(moved), 0, bands - 2)).long()
    share = torch.from_numpy(np.clip(moved - low.numpy(), 0, 1)).float()
    mel = mel[:, low] * (1 - share) + mel[:, low + 1] * share
    if rng.uniform() < 0.3:  # a hoarse or breathy voice has no harmonics to see, a high one few
        width = 2 * int(rng.integers(1, 3)) + 1
        mel = F.avg_pool1d(F.pad(mel[:, None], (width // 2,) * 2, mode="replicate"), width, 1)[:, 0]
    if rng.uniform() < 0.5:
        usual = mel.mean(1, keepdim=True)
        mel = usual + (mel - usual) * float(np.exp(rng.normal(0, 0.12)))
    if rng.uniform() < 0.2:
        start, width = int(rng.integers(bands)), int(rng.integers(1, 12))
        mel[:, start : start + width] = mel.mean()
    return mel.clamp(SILENCE, -SILENCE)


@dataclass(frozen=True)
class Batch:
    """mel [B, reach + T + reach, 80]; of the T frames in its middle viseme [B, T], mouth [B, T, K] and stress [B, T]."""

    mel: Tensor
    viseme: Tensor
    mouth: Tensor
    stress: Tensor


class Crops:
    """Makes batches. count: T, frames that are learned from; reach: frames beyond them to either side."""

    def __init__(self, clips: list[Clip], recorder: Recorder, count: int, reach: int, alone: float = 0.06) -> None:
        self.clips, self.recorder, self.count, self.reach, self.alone = clips, recorder, count, reach, alone

    def batch(self, size: int, rng: Random) -> Batch:
        """`size` crops."""
        made = [self.crop(rng) for _ in range(size)]
        return Batch(*(torch.stack(column) for column in zip(*made, strict=True)))

    def crop(self, rng: Random) -> tuple[Tensor, ...]:
        """One crop: the fields of a `Batch` without their first axis."""
        frames = self.count + 2 * (self.reach + EDGE)
        clip = performed(self.clips[rng.integers(len(self.clips))], frames, rng)
        alone = rng.uniform() < self.alone
        wave = self.record(clip, rng, alone)
        mel = timbre(mel_spectrogram(torch.from_numpy(wave)).T[EDGE : frames - EDGE], rng)
        if rng.uniform() < 0.2:  # the recording begins or ends here
            cut = int(rng.integers(1, self.reach + 1))
            mel[slice(0, cut) if rng.uniform() < 0.5 else slice(len(mel) - cut, None)] = SILENCE
        inside = slice(self.reach + EDGE, self.reach + EDGE + self.count)
        viseme, mouth, stress = (x[inside] for x in (clip.viseme, clip.mouth, clip.stress))
        if alone:
            viseme, mouth, stress = np.full_like(viseme, REST), np.zeros_like(mouth), np.zeros_like(stress)
        return mel, *map(torch.from_numpy, (viseme.astype(np.int64), mouth, stress))

    def record(self, clip: Clip, rng: Random, alone: bool) -> np.ndarray:
        """A recording of a clip at about the level that `Speech` gives, sometimes up to 8 dB beside it."""
        speaks = speaking(clip.viseme, len(clip.wave))
        if rng.uniform() < 0.1 and not alone:
            wave = clip.wave  # as clean as it was
        else:
            wave = self.recorder.record(clip.wave, speaks, rng, alone)
        if alone:
            return wave * np.float32(LEVEL * decibels(rng.uniform(-40, 4)) / loudness(wave))
        gain = decibels(float(np.clip(rng.normal(0, 3), -8, 8)))
        if speaks.mean() > 0.1:
            gain *= loudness(clip.wave, speaks) / loudness(wave, speaks)
        return (wave * gain).astype(np.float32)
