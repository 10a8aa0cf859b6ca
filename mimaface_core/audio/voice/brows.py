"""Brows: they rise just before some of the accents of speech (Flecha-García 2010)."""

from __future__ import annotations

import numpy as np

from .prosody import Prosody
from .temperament import Temperament
from .timing import Array, bumps, ease, random_wave

_LEAST_STRESS, _STRESS_RANGE = 0.4, 0.4  # stress from which on brows rise, and above it where they rise in full
_CHOICE_HZ = (0.2, 2.0)  # frequencies of the random curve that chooses the accents
_LEAD, _RISE, _HOLD, _FALL = 0.06, 0.2, 0.15, 0.45  # seconds: before the accent, and from and to rest


def brow_raise(times: Array, prosody: Prosody, temperament: Temperament, rng: np.random.Generator) -> Array:
    """Raise of the brows, 0–1.

    Args:
        times: [N], seconds of the frames.
        prosody: of the speech; brows rise with strong accents.
        temperament: its `brows` scales the height.
        rng: draws which accents.

    Returns:
        [N].
    """
    chosen = (0.25 + 0.6 * random_wave(rng, *_CHOICE_HZ)(prosody.accents)).clip(0, 1)
    heights = temperament.brows * chosen * ease((prosody.strengths - _LEAST_STRESS) / _STRESS_RANGE)
    peaks = prosody.accents - _LEAD
    return np.tanh(bumps(times, peaks, heights[:, None], _RISE, _HOLD, _FALL)[:, 0])
