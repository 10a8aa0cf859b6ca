"""Blinks: when the eyes shut while speaking and listening, and the course of one blink.

Rates per temperament: see `temperament.Temperament`. Intervals are log-normal (Bentivoglio et al. 1997); blinks come at
the ends of phrases (Nakano and Kitazawa 2010) and with large shifts of gaze (Evinger et al. 1994).
"""

from __future__ import annotations

import numpy as np

from .prosody import Prosody
from .temperament import Temperament
from .timing import GRID_RATE, Array, Clock, ease

_LOG_DEVIATION = 0.4  # standard deviation of the logarithm of the interval between blinks
_SHORTEST_INTERVAL = 0.5  # seconds
_LIKELIER_AFTER_PHRASE, _LIKELIER_WITH_SHIFT = 3.5, 6.0  # factors of the rate
_PHRASE_WINDOW, _SHIFT_WINDOW = (0.05, 0.45), (0.05, 0.1)  # seconds before and after the event in which they hold
_MEMORY = 20.0  # seconds over which the mean rate is restored
_START_FACTOR = 1.2  # assumed mean of the factors before the recording
# Seconds that the lids take: shut in about 0.1 s, open in twice that (VanderWerf et al. 2003).
_CLOSING, _CLOSED, _OPENING = (0.085, 0.115), (0.03, 0.055), (0.18, 0.26)
_INCOMPLETE_SHARE, _INCOMPLETE_CLOSURE = 0.1, (0.75, 0.92)  # of the blinks; how far they shut the eyes


def blink_closure(
    times: Array, prosody: Prosody, shifts: Array, frequency: float, temperament: Temperament, rng: np.random.Generator
) -> Array:
    """Closure of the lids by blinks, 0–1.

    Args:
        times: [N], seconds of the frames.
        prosody: of the speech.
        shifts: [S], seconds of large shifts of gaze.
        frequency: factor of the rate; 0 never, 1 usual.
        temperament: its rates are used.
        rng: draws the blinks.

    Returns:
        [N].
    """
    clock = Clock(prosody.grid, frequency * _blinks_a_second(prosody, temperament) * _relative_rate(prosody, shifts))
    closure = np.zeros(len(times))
    now, share = 0.0, rng.uniform(0.3, 1.0)  # the first interval is under way already
    while True:
        interval = np.exp(_LOG_DEVIATION * rng.normal() - _LOG_DEVIATION**2 / 2)
        now = max(clock.after(now, share * interval), now + _SHORTEST_INTERVAL)
        if now >= prosody.seconds:
            return closure
        closing, closed, opening = rng.uniform(*_CLOSING), rng.uniform(*_CLOSED), rng.uniform(*_OPENING)
        depth = rng.uniform(*_INCOMPLETE_CLOSURE) if rng.random() < _INCOMPLETE_SHARE else 1.0
        part = slice(*np.searchsorted(times, [now, now + closing + closed + opening]))
        since = times[part] - now
        opened = ((since - closing - closed) / opening).clip(0, 1) ** 0.8  # fast at first, slow to end
        closure[part] = np.maximum(closure[part], depth * ease(since / closing) * (1 - ease(opened)))
        share = 1.0


def _blinks_a_second(prosody: Prosody, temperament: Temperament) -> Array:
    """Mean rate [T] on the grid."""
    silent, talking = temperament.blinks_silent, temperament.blinks_talking
    return (silent + (talking - silent) * prosody.activity) / 60


def _relative_rate(prosody: Prosody, shifts: Array) -> Array:
    """Factor of the rate [T] on the grid: higher after phrases and with shifts of gaze, and 1 on average."""
    from scipy.signal import lfilter

    factor = np.ones(len(prosody.grid))
    for events, likelier, (before, after) in (
        (prosody.phrase_ends, _LIKELIER_AFTER_PHRASE, _PHRASE_WINDOW),
        (shifts, _LIKELIER_WITH_SHIFT, _SHIFT_WINDOW),
    ):
        for time in events:
            factor[slice(*np.searchsorted(prosody.grid, [time - before, time + after]))] = likelier
    decay = np.exp(-1 / (_MEMORY * GRID_RATE))
    return factor / lfilter([1 - decay], [1, -decay], factor, zi=[_START_FACTOR * decay])[0]
