"""Training crops of the voice network: clips of the corpus with varied tempo, pitch and loudness, recorded anew."""

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
from .augmentation import Recorder
from .corpus import load_item, stored_items
from .items import SpeechItem
from .signals import from_decibels, random_curve, rms

SPEECH_LEVEL = from_decibels(-22.0)  # RMS of the speaking parts, about that of voices normalised by `Speech`
# Loud speech has a wider mouth (J. Huber and B. Chandrasekaran, "Effects of increasing sound pressure level on lip and
# jaw movement parameters and consistency in young adults", 2006), which phonemes do not show.
OPENING_PER_LOUDNESS = 0.5  # decibels of the mouth's opening for one decibel of loudness
OPENING_RANGE_DB = (-6.0, 3.0)
SYLLABLE_SECONDS = 0.075  # window of loudness
LOUDNESS_LIMIT_DB = 9.0  # of the random change
CUT_FRAMES = 2  # mel frames at either end of a cut that its edge changes
CLEAN_PROBABILITY = 0.1
LEVEL_SIGMA_DB, LEVEL_LIMIT_DB = 3.0, 8.0  # of a recording's level
ALONE_RANGE_DB = (-40.0, 4.0)  # level of a background without a voice


@dataclass(frozen=True)
class SpeechClip:
    """Clean speech on the mel grid.

    Attributes:
        wave: float [T] at 16 kHz.
        viseme: [M].
        mouth: mouth vectors [M, K].
        stress: [M].
        about: as of SpeechItem.
    """

    wave: np.ndarray
    viseme: np.ndarray
    mouth: np.ndarray
    stress: np.ndarray
    about: dict[str, str]

    def __len__(self) -> int:
        """Number of mel frames."""
        return len(self.viseme)


