"""Head movement beside speech: sway, rhythm, postures, accents, and turns that go with glances.

A few degrees in all. In speech the head hardly rests and moves with the accents, in pauses it is quiet (Hadar et al.
1983, Munhall et al. 2004, Busso et al. 2007). It takes a part of large shifts of gaze (Guitton and Volle 1987).
"""

from __future__ import annotations

import numpy as np

from .prosody import Prosody
from .saccades import Saccades
from .temperament import Temperament
from .timing import Array, Curve, bumps, ease, random_wave, steps

# Degrees of pitch, yaw and roll, and the frequencies (Hz) of the random curves: slow sway, the rhythm of speech, the
# posture of a phrase, an accent.
_SWAY, _SWAY_HZ = np.array([1.1, 1.4, 0.9]), (0.03, 0.25)
_RHYTHM, _RHYTHM_HZ = np.array([0.7, 0.65, 0.45]), (0.4, 1.5)
_POSTURE, _POSTURE_HZ = np.array([0.9, 1.5, 0.9]), (0.1, 2.0)
_ACCENT, _ACCENT_HZ = np.array([3.2, 1.0, 1.1]), (0.3, 3.0)
_SILENT_SWAY, _SILENT_RHYTHM = 0.45, 0.1  # shares of them that silence has
_POSTURE_LEAD, _POSTURE_SECONDS = 0.2, 0.9  # seconds before its phrase that a posture begins, and that it takes
_NOD_DELAY, _NOD_RISE, _NOD_FALL = 0.04, 0.26, 0.42  # seconds after the accent, and from and to rest
_GLANCE_DELAY, _GLANCE_SECONDS = 0.03, 0.55  # seconds after the eyes that the head starts, and that it takes
_START = 1.5  # seconds in which the movement sets in


def head_angles(
    times: Array, prosody: Prosody, saccades: Saccades, temperament: Temperament, rng: np.random.Generator
) -> Array:
    """Turn of the head.

    Args:
        times: [N], seconds of the frames.
        prosody: of the speech.
        saccades: shifts of gaze, which the head partly follows.
        temperament: its amounts.
        rng: draws the movement.

    Returns:
        [N, 3], pitch (down), yaw and roll in degrees; 0 at the beginning.
    """
    angles = _movement(times, prosody, temperament, rng)
    turns = saccades.targets * saccades.away[:, None] * [1, -1]
    starts, seconds = saccades.times + _GLANCE_DELAY, np.full(len(saccades.times), _GLANCE_SECONDS)
    angles[:, [1, 0]] += temperament.head_share * steps(times, starts, turns, seconds)
    return angles * ease(times / _START)[:, None]


def _movement(times: Array, prosody: Prosody, temperament: Temperament, rng: np.random.Generator) -> Array:
    """Pitch, yaw and roll [N, 3] in degrees, without what follows the eyes."""
    sway, rhythm, posture, accent = (
        [random_wave(rng, *frequencies) for _ in range(3)]
        for frequencies in (_SWAY_HZ, _RHYTHM_HZ, _POSTURE_HZ, _ACCENT_HZ)
    )
    activity = np.interp(times, prosody.grid, prosody.activity)[:, None]
    slow = _evaluate(sway, times) * _SWAY * (_SILENT_SWAY + (1 - _SILENT_SWAY) * activity)
    quick = _evaluate(rhythm, times) * _RHYTHM * (_SILENT_RHYTHM + (1 - _SILENT_RHYTHM) * activity)
    starts = prosody.phrase_starts
    postures = _evaluate(posture, starts).clip(-2, 2) * _POSTURE
    held = steps(times, starts - _POSTURE_LEAD, postures, np.full(len(starts), _POSTURE_SECONDS))
    # An accent is mostly a nod down, sometimes with a tilt or a turn.
    directions = _evaluate(accent, prosody.accents)
    directions[:, 0] = (0.4 + 0.45 * directions[:, 0]).clip(-0.3, 1.2)
    heights = directions.clip(-1.5, 1.5) * prosody.strengths[:, None] * _ACCENT
    nods = bumps(times, prosody.accents + _NOD_DELAY, heights, _NOD_RISE, 0.0, _NOD_FALL)
    return temperament.sway * (slow + quick + held) + temperament.nods * nods


def _evaluate(curves: list[Curve], times: Array) -> Array:
    """The curves side by side, [N, D]."""
    return np.stack([curve(times) for curve in curves], 1)
