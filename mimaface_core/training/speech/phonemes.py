"""IPA letters: viseme, mouth shape and dominance of each."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple

import numpy as np

from ...audio.voice.visemes import MOUTH, VISEMES

REST, CLOSED, LIP_TEETH, TONGUE, HUSHING, OPEN, SPREAD, ROUND = range(len(VISEMES))
VOWEL_VISEMES = (OPEN, SPREAD, ROUND)
ROUND_FROM = 0.4  # rounding from which a vowel counts as round

# mouth numbers; coefficients of 1 are strong movements (jaw_open = 1 drops the chin by 10 mm)
SHAPES: dict[str, dict[str, float]] = {
    "rest": {},
    "sealed": {"press": 0.4, "chin_raise": 0.15},
    "lip_teeth": {
        "jaw_open": 0.12, "press": 0.7, "lower_lip_out": -0.8, "lower_lip_mid": -0.1, "upper_lip_mid": 0.34,
        "upper_lip_quarter": 0.3, "upper_lip": 0.12, "chin_raise": 0.2,
    },
    "lips_near": {"jaw_open": 0.08, "pucker": 0.25, "funnel": 0.1},
    "dental": {"jaw_open": 0.2, "lower_lip_mid": 0.15, "lower_lip_quarter": 0.12, "upper_lip_mid": 0.1},
    "alveolar": {
        "jaw_open": 0.13, "corner_x": 0.15, "lower_lip_mid": 0.22, "lower_lip_quarter": 0.22, "upper_lip_mid": 0.1,
        "upper_lip_quarter": 0.08,
    },
    "palatal": {
        "jaw_open": 0.16, "corner_x": 0.25, "lower_lip_mid": 0.15, "lower_lip_quarter": 0.15, "upper_lip_mid": 0.08,
    },
    "velar": {"jaw_open": 0.25, "lower_lip_mid": 0.1},
    "glottal": {"jaw_open": 0.28, "lower_lip_mid": 0.1},
    "liquid": {"jaw_open": 0.15, "pucker": 0.35, "funnel": 0.2},
    "hushing": {
        "jaw_open": 0.09, "pucker": 0.6, "funnel": 0.45, "lower_lip_out": 0.2, "lower_lip_mid": 0.05,
        "upper_lip_mid": 0.05,
    },
    "glide": {"jaw_open": 0.05, "pucker": 0.95, "funnel": 0.2},
}  # fmt: skip


class Vowel(NamedTuple):
    """Mouth of a vowel: opening of the jaw, rounding and spread of the lips, each 0–1."""

    jaw: float
    rounding: float
    spread: float


class Consonant(NamedTuple):
    """Mouth of a consonant: its viseme, a key of SHAPES, and the dominance of lips and jaw."""

    viseme: int
    shape: str
    lips: float
    jaw: float


VOWELS: dict[str, Vowel] = {letter: Vowel(*mouth) for letter, mouth in {
    "i": (0.17, 0, 1.0), "ɨ": (0.18, 0, 0.7), "ɯ": (0.18, 0.1, 0.4), "ɪ": (0.23, 0, 0.7), "ᵻ": (0.22, 0, 0.6),
    "e": (0.27, 0, 0.8), "ɘ": (0.27, 0, 0.4), "ɤ": (0.28, 0, 0.3), "ə": (0.27, 0, 0.25), "ɚ": (0.26, 0.25, 0.1),
    "ɜ": (0.33, 0, 0.3), "ɝ": (0.3, 0.25, 0.1), "ɛ": (0.38, 0, 0.6), "æ": (0.48, 0, 0.5), "ɐ": (0.42, 0, 0.2),
    "ʌ": (0.44, 0, 0.1), "a": (0.54, 0, 0.2), "ɑ": (0.57, 0, 0),
    "y": (0.1, 0.9, 0), "ʉ": (0.1, 0.85, 0), "u": (0.1, 0.9, 0), "ʏ": (0.15, 0.75, 0), "ʊ": (0.15, 0.75, 0),
    "ø": (0.2, 0.75, 0), "ɵ": (0.2, 0.7, 0), "o": (0.26, 0.75, 0), "œ": (0.33, 0.55, 0), "ɞ": (0.33, 0.5, 0),
    "ɔ": (0.4, 0.5, 0), "ɶ": (0.44, 0.4, 0), "ɒ": (0.46, 0.4, 0),
}.items()}  # fmt: skip
OPEN_VOWELS = "æɐʌaɑɶ"
CONSONANTS: dict[str, Consonant] = {letter: consonant for letters, consonant in {
    "pbmɓʙ": Consonant(CLOSED, "sealed", 1.0, 0.5),
    "fvɱʋⱱ": Consonant(LIP_TEETH, "lip_teeth", 1.0, 1.0),
    "ɸβ": Consonant(LIP_TEETH, "lips_near", 1.0, 1.0),
    "θð": Consonant(TONGUE, "dental", 0.4, 0.6),
    "tdnszlɬɮɾrɫɗ": Consonant(TONGUE, "alveolar", 0.35, 0.8),
    "ʈɖɳɭɽɻɺ": Consonant(TONGUE, "alveolar", 0.25, 0.6),
    "ɹ": Consonant(TONGUE, "liquid", 0.6, 0.5),
    "cɟɲçʝʎjʄ": Consonant(TONGUE, "palatal", 0.4, 0.5),
    "kɡgŋxɣqɢɴχʁʀɠɰʟɧ": Consonant(TONGUE, "velar", 0.12, 0.25),
    "hɦħʕʔ?ʜʢ": Consonant(TONGUE, "glottal", 0.06, 0.12),
    "ʃʒʂʐ": Consonant(HUSHING, "hushing", 1.2, 0.9),
    "ɕʑ": Consonant(HUSHING, "hushing", 0.6, 0.9),
    "wɥʍ": Consonant(ROUND, "glide", 1.5, 0.9),
}.items() for letter in letters}  # fmt: skip
_LOOKALIKES = {"ε": "ɛ", "ı": "i", "α": "a"}
_DIACRITICS = set("ːˑʲʰˤʷˠⁿᵝ̪.-\"'^ˈˌ_!ˀ*~0123456789")
_BREATHS = "hɦʔ?"  # within another sound they do not move the mouth
_AFFRICATE_STARTS, _AFFRICATE_ENDS = "tdsck", "szʃʒʂʐɕʑxɬɮ"


def ipa_letters(name: str) -> list[str]:
    """Letters of a phoneme's name without diacritics; of an affricate only the second ("tʃ" → "ʃ").

    Raises:
        KeyError: a letter is in neither VOWELS nor CONSONANTS.
    """
    letters: list[str] = []
    text = unicodedata.normalize("NFD", name.replace("ç", "\0")).replace("\0", "ç")
    text = text.replace("s.", "ʂ").replace("z.", "ʐ").replace("r\u031d", "ʒ")  # retroflex in Mandarin, the Czech ř
    for letter in text:
        letter = _LOOKALIKES.get(letter, letter)
        if letter in _DIACRITICS or unicodedata.combining(letter):
            continue
        if letter not in VOWELS and letter not in CONSONANTS:
            raise KeyError(f"{letter!r} in {name!r}")
        if letter in _BREATHS and (letters or len(name) > 1):
            continue
        letters.append(letter)
    if len(letters) > 1 and letters[-1] in _AFFRICATE_ENDS and letters[-2] in _AFFRICATE_STARTS:
        del letters[-2]
    return letters or ["j"]  # a diacritic alone is palatalisation


def viseme_of(letter: str) -> int:
    """Viseme of one IPA letter, an index of VISEMES."""
    if letter in VOWELS:
        rounded = VOWELS[letter].rounding >= ROUND_FROM
        return ROUND if rounded else OPEN if letter in OPEN_VOWELS else SPREAD
    return CONSONANTS[letter].viseme


def mouth_vector(**numbers: float) -> np.ndarray:
    """Mouth vector [K] from some of its numbers by name; the others are 0."""
    return np.array([numbers.get(name, 0.0) for name in MOUTH])


def shape_vector(name: str) -> np.ndarray:
    """Mouth vector [K] of a key of SHAPES."""
    return mouth_vector(**SHAPES[name])


def vowel_vector(vowel: Vowel) -> np.ndarray:
    """Mouth vector [K] of a vowel; lips part as the jaw falls, rounded ones less."""
    jaw, rounding, spread = vowel
    parted = 0.6 * jaw * (1 - 0.5 * rounding)
    return mouth_vector(
        jaw_open=jaw,
        pucker=rounding,
        funnel=0.35 * rounding,
        corner_x=0.5 * spread - 0.1 * rounding,
        corner_y=0.1 * spread,
        upper_lip_mid=0.3 * parted + 0.12 * spread,
        upper_lip_quarter=0.3 * parted + 0.15 * spread,
        lower_lip_mid=0.75 * parted + 0.12 * spread,
        lower_lip_quarter=0.9 * parted + 0.15 * spread,
        lower_lip=0.7 * parted,
    )
