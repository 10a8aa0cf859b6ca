"""The corpus of synthetic speech: sound, visemes, mouths and accents of many voices, one safetensors file for each item."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...audio.voice.visemes import MOUTH
from ...errors import InputError
from . import espeak
from .articulation import GRID, accents, labels, mouths, viseme
from .espeak import Phone
from .texts import WORDS, random_sentence

RATE = 16000  # samples a second
HOP = RATE // GRID
SECONDS = 35.0  # how long an item is at least
UNSEEN = ("sv", "el", "sw")  # languages that are never trained on
VARIANTS = (
    "", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "Andrea", "Annie", "Alex", "Andy", "Denis", "Gene", "Jacky", "Mario",
    "Michael", "Mike", "Mr serious", "Nguyen", "steph", "zac", "adam", "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "gustave", "croak",
    "david", "ed", "edward", "grandma", "grandpa", "iven", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "linda", "marcelo", "max", "norbert",
    "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby", "steph2", "travis", "victor", "whisper", "whisperf",
)  # fmt: skip
GAP = 0.05  # seconds; a shorter silence between sounds is no pause
HELD_OUT_EVERY = 10  # every tenth item is of a held-out voice, every thirtieth of an unseen language


@dataclass(frozen=True)
class SpeechItem:
    """Speech with what the mouth does. T samples at 16 kHz, N = 1 + T // 200 frames of the mel grid (80 a second).

    wave int16 [T]; viseme uint8 [N]; mouth float [N, K] (see audio/visemes.py); stress float [N], 0–1.
    about: language, variant, voice (both), rate (words a minute), split, unseen_language, pitch, melody, shift, text.
    """

    wave: Tensor
    viseme: Tensor
    mouth: Tensor
    stress: Tensor
    about: dict[str, str]


def split(item: Path | str) -> str:
    """`train` or `held_out`: of a voice by its name ("de+f2"), or of an item by its file's path."""
    if isinstance(item, Path):
        return _about(item)["split"]
    language = item.split("+")[0]
    return "held_out" if language in UNSEEN or zlib.crc32(item.encode()) % 9 == 0 else "train"


def voices(which: str) -> list[str]:
    """All voices of a split, in order."""
    names = [f"{language}+{variant}".rstrip("+") for language in WORDS for variant in VARIANTS]
    return [name for name in names if split(name) == which]


def _scaled(phones: list[Phone], factor: float, offset: float) -> list[Phone]:
    return [
        replace(p, start=p.start * factor + offset, end=p.end * factor + offset, release=p.release * factor + offset)
        for p in phones
    ]


def _loudness(wave: np.ndarray, phones: list[Phone]) -> list[float]:
    """How loud each phone is against the median of the vowels, −1 … 1 for ∓8 dB (0 for all but vowels)."""
    out = [0.0] * len(phones)
    levels = {}
    for i, phone in enumerate(phones):
        piece = wave[int(phone.start * RATE) : int(phone.end * RATE)].astype(np.float64)
        if phone.name and len(piece) and (piece**2).mean() > 1 and _is_vowel(phone.name):
            levels[i] = 10 * np.log10((piece**2).mean())
    if levels:
        usual = np.median(list(levels.values()))
        for i, level in levels.items():
            out[i] = float(np.clip((level - usual) / 8, -1, 1))
    return out


def _is_vowel(name: str) -> bool:
    from .articulation import VOWELS, symbols

    return viseme(symbols(name)[0]) in VOWELS