def speaking(viseme: np.ndarray, samples: int) -> np.ndarray:
    """Mask [samples] of the samples whose mel frame is not at rest."""
    nearest = np.minimum((np.arange(samples) + HOP // 2) // HOP, len(viseme) - 1)
    return viseme[nearest] != REST


def load_clips(folder: Path, split: str, limit: int | None = None) -> list[SpeechClip]:
    """Clips of a corpus.

    Args:
        folder: of the corpus.
        split: `train` or `held_out`.
        limit: only the first so many.
    """
    return [leveled(load_item(path)) for path in stored_items(folder, split)[:limit]]


def leveled(item: SpeechItem) -> SpeechClip:
    """Clip of an item at SPEECH_LEVEL, in half precision to save memory."""
    wave, viseme = item.wave.numpy().astype(np.float32) / 32768, item.viseme.numpy()
    wave *= SPEECH_LEVEL / rms(wave, speaking(viseme, len(wave)))
    mouth = louder_mouth(item.mouth.numpy(), levels(wave, len(viseme)))
    stress = item.stress.half().numpy()
    return SpeechClip(wave.astype(np.float16), viseme, mouth.astype(np.float16), stress, item.about)


def levels(wave: np.ndarray, count: int) -> np.ndarray:
    """Loudness [count] at mel frames of a wave [T], in decibels of SPEECH_LEVEL."""
    window = np.hanning(int(SYLLABLE_SECONDS * SAMPLE_RATE)).astype(np.float32)
    power = np.maximum(fftconvolve(np.square(wave), window / window.sum(), "same")[::HOP], 0)
    power = np.pad(power, (0, max(0, count - len(power))), mode="edge")[:count]
    return 10 * np.log10(power / SPEECH_LEVEL**2 + 1e-9)


def louder_mouth(mouth: np.ndarray, decibels: np.ndarray) -> np.ndarray:
    """Mouth vectors [M, K] of speech that is louder than usual by decibels [M]."""
    opening = np.clip(OPENING_PER_LOUDNESS * decibels, *OPENING_RANGE_DB).astype(np.float32)
    return widened(torch.from_numpy(mouth.astype(np.float32)), torch.from_numpy(opening)).numpy()


def varied(clip: SpeechClip, frames: int, rng: np.random.Generator) -> SpeechClip:
    """Random cut of a clip, `frames` long, at a varying tempo, pitch and loudness."""
    tempo = np.exp(rng.normal(0, 0.08))
    slow = random_curve(frames, rng.uniform(8, 30), rng) * rng.uniform(0, 0.04)
    flutter = random_curve(frames, 2.0, rng) * rng.uniform(0, 0.015)
    elapsed = np.cumsum(tempo * np.exp(slow + flutter))
    place = rng.uniform(0, max(1.0, len(clip) - elapsed[-1])) + elapsed
    nearest = np.minimum(np.round(place).astype(int), len(clip) - 1)
    sample_frames = np.arange(frames * HOP) / HOP
    louder = random_curve(frames, rng.uniform(10, 40), rng) * rng.uniform(0, 6)
    louder = np.clip(louder, -LOUDNESS_LIMIT_DB, LOUDNESS_LIMIT_DB)
    wave = _resampled(clip.wave, np.interp(sample_frames, np.arange(frames), place) * HOP)
    wave = wave * 10 ** (np.interp(sample_frames, np.arange(frames), louder) / 20)
    mouth = louder_mouth(clip.mouth[nearest], louder)
    stress = clip.stress[nearest].astype(np.float32)
    return SpeechClip(wave.astype(np.float32), clip.viseme[nearest], mouth, stress, clip.about)


def _resampled(wave: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Values of a wave at increasing places between its samples, by Catmull–Rom splines."""
    start = np.clip(place.astype(np.int64), 1, len(wave) - 3)
    t = (place - start).astype(np.float32)
    part, start = wave[start[0] - 1 : start[-1] + 3].astype(np.float32), start - start[0] + 1
    a, b, c, d = (part[start + k] for k in (-1, 0, 1, 2))
    return b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))


def timbre(mel: Tensor, rng: np.random.Generator) -> Tensor:
    """Mels [M, 80] of another speaker: formants moved, spectrum blurred, sharper or flatter, sometimes bands masked."""
    bands = mel.shape[1]
    scaled = (np.arange(bands) + 0.5) * np.exp(rng.normal(0, 0.04))
    moved = scaled + random_curve(bands, rng.uniform(15, 40), rng) * rng.uniform(0, 1.5) - 0.5
    low = torch.from_numpy(np.clip(np.floor(moved), 0, bands - 2)).long()
    share = torch.from_numpy(np.clip(moved - low.numpy(), 0, 1)).float()
    mel = mel[:, low] * (1 - share) + mel[:, low + 1] * share
    if rng.uniform() < 0.3:  # a hoarse or breathy voice shows no harmonics, a high one few
        width = 2 * int(rng.integers(1, 3)) + 1
        mel = F.avg_pool1d(F.pad(mel[:, None], (width // 2,) * 2, mode="replicate"), width, 1)[:, 0]
    if rng.uniform() < 0.5:
        mean = mel.mean(1, keepdim=True)
        mel = mean + (mel - mean) * float(np.exp(rng.normal(0, 0.12)))
    if rng.uniform() < 0.2:
        start, width = int(rng.integers(bands)), int(rng.integers(1, 12))
        mel[:, start : start + width] = mel.mean()
    return mel.clamp(SILENCE, -SILENCE)


@dataclass(frozen=True)
class Batch:
    """A batch of B crops.

    Attributes:
        mel: [B, reach + T + reach, 80].
        viseme: [B, T], of the T frames in the middle.
        mouth: [B, T, K].
        stress: [B, T].
    """

    mel: Tensor
    viseme: Tensor
    mouth: Tensor
    stress: Tensor


class Crops:
    """Random crops of clips.

    Args:
        clips: of the corpus.
        recorder: of the recordings.
        count: T, frames with labels.
        reach: frames of context to either side.
        alone: probability of a background without a voice.
    """

    def __init__(
        self, clips: list[SpeechClip], recorder: Recorder, count: int, reach: int, alone: float = 0.06
    ) -> None:
        self.clips, self.recorder, self.count, self.reach, self.alone = clips, recorder, count, reach, alone

    def batch(self, size: int, rng: np.random.Generator) -> Batch:
        """Batch of `size` crops."""
        crops = [self.crop(rng) for _ in range(size)]
        return Batch(*(torch.stack(column) for column in zip(*crops, strict=True)))

    def crop(self, rng: np.random.Generator) -> tuple[Tensor, ...]:
        """One crop: the fields of a `Batch` without their first axis."""
        margin = self.reach + CUT_FRAMES
        frames = self.count + 2 * margin
        clip = varied(self.clips[rng.integers(len(self.clips))], frames, rng)
        alone = bool(rng.uniform() < self.alone)
        wave = self.record(clip, rng, alone)
        mel = timbre(mel_spectrogram(torch.from_numpy(wave)).T[CUT_FRAMES : frames - CUT_FRAMES], rng)
        if rng.uniform() < 0.2:  # the recording starts or ends here
            cut = int(rng.integers(1, self.reach + 1))
            mel[slice(0, cut) if rng.uniform() < 0.5 else slice(len(mel) - cut, None)] = SILENCE
        inside = slice(margin, margin + self.count)
        viseme, mouth, stress = (values[inside] for values in (clip.viseme, clip.mouth, clip.stress))
        if alone:
            viseme, mouth, stress = np.full_like(viseme, REST), np.zeros_like(mouth), np.zeros_like(stress)
        return mel, *map(torch.from_numpy, (viseme.astype(np.int64), mouth, stress))

    def record(self, clip: SpeechClip, rng: np.random.Generator, alone: bool) -> np.ndarray:
        """Recording of a clip at about the level that `Speech` gives; `alone`: only the background.

        Returns:
            Wave, float32 [T].
        """
        speaks = speaking(clip.viseme, len(clip.wave))
        if rng.uniform() < CLEAN_PROBABILITY and not alone:
            wave = clip.wave
        else:
            wave = self.recorder.record(clip.wave, speaks, rng, alone)
        if alone:
            return wave * np.float32(SPEECH_LEVEL * from_decibels(rng.uniform(*ALONE_RANGE_DB)) / rms(wave))
        gain = from_decibels(float(np.clip(rng.normal(0, LEVEL_SIGMA_DB), -LEVEL_LIMIT_DB, LEVEL_LIMIT_DB)))
        if speaks.mean() > 0.1:
            gain *= rms(clip.wave, speaks) / rms(wave, speaks)
        return (wave * gain).astype(np.float32)
