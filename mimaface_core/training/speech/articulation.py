"""Articulation: mouth movements, visemes and accents of timed phonemes.

A dominance model of coarticulation: every phoneme pulls the mouth towards its own shape with a dominance that fades
before and after it, and overlapping pulls are averaged (M. Cohen and D. Massaro, "Modeling coarticulation in synthetic
visual speech", 1993). Closures of the lips, and lower lip on teeth, are then reached in full, and lips rest in pauses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...audio.mel import HOP
from ...audio.speech import SAMPLE_RATE
from ...audio.voice.visemes import MOUTH
from .espeak import Phone
from .phonemes import (
    CLOSED,
    CONSONANTS,
    LIP_TEETH,
    REST,
    ROUND,
    VOWELS,
    ipa_letters,
    mouth_vector,
    shape_vector,
    viseme_of,
    vowel_vector,
)

MEL_RATE = SAMPLE_RATE // HOP  # mel frames a second, the grid of mouths, visemes and accents
JAW, LIPS, ROUNDING = "jaw", "lips", "rounding"  # parts of the mouth with a dominance of their own
FADE_SECONDS = {JAW: 0.038, LIPS: 0.045, ROUNDING: 0.06}  # in which a dominance falls to 1/e
ROUNDING_LEAD = 1.25  # factor on the fade before a sound: lips round early
_ROUNDING_NUMBERS = ("pucker", "funnel", "corner_x", "lower_lip_out")
PARTS = [
    JAW if name in ("jaw_open", "chin_raise") else ROUNDING if name in _ROUNDING_NUMBERS else LIPS for name in MOUTH
]
JAW_OPEN = MOUTH.index("jaw_open")
ROUND_DOMINANCE = 1.4  # of the lips in a round vowel
REST_DOMINANCE = 0.6
REACH_SECONDS = 0.5  # beyond which a dominance is taken for 0
CORE = 0.2  # share of a phoneme at either end in which its dominance already fades
TIME_FILTER = (0.2, 0.6, 0.2)  # over mel frames
BEFORE_SPEECH, AFTER_SPEECH = -9.0, 1e9  # seconds, in which lips rest too
SETTLE_SECONDS, PREPARE_SECONDS = 0.15, 0.11  # in which lips come to rest in a pause, and leave it
CLOSING_SECONDS, OPENING_SECONDS = 0.055, 0.05  # of a closure
STRESSED, PRIMARY_STRESS = 0.4, 0.8  # least stress of an accent, and of a strong one


@dataclass(frozen=True)
class Gesture:
    """One pull on the mouth.

    Attributes:
        viseme: index of VISEMES.
        target: mouth vector [K].
        lips: dominance of the lips.
        jaw: dominance of the jaw.
        start: s.
        end: s.
        release: end of a closure, s.
        vowel: whether the opening depends on stress and duration.
        stress: 0–1.
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


def gestures(phones: Sequence[Phone]) -> list[Gesture]:
    """Gestures of phonemes: one for each letter of a diphthong, rest in pauses."""
    out = []
    for phone in phones:
        if not phone.name:
            rest = Gesture(REST, mouth_vector(), REST_DOMINANCE, REST_DOMINANCE, phone.start, phone.end, phone.end)
            out.append(rest)
            continue
        letters = ipa_letters(phone.name)
        # the first part of a diphthong is longer; a closure before another sound opens at the release
        shares = np.linspace(0, 1, len(letters) + 1) ** 0.85
        edges = [phone.start + (phone.end - phone.start) * share for share in shares]
        if len(letters) > 1 and viseme_of(letters[0]) == CLOSED:
            edges[1] = phone.release
        for letter, start, end in zip(letters, edges[:-1], edges[1:], strict=True):
            if letter in VOWELS:
                target, viseme = vowel_vector(VOWELS[letter]), viseme_of(letter)
                lips = ROUND_DOMINANCE if viseme == ROUND else 1.0
                out.append(Gesture(viseme, target, lips, 1.0, start, end, end, True, phone.stress))
            else:
                viseme, shape, lips, jaw = CONSONANTS[letter]
                release = phone.release if phone.start < phone.release <= end else end
                out.append(Gesture(viseme, shape_vector(shape), lips, jaw, start, end, release))
    return out


def mouths(phones: Sequence[Phone], count: int, loudness: Sequence[float] | None = None) -> np.ndarray:
    """Mouth vectors at mel frames.

    Args:
        phones: in order and without gaps.
        count: N, number of frames.
        loudness: of each phone: −1 soft, 0 usual, 1 loud.

    Returns:
        Mouth vectors [N, K].
    """
    times = np.arange(count) / MEL_RATE
    line: list[Gesture] = []
    for i, phone in enumerate(phones):
        level = loudness[i] if loudness is not None else 0.0
        line += [_spoken(gesture, level) for gesture in gestures([phone])]
    if not line:
        return np.zeros((count, len(MOUTH)))
    total, weight = np.zeros((count, len(MOUTH))), np.full((count, len(MOUTH)), 1e-6)
    for gesture in line:
        reach = ((gesture.start, -REACH_SECONDS), (gesture.end, REACH_SECONDS))
        first, last = (int(np.clip((t + side) * MEL_RATE, 0, count)) for t, side in reach)
        dominance = _dominance(gesture, times[first:last])
        total[first:last] += dominance * gesture.target
        weight[first:last] += dominance
    mouth = total / weight
    padded = np.pad(mouth, ((1, 1), (0, 0)), mode="edge")
    mouth = np.stack([np.convolve(column, TIME_FILTER, "valid") for column in padded.T], 1)
    return _reach_closures(_rest_in_pauses(mouth, line, times), line, times)


