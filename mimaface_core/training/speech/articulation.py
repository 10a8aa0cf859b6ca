"""From phonemes to lips and jaw: the viseme of every IPA symbol and a dominance model of coarticulation.

Every phoneme pulls the mouth towards its own shape with a strength that fades before and after it; where they overlap
they are averaged (M. Cohen and D. Massaro, "Modeling coarticulation in synthetic visual speech", 1993). Closures of
the lips and of lip and teeth are then reached in full, and the lips come to rest in pauses.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...audio.voice.visemes import MOUTH, VISEMES
from .espeak import Phone

GRID = 80  # mouths a second, the frames of the mel spectrogram
REST, CLOSED, LIP_TEETH, TONGUE, HUSHING, OPEN, SPREAD, ROUND = range(len(VISEMES))
VOWELS = (OPEN, SPREAD, ROUND)

# Shapes of the mouth; coefficients of 1 are strong movements (jaw_open = 1 drops the chin by 25 mm)
SHAPES: dict[str, dict[str, float]] = {
    "rest": {},
    "sealed": {"press": 0.4, "chin_raise": 0.15},
    "lip_teeth": {
        "jaw_open": 0.12, "press": 0.7, "lower_lip_out": -0.8, "lower_lip_mid": -0.1, "upper_lip_mid": 0.34, "upper_lip_quarter": 0.3, "upper_lip": 0.12,
        "chin_raise": 0.2,
    },
    "lips_near": {"jaw_open": 0.08, "pucker": 0.25, "funnel": 0.1},
    "dental": {"jaw_open": 0.2, "lower_lip_mid": 0.15, "lower_lip_quarter": 0.12, "upper_lip_mid": 0.1},
    "alveolar": {"jaw_open": 0.13, "corner_x": 0.15, "lower_lip_mid": 0.22, "lower_lip_quarter": 0.22, "upper_lip_mid": 0.1, "upper_lip_quarter": 0.08},
    "palatal": {"jaw_open": 0.16, "corner_x": 0.25, "lower_lip_mid": 0.15, "lower_lip_quarter": 0.15, "upper_lip_mid": 0.08},
    "velar": {"jaw_open": 0.25, "lower_lip_mid": 0.1},
    "glottal": {"jaw_open": 0.28, "lower_lip_mid": 0.1},
    "liquid": {"jaw_open": 0.15, "pucker": 0.35, "funnel": 0.2},
    "hushing": {"jaw_open": 0.09, "pucker": 0.6, "funnel": 0.45, "lower_lip_out": 0.2, "lower_lip_mid": 0.05, "upper_lip_mid": 0.05},
    "glide": {"jaw_open": 0.05, "pucker": 0.95, "funnel": 0.2},
}  # fmt: skip

# vowels: how far the jaw opens, roundness and spread of the lips
_VOWELS = {
    "i": (0.17, 0, 1.0), "ɨ": (0.18, 0, 0.7), "ɯ": (0.18, 0.1, 0.4), "ɪ": (0.23, 0, 0.7), "ᵻ": (0.22, 0, 0.6), "e": (0.27, 0, 0.8), "ɘ": (0.27, 0, 0.4),
    "ɤ": (0.28, 0, 0.3), "ə": (0.27, 0, 0.25), "ɚ": (0.26, 0.25, 0.1), "ɜ": (0.33, 0, 0.3), "ɝ": (0.3, 0.25, 0.1), "ɛ": (0.38, 0, 0.6),
    "æ": (0.48, 0, 0.5), "ɐ": (0.42, 0, 0.2), "ʌ": (0.44, 0, 0.1), "a": (0.54, 0, 0.2), "ɑ": (0.57, 0, 0),
    "y": (0.1, 0.9, 0), "ʉ": (0.1, 0.85, 0), "u": (0.1, 0.9, 0), "ʏ": (0.15, 0.75, 0), "ʊ": (0.15, 0.75, 0), "ø": (0.2, 0.75, 0), "ɵ": (0.2, 0.7, 0),
    "o": (0.26, 0.75, 0), "œ": (0.33, 0.55, 0), "ɞ": (0.33, 0.5, 0), "ɔ": (0.4, 0.5, 0), "ɶ": (0.44, 0.4, 0), "ɒ": (0.46, 0.4, 0),
}  # fmt: skip
# consonants: viseme, shape, and how much lips and jaw care
_CONSONANTS = {
    **dict.fromkeys("pbmɓʙ", (CLOSED, "sealed", 1.0, 0.5)),
    **dict.fromkeys("fvɱʋⱱ", (LIP_TEETH, "lip_teeth", 1.0, 1.0)),
    **dict.fromkeys("ɸβ", (LIP_TEETH, "lips_near", 1.0, 1.0)),
    **dict.fromkeys("θð", (TONGUE, "dental", 0.4, 0.6)),
    **dict.fromkeys("tdnszlɬɮɾrɫɗ", (TONGUE, "alveolar", 0.35, 0.8)),
    **dict.fromkeys("ʈɖɳɭɽɻɺ", (TONGUE, "alveolar", 0.25, 0.6)),
    **dict.fromkeys("ɹ", (TONGUE, "liquid", 0.6, 0.5)),
    **dict.fromkeys("cɟɲçʝʎjʄ", (TONGUE, "palatal", 0.4, 0.5)),
    **dict.fromkeys("kɡgŋxɣqɢɴχʁʀɠɰʟɧ", (TONGUE, "velar", 0.12, 0.25)),
    **dict.fromkeys("hɦħʕʔ?ʜʢ", (TONGUE, "glottal", 0.06, 0.12)),
    **dict.fromkeys("ʃʒʂʐ", (HUSHING, "hushing", 1.2, 0.9)),
    **dict.fromkeys("ɕʑ", (HUSHING, "hushing", 0.6, 0.9)),
    **dict.fromkeys("wɥʍ", (ROUND, "glide", 1.5, 0.9)),
}
_ALIKE = {"ε": "ɛ", "ı": "i", "α": "a"}
_MARKS = set("ːˑʲʰˤʷˠⁿᵝ̪.-\"'^ˈˌ_!ˀ*~0123456789")
REACH = {"jaw": 0.038, "lips": 0.045, "round": 0.06}  # seconds in which a pull fades to 1/e
_ROUND = ("pucker", "funnel", "corner_x", "lower_lip_out")
GROUPS = ["jaw" if name in ("jaw_open", "chin_raise") else "round" if name in _ROUND else "lips" for name in MOUTH]


@dataclass(frozen=True)
class Gesture:
    """One pull on the mouth: viseme, target [K], its strength for lips and jaw, from start to end (seconds).

    release: when a closure opens. vowel: how open the mouth depends on stress and time.
    """

    viseme: int
    target: np.ndarray
    lips: float
    jaw: float
    start: float
    end: float
    release: float
    vowel: bool = False
    stress: float = 0.0


def shape(**modes: float) -> np.ndarray:
    """A mouth vector [K] from the values of its modes."""
    return np.array([modes.get(name, 0.0) for name in MOUTH])


def _vowel(jaw: float, roundness: float, spread: float) -> np.ndarray:
    lips = 0.6 * jaw * (1 - 0.5 * roundness)  # drawn apart as the jaw falls
    return shape(
        jaw_open=jaw, pucker=roundness, funnel=0.35 * roundness, corner_x=0.5 * spread - 0.1 * roundness, corner_y=0.1 * spread,
        upper_lip_mid=0.3 * lips + 0.12 * spread, upper_lip_quarter=0.3 * lips + 0.15 * spread,
        lower_lip_mid=0.75 * lips + 0.12 * spread, lower_lip_quarter=0.9 * lips + 0.15 * spread, lower_lip=0.7 * lips,
    )  # fmt: skip


def symbols(name: str) -> list[str]:
    """The sounds in a phoneme's name: letters without marks, an affricate as its second half ("tʃ" → "ʃ").

    Raises KeyError at a letter that is not known.
    """
    letters: list[str] = []
    text = unicodedata.normalize("NFD", name.replace("ç", "\0")).replace("\0", "ç")
    text = text.replace("s.", "ʂ").replace("z.", "ʐ").replace("r\u031d", "ʒ")  # retroflex in Mandarin, the Czech ř
    for letter in text:
        letter = _ALIKE.get(letter, letter)
        if letter in _MARKS or unicodedata.combining(letter):
            continue
        if letter not in _VOWELS and letter not in _CONSONANTS:
            raise KeyError(f"{letter!r} in {name!r}")
        if letter in "hɦʔ?" and (letters or len(name) > 1):
            continue  # a breath or catch in another sound
        letters.append(letter)
    if len(letters) > 1 and letters[-1] in "szʃʒʂʐɕʑxɬɮ" and letters[-2] in "tdsck":
        del letters[-2]
    return letters or ["j"]  # a mark alone is palatalisation


def viseme(letter: str) -> int:
    """The class of one IPA letter (its number in VISEMES)."""
    if letter in _VOWELS:
        roundness = _VOWELS[letter][1]
        return ROUND if roundness >= 0.4 else OPEN if letter in "æɐʌaɑɶ" else SPREAD
    return _CONSONANTS[letter][0]


def gestures(phones: Sequence[Phone]) -> list[Gesture]:
    """The pulls of a line of phonemes: diphthongs in two, pauses at rest."""
    out = []
    for phone in phones:
        if not phone.name:
            out.append(Gesture(REST, shape(), 0.6, 0.6, phone.start, phone.end, phone.end))
            continue
        letters = symbols(phone.name)
        # the first part of a diphthong is longer; a closure before another sound opens at the release
        edges = [
            phone.start + (phone.end - phone.start) * share for share in np.linspace(0, 1, len(letters) + 1) ** 0.85
        ]
        if len(letters) > 1 and viseme(letters[0]) == CLOSED:
            edges[1] = phone.release
        for letter, start, end in zip(letters, edges[:-1], edges[1:], strict=True):
            if letter in _VOWELS:
                target = _vowel(*_VOWELS[letter])
                lips = 1.4 if viseme(letter) == ROUND else 1.0
                out.append(Gesture(viseme(letter), target, lips, 1.0, start, end, end, True, phone.stress))
            else:
                kind, name, lips, jaw = _CONSONANTS[letter]
                release = phone.release if phone.start < phone.release <= end else end
                out.append(Gesture(kind, shape(**SHAPES[name]), lips, jaw, start, end, release))
    return out


def _smooth(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _hold(times: np.ndarray, start: float, end: float, before: float, after: float) -> np.ndarray:
    """1 from start to end, eased from and to 0 within `before` and `after` seconds."""
    return np.minimum(_smooth((times - start) / before + 1), _smooth((end - times) / after + 1))


def _said(gesture: Gesture, loudness: float) -> Gesture:
    """A vowel as it is said: short ones fall short, stressed and loud ones open more."""
    if not gesture.vowel:
        return gesture
    duration = gesture.end - gesture.start
    target = gesture.target * (1 - 0.3 * np.exp(-duration / 0.07))
    target[MOUTH.index("jaw_open")] *= (0.85 + 0.3 * gesture.stress) * (1 + 0.25 * loudness)
    return replace(gesture, target=target)


def mouths(phones: Sequence[Phone], count: int, loudness: Sequence[float] | None = None) -> np.ndarray:
    """The mouth [count, K] at every frame of the grid.

    phones: in order and without gaps. loudness of each phone: −1 soft … 0 as usual … 1 loud.
    """
    times = np.arange(count) / GRID
    line: list[Gesture] = []
    for i, phone in enumerate(phones):
        line += [_said(gesture, loudness[i] if loudness is not None else 0.0) for gesture in gestures([phone])]
    if not line:
        return np.zeros((count, len(MOUTH)))
    total, weight = np.zeros((count, len(MOUTH))), np.full((count, len(MOUTH)), 1e-6)
    for gesture in line:
        first, last = (
            int(np.clip((t + side) * GRID, 0, count)) for t, side in ((gesture.start, -0.5), (gesture.end, 0.5))
        )
        now, inset = times[first:last], 0.2 * (gesture.end - gesture.start)
        away = np.maximum(np.maximum(gesture.start + inset - now, now - gesture.end + inset), 0)
        pull = {}
        for group, reach in REACH.items():
            strength = gesture.jaw if group == "jaw" else gesture.lips
            early = 1.25 if group == "round" else 1.0  # lips round ahead of their sound
            pull[group] = strength * np.exp(-away / (reach * np.where(now < gesture.start, early, 1.0)))
        d = np.stack([pull[group] for group in GROUPS], 1)
        total[first:last] += d * gesture.target
        weight[first:last] += d
    out = total / weight
    out = np.stack([np.convolve(np.pad(x, 1, mode="edge"), [0.2, 0.6, 0.2], "valid") for x in out.T], 1)
    return _closures(_pauses(out, line, times), line, times)


def _pauses(mouth: np.ndarray, line: list[Gesture], times: np.ndarray) -> np.ndarray:
    """Bring the lips together in pauses: within 150 ms of the last sound, until 110 ms before the next."""
    rest = np.zeros(len(times))
    edges = [(-9.0, line[0].start)]
    for gesture in line:
        if gesture.viseme == REST:
            start = edges.pop()[0] if edges[-1][1] >= gesture.start - 1e-6 else gesture.start
            edges.append((start, gesture.end))
    if edges[-1][1] >= line[-1].end - 1e-6:
        edges[-1] = (edges[-1][0], 1e9)
    else:
        edges.append((line[-1].end, 1e9))
    for start, end in edges:
        rest = np.maximum(rest, np.minimum(_smooth((times - start) / 0.15), _smooth((end - times) / 0.11)))
    return mouth * (1 - rest)[:, None]


def _closures(mouth: np.ndarray, line: list[Gesture], times: np.ndarray) -> np.ndarray:
    """Lip on teeth for /f v/, lips sealed for /p b m/ from closure to release, whatever is around them."""
    for kind, name in ((LIP_TEETH, "lip_teeth"), (CLOSED, "sealed")):
        held = np.zeros(len(times))
        for gesture in line:
            if gesture.viseme != kind or not np.array_equal(gesture.target, shape(**SHAPES[name])):
                continue
            if kind == CLOSED:
                start, end = gesture.start - 0.012, max(gesture.release, gesture.start + 0.025)
                start = min(start, end - 0.06)  # seen even when short
            else:
                start, end = gesture.start + 0.01, max(gesture.end - 0.015, gesture.start + 0.02)
            near = slice(int(max(start - 0.1, 0) * GRID), int((end + 0.1) * GRID) + 2)
            held[near] = np.maximum(held[near], _hold(times[near], start, end, 0.055, 0.05))
        target = np.tile(shape(**SHAPES[name]), (len(times), 1))
        keep = [MOUTH.index("pucker"), MOUTH.index("corner_x")]  # these leave no gap
        target[:, keep] = mouth[:, keep] * 0.6  # rounding goes on behind a closure
        mouth = mouth + held[:, None] * (target - mouth)
    return mouth


def labels(phones: Sequence[Phone], count: int) -> np.ndarray:
    """The viseme (uint8 [count]) that is heard at every frame of the grid; silence is rest."""
    out = np.full(count, REST, np.uint8)
    for gesture in gestures(phones):
        first, last = (int(np.clip(np.ceil(t * GRID), 0, count)) for t in (gesture.start, gesture.end))
        out[first:last] = gesture.viseme
    return out


def accents(phones: Sequence[Phone], count: int) -> np.ndarray:
    """How strongly the speech is accented [count], 0–1: a bump on every stressed vowel, the highest on the last of a clause."""
    times, out = np.arange(count) / GRID, np.zeros(count)
    last = None
    strengths = [0.0] * len(phones)
    for i, phone in enumerate(phones):
        if not phone.name:
            last = None
        elif phone.stress >= 0.4:
            strengths[i] = 0.6 if phone.stress > 0.8 else 0.3
            if last is not None and strengths[last] == 1.0:
                strengths[last] = 0.6
            if phone.stress > 0.8:
                strengths[i], last = 1.0, i
    for phone, strength in zip(phones, strengths, strict=True):
        if strength:
            out = np.maximum(out, strength * _hold(times, phone.start + 0.02, phone.end - 0.02, 0.08, 0.12))
    return out
