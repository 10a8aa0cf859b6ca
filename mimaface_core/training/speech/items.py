"""Items of synthetic speech: sentences of one voice, with visemes, mouths and accents."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ...audio.mel import HOP
from ...audio.speech import SAMPLE_RATE
from . import espeak
from .articulation import accents, labels, mouths
from .espeak import Phone
from .phonemes import VOWEL_VISEMES, ipa_letters, viseme_of
from .texts import VOCABULARIES, random_sentence

TRAIN, HELD_OUT = "train", "held_out"  # splits
ITEM_STREAM = 16  # of an item's random numbers
ITEM_SECONDS = 35.0  # least length of an item
UNSEEN_LANGUAGES = ("sv", "el", "sw")  # never trained on
VARIANTS = (  # of espeak-ng's voices
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Andrea", "Annie", "Alex",
    "Andy", "Denis", "Gene", "Jacky", "Mario", "Michael", "Mike", "Mr serious", "Nguyen", "steph", "zac", "adam",
    "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "gustave", "croak", "david", "ed", "edward",
    "grandma", "grandpa", "iven", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "linda", "marcelo", "max",
    "norbert", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph2", "travis", "victor", "whisper",
    "whisperf",
)  # fmt: skip
HELD_OUT_VOICES = 9  # one voice in so many is held out
HELD_OUT_EVERY = 10  # every tenth item is of a held-out voice, every thirtieth of an unseen language
MIN_PAUSE_SECONDS = 0.05  # a shorter silence between sounds is no pause
USUAL_DOWN, RESAMPLE_UP = 441, 320  # 22050 Hz × 320 / 441 = 16000 Hz
DOWN_RANGE = (375, 529)
LOUDNESS_RANGE_DB = 8.0  # about the median of vowels, that is mapped to ±1


@dataclass(frozen=True)
class SpeechItem:
    """Speech with the mouth's movement: T samples at 16 kHz, N = 1 + T // 200 mel frames at 80 Hz.

    Attributes:
        wave: int16 [T].
        viseme: index of VISEMES, uint8 [N].
        mouth: mouth vectors [N, K] (see audio/voice/visemes.py).
        stress: accents [N], 0–1.
        about: language, variant, voice (both), rate (words a minute), split, unseen_language, pitch, melody,
            shift, text, phones.
    """

    wave: Tensor
    viseme: Tensor
    mouth: Tensor
    stress: Tensor
    about: dict[str, str]


def voice_split(voice: str) -> str:
    """Split (`train` or `held_out`) of a voice by its name ("de+f2")."""
    language = voice.split("+")[0]
    held_out = language in UNSEEN_LANGUAGES or zlib.crc32(voice.encode()) % HELD_OUT_VOICES == 0
    return HELD_OUT if held_out else TRAIN


def voices(split: str) -> list[str]:
    """All voices of a split, in order."""
    names = [f"{language}+{variant}".rstrip("+") for language in VOCABULARIES for variant in VARIANTS]
    return [name for name in names if voice_split(name) == split]


def make_item(number: int, seconds: float = ITEM_SECONDS) -> SpeechItem:
    """Sentences of one voice with silences between them.

    Args:
        number: of the item; the same one always gives the same item.
        seconds: least length.

    Raises:
        InputError: espeak-ng is missing.
    """
    rng = np.random.default_rng([number, ITEM_STREAM])
    voice, split = _random_voice(rng, number)
    language = voice.split("+")[0]
    rate, pitch, melody = int(rng.integers(120, 261)), int(rng.integers(20, 81)), int(rng.integers(20, 90))
    # speech played faster is higher in pitch and formants, as of a smaller person
    down = int(np.clip(round(USUAL_DOWN * np.exp(rng.normal(0, 0.1))), *DOWN_RANGE))
    espeak.restart()

    def speak(text: str) -> tuple[np.ndarray, list[Phone]]:
        return espeak.speak(text, voice, int(rate * rng.uniform(0.9, 1.1)), pitch, melody)

    wave, phones, texts = _monologue(rng, language, speak, down, seconds)
    phones = _merge_pauses(phones)
    frames = 1 + len(wave) // HOP
    times = [[p.name, *(round(t, 4) for t in (p.start, p.release, p.end)), p.stress] for p in phones]
    about = {
        "language": language,
        "variant": voice.partition("+")[2],
        "voice": voice,
        "rate": str(rate),
        "split": split,
        "unseen_language": str(language in UNSEEN_LANGUAGES).lower(),
        "pitch": str(pitch),
        "melody": str(melody),
        "shift": f"{down / USUAL_DOWN:.3f}",
        "text": " ".join(texts),
        "phones": json.dumps(times, ensure_ascii=False),
    }
    return SpeechItem(
        wave=torch.from_numpy(wave),
        viseme=torch.from_numpy(labels(phones, frames)),
        mouth=torch.from_numpy(mouths(phones, frames, _vowel_loudness(wave, phones))).float(),
        stress=torch.from_numpy(accents(phones, frames)).float(),
        about=about,
    )


def _random_voice(rng: np.random.Generator, number: int) -> tuple[str, str]:
    """Voice of an item, and its split."""
    split = HELD_OUT if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else TRAIN
    unseen = number % (3 * HELD_OUT_EVERY) == HELD_OUT_EVERY - 1
    languages = UNSEEN_LANGUAGES if unseen else [name for name in VOCABULARIES if name not in UNSEEN_LANGUAGES]
    language = str(rng.choice(languages))
    return str(rng.choice([name for name in voices(split) if name.split("+")[0] == language])), split


def _monologue(
    rng: np.random.Generator,
    language: str,
    speak: Callable[[str], tuple[np.ndarray, list[Phone]]],
    down: int,
    seconds: float,
) -> tuple[np.ndarray, list[Phone], list[str]]:
    """Samples int16 [T] of sentences and silences, their phones, and the sentences.

    Args:
        rng: source of sentences, levels and pauses.
        language: of the sentences.
        speak: text to samples at ESPEAK_RATE and phones.
        down: resampling factor 320 / down, which shifts pitch and formants.
        seconds: least length.
    """
    from scipy.signal import resample_poly

    pieces: list[np.ndarray] = []
    phones: list[Phone] = []
    texts, length = [], 0

    def add_silence(shortest: float, longest: float) -> None:
        nonlocal length
        count = int(rng.uniform(shortest, longest) * SAMPLE_RATE)
        end = (length + count) / SAMPLE_RATE
        phones.append(Phone("", length / SAMPLE_RATE, end, end))
        pieces.append(np.zeros(count))
        length += count

    add_silence(0.1, 0.8)
    while length < seconds * SAMPLE_RATE:
        text = random_sentence(rng, language)
        spoken, spoken_phones = speak(text)
        piece = resample_poly(spoken / 32768.0, RESAMPLE_UP, down) * 10 ** (rng.normal(0, 2.0) / 20)
        phones += _moved(spoken_phones, USUAL_DOWN / down, length / SAMPLE_RATE)
        pieces.append(piece)
        texts.append(text)
        length += len(piece)
        if rng.random() < 0.6:
            add_silence(0.2, 2.0)
        else:
            add_silence(0.02, 0.2)
    wave = np.concatenate(pieces)
    wave = wave / max(np.abs(wave).max(), 1e-9) * rng.uniform(0.3, 0.95)
    return np.round(wave * 32767).astype(np.int16), phones, texts


def _moved(phones: list[Phone], factor: float, offset: float) -> list[Phone]:
    """Phones with their times scaled, then shifted by `offset` seconds."""
    return [
        replace(p, start=p.start * factor + offset, end=p.end * factor + offset, release=p.release * factor + offset)
        for p in phones
    ]


def _merge_pauses(phones: list[Phone]) -> list[Phone]:
    """Phones with neighbouring pauses merged, and silences too short for a pause given to the sound before."""
    merged: list[Phone] = []
    for phone in phones:
        if merged and not phone.name and not merged[-1].name:
            merged[-1] = replace(merged[-1], end=phone.end, release=phone.end)
        else:
            merged.append(phone)
    out = merged[:1]
    for phone in merged[1:]:
        if not phone.name and phone.end - phone.start < MIN_PAUSE_SECONDS:
            out[-1] = replace(out[-1], end=phone.end)
        else:
            out.append(phone)
    return out


def _vowel_loudness(wave: np.ndarray, phones: list[Phone]) -> list[float]:
    """Loudness of each vowel against the median, −1 to 1; 0 of all other phones."""
    out = [0.0] * len(phones)
    levels = {}
    for i, phone in enumerate(phones):
        piece = wave[int(phone.start * SAMPLE_RATE) : int(phone.end * SAMPLE_RATE)].astype(np.float64)
        if phone.name and len(piece) and (piece**2).mean() > 1 and _is_vowel(phone.name):
            levels[i] = 10 * np.log10((piece**2).mean())
    if levels:
        median = np.median(list(levels.values()))
        for i, level in levels.items():
            out[i] = float(np.clip((level - median) / LOUDNESS_RANGE_DB, -1, 1))
    return out


def _is_vowel(name: str) -> bool:
    return viseme_of(ipa_letters(name)[0]) in VOWEL_VISEMES