def make_item(number: int, seconds: float = SECONDS) -> SpeechItem:
    """Item `number`: sentences of one voice with silences between them; the same number gives the same item.

    Raises InputError when espeak-ng is missing.
    """
    from scipy.signal import resample_poly

    rng = np.random.default_rng([number, 16])
    which = "held_out" if number % HELD_OUT_EVERY == HELD_OUT_EVERY - 1 else "train"
    seen = [name for name in WORDS if name not in UNSEEN]
    language = str(
        rng.choice(UNSEEN if which == "held_out" and number % (3 * HELD_OUT_EVERY) == HELD_OUT_EVERY - 1 else seen)
    )
    voice = str(rng.choice([name for name in voices(which) if name.split("+")[0] == language]))
    rate, pitch, melody = int(rng.integers(120, 261)), int(rng.integers(20, 81)), int(rng.integers(20, 90))
    # sound played faster is higher in pitch and formants, as of a smaller person
    down = int(np.clip(round(441 * np.exp(rng.normal(0, 0.1))), 375, 529))
    espeak.restart()
    pieces, phones, texts, length = [], [], [], 0

    def silence(low: float, high: float) -> None:
        nonlocal length
        count = int(rng.uniform(low, high) * RATE)
        phones.append(Phone("", length / RATE, (length + count) / RATE, (length + count) / RATE))
        pieces.append(np.zeros(count))
        length += count

    silence(0.1, 0.8)
    while length < seconds * RATE:
        text = random_sentence(rng, language)
        said, heard = espeak.speak(text, voice, int(rate * rng.uniform(0.9, 1.1)), pitch, melody)
        sound = resample_poly(said / 32768.0, 320, down) * 10 ** (rng.normal(0, 2.0) / 20)
        phones += _scaled(heard, 441 / down, length / RATE)
        pieces.append(sound)
        texts.append(text)
        length += len(sound)
        silence(0.2, 2.0) if rng.random() < 0.6 else silence(0.02, 0.2)
    wave = np.concatenate(pieces)
    wave = np.round(wave / max(np.abs(wave).max(), 1e-9) * rng.uniform(0.3, 0.95) * 32767).astype(np.int16)
    phones = _joined(phones)
    count = 1 + len(wave) // HOP
    about = {
        "language": language, "variant": voice.partition("+")[2], "voice": voice, "rate": str(rate), "split": which,
        "unseen_language": str(language in UNSEEN).lower(), "pitch": str(pitch), "melody": str(melody), "shift": f"{down / 441:.3f}", "text": " ".join(texts),
        "phones": json.dumps([[p.name, *(round(t, 4) for t in (p.start, p.release, p.end)), p.stress] for p in phones], ensure_ascii=False),
    }  # fmt: skip
    return SpeechItem(
        wave=torch.from_numpy(wave),
        viseme=torch.from_numpy(labels(phones, count)),
        mouth=torch.from_numpy(mouths(phones, count, _loudness(wave, phones))).float(),
        stress=torch.from_numpy(accents(phones, count)).float(),
        about=about,
    )


def _joined(phones: list[Phone]) -> list[Phone]:
    """Phones with neighbouring pauses made one, and gaps too short for a pause given to the sound before."""
    out: list[Phone] = []
    for phone in phones:
        if out and not phone.name and not out[-1].name:
            out[-1] = replace(out[-1], end=phone.end, release=phone.end)
        else:
            out.append(phone)
    joined = out[:1]
    for phone in out[1:]:
        if not phone.name and phone.end - phone.start < GAP:
            joined[-1] = replace(joined[-1], end=phone.end)
        else:
            joined.append(phone)
    return joined


def item_path(folder: Path, number: int) -> Path:
    """Where item `number` lies."""
    return folder / f"speech-{number:06d}.safetensors"


def save_item(path: Path, item: SpeechItem) -> None:
    """Write an item; the file appears under its name only when complete."""
    from safetensors.torch import save_file

    tensors = {"wave": item.wave, "viseme": item.viseme, "mouth": item.mouth.half(), "stress": item.stress.half()}
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, item.about)
    os.replace(part, path)


def _about(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise InputError(f"The speech {path} cannot be read ({error}); delete it and make the data again.") from error


def load_item(path: Path) -> SpeechItem:
    """Read an item. Raises InputError when it cannot be read or is of another mouth."""
    from safetensors.torch import load_file

    about = _about(path)
    tensors = load_file(path)
    if tensors["mouth"].shape[1] != len(MOUTH):
        raise InputError(f"The speech {path} was made for another mouth; delete the folder and make the data again.")
    return SpeechItem(tensors["wave"], tensors["viseme"], tensors["mouth"].float(), tensors["stress"].float(), about)


def make_corpus(folder: Path, items: range, seconds: float = SECONDS) -> None:
    """Make the items that are not there yet (one process; give each process its own numbers)."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in items if not item_path(folder, number).is_file()]
    with host.current().progress(len(missing), "synthetic speech") as progress:
        for number in missing:
            host.current().check_cancelled()
            save_item(item_path(folder, number), make_item(number, seconds))
            progress.update()


def stored_items(folder: Path, which: str) -> list[Path]:
    """The items of a split (`train` or `held_out`) in a folder, in order. Raises InputError when there are none."""
    paths = [path for path in sorted(folder.glob("speech-*.safetensors")) if split(path) == which]
    if not paths:
        raise InputError(f"{folder} holds no speech of the split {which}; make the speech first.")
    return paths