def _spoken(gesture: Gesture, loudness: float) -> Gesture:
    """A vowel in context: short ones fall short of their target, stressed and loud ones open more."""
    if not gesture.vowel:
        return gesture
    duration = gesture.end - gesture.start
    target = gesture.target * (1 - 0.3 * np.exp(-duration / 0.07))
    target[JAW_OPEN] *= (0.85 + 0.3 * gesture.stress) * (1 + 0.25 * loudness)
    return replace(gesture, target=target)


def _dominance(gesture: Gesture, times: np.ndarray) -> np.ndarray:
    """Dominance [N, K] of a gesture for each mouth number at the times [N] (s)."""
    inset = CORE * (gesture.end - gesture.start)
    away = np.maximum(np.maximum(gesture.start + inset - times, times - gesture.end + inset), 0)
    of_part = {}
    for part, fade in FADE_SECONDS.items():
        strength = gesture.jaw if part == JAW else gesture.lips
        lead = ROUNDING_LEAD if part == ROUNDING else 1.0
        of_part[part] = strength * np.exp(-away / (fade * np.where(times < gesture.start, lead, 1.0)))
    return np.stack([of_part[part] for part in PARTS], 1)


def _rest_in_pauses(mouth: np.ndarray, line: list[Gesture], times: np.ndarray) -> np.ndarray:
    """Bring the lips together in pauses, and before and after all speech."""
    rest = np.zeros(len(times))
    pauses = [(BEFORE_SPEECH, line[0].start)]
    for gesture in line:
        if gesture.viseme == REST:
            start = pauses.pop()[0] if pauses[-1][1] >= gesture.start - 1e-6 else gesture.start
            pauses.append((start, gesture.end))
    start = pauses.pop()[0] if pauses[-1][1] >= line[-1].end - 1e-6 else line[-1].end
    pauses.append((start, AFTER_SPEECH))
    for start, end in pauses:
        settled, unprepared = _smooth((times - start) / SETTLE_SECONDS), _smooth((end - times) / PREPARE_SECONDS)
        rest = np.maximum(rest, np.minimum(settled, unprepared))
    return mouth * (1 - rest)[:, None]


def _reach_closures(mouth: np.ndarray, line: list[Gesture], times: np.ndarray) -> np.ndarray:
    """Lower lip on teeth for /f v/, and lips sealed for /p b m/ until the release, in any context."""
    for viseme, shape in ((LIP_TEETH, shape_vector("lip_teeth")), (CLOSED, shape_vector("sealed"))):
        closed = np.zeros(len(times))
        for gesture in line:
            if gesture.viseme != viseme or not np.array_equal(gesture.target, shape):
                continue
            if viseme == CLOSED:
                start, end = gesture.start - 0.012, max(gesture.release, gesture.start + 0.025)
                start = min(start, end - 0.06)  # visible even when short
            else:
                start, end = gesture.start + 0.01, max(gesture.end - 0.015, gesture.start + 0.02)
            near = slice(int(max(start - 0.1, 0) * MEL_RATE), int((end + 0.1) * MEL_RATE) + 2)
            closed[near] = np.maximum(closed[near], _bump(times[near], start, end, CLOSING_SECONDS, OPENING_SECONDS))
        target = np.tile(shape, (len(times), 1))
        rounding = [MOUTH.index("pucker"), MOUTH.index("corner_x")]  # lips stay closed under these
        target[:, rounding] = mouth[:, rounding] * 0.6
        mouth = mouth + closed[:, None] * (target - mouth)
    return mouth


def labels(phones: Sequence[Phone], count: int) -> np.ndarray:
    """Viseme at each of `count` mel frames, uint8 [N]; silence is rest."""
    out = np.full(count, REST, np.uint8)
    for gesture in gestures(phones):
        first, last = (int(np.clip(np.ceil(t * MEL_RATE), 0, count)) for t in (gesture.start, gesture.end))
        out[first:last] = gesture.viseme
    return out


def accents(phones: Sequence[Phone], count: int) -> np.ndarray:
    """Accent at each of `count` mel frames [N], 0–1: a bump on every stressed vowel, the highest at a clause's end."""
    times, out = np.arange(count) / MEL_RATE, np.zeros(count)
    last: int | None = None  # phone with the strongest accent of the clause so far
    strengths = [0.0] * len(phones)
    for i, phone in enumerate(phones):
        if not phone.name:
            last = None
        elif phone.stress >= STRESSED:
            strong = phone.stress > PRIMARY_STRESS
            strengths[i] = 1.0 if strong else 0.3
            if last is not None and strengths[last] == 1.0:
                strengths[last] = 0.6
            if strong:
                last = i
    for phone, strength in zip(phones, strengths, strict=True):
        if strength:
            bump = _bump(times, phone.start + 0.02, phone.end - 0.02, 0.08, 0.12)
            out = np.maximum(out, strength * bump)
    return out


def _bump(times: np.ndarray, start: float, end: float, before: float, after: float) -> np.ndarray:
    """1 from start to end, eased from and to 0 within `before` and `after` seconds."""
    return np.minimum(_smooth((times - start) / before + 1), _smooth((end - times) / after + 1))


def _smooth(x: np.ndarray) -> np.ndarray:
    """Smoothstep from 0 to 1."""
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
