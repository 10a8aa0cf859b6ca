"""Random sentences in many languages, of everyday words rich in lip sounds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

SENTENCE_WORDS = (3, 14)  # least number, one more than the greatest
SYLLABLES = (1, 4)  # of a nonsense word, likewise


class Vocabulary(NamedTuple):
    """Words of a language, and syllables of which nonsense words are made."""

    words: list[str]
    syllables: list[str]


VOCABULARIES: dict[str, Vocabulary] = {  # by espeak-ng's name of the language
    language: Vocabulary(**lists)
    for language, lists in json.loads(Path(__file__).with_name("vocabularies.json").read_text(encoding="utf-8")).items()
}


def random_sentence(rng: np.random.Generator, language: str) -> str:
    """Sentence of 3 to 13 words, one in five of them nonsense, with a few commas and an end mark.

    Args:
        rng: source of randomness.
        language: espeak-ng's name, a key of VOCABULARIES.
    """
    words, syllables = VOCABULARIES[language]
    out = []
    count = int(rng.integers(*SENTENCE_WORDS))
    for i in range(count):
        nonsense = rng.random() < 0.2
        word = "".join(rng.choice(syllables, rng.integers(*SYLLABLES))) if nonsense else str(rng.choice(words))
        comma = 2 < i < count - 2 and rng.random() < 0.12
        out.append(word + ("," if comma else ""))
    return " ".join(out) + str(rng.choice([".", ".", ".", "!", "?"]))
