"""Speech from espeak-ng with the times of its phonemes, through its C library (https://github.com/espeak-ng/espeak-ng).

The library holds one state for the whole process: call it from one thread; use processes to make speech in parallel.
"""

from __future__ import annotations

import _ctypes
import ctypes
import sys
from ctypes import CFUNCTYPE, POINTER, c_char, c_char_p, c_int, c_short, c_uint, c_void_p
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from ...errors import InputError

LIBRARY = "libespeak-ng.dylib" if sys.platform == "darwin" else "libespeak-ng.so.1"
RATE = 22050  # samples a second of its voices
SYNCHRONOUS, PHONEME_EVENTS, PHONEME_IPA = 2, 1, 2
SPEED, VOLUME, PITCH, PITCH_RANGE = 1, 2, 3, 4
UTF8, BY_CHARACTER = 1, 1
EVENT_END, EVENT_PHONEME = 0, 7
QUIET = 24  # samples below this level are a pause in the machine's sound
STOPS = ("p", "b", "t", "d", "ʈ", "ɖ", "c", "ɟ", "k", "ɡ", "g", "q", "ɢ", "ʔ", "ɓ", "ɗ", "ɠ", "ʄ")
VOICELESS = ("p", "t", "ʈ", "c", "k", "q")
NASALS = ("m", "n", "ɱ", "ɳ", "ɲ", "ŋ", "ɴ")
CLOSURE = 0.1  # the longest closure taken from a pause before a stop, in seconds


class _Id(ctypes.Union):
    _fields_ = [("number", c_int), ("name", c_char_p), ("string", c_char * 8)]


class _Event(ctypes.Structure):  # espeak_EVENT of speak_lib.h
    _fields_ = [
        ("type", c_int), ("message", c_uint), ("text_position", c_int), ("length", c_int),
        ("audio_position", c_int), ("sample", c_int), ("user_data", c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@dataclass(frozen=True)
class Phone:
    """One phoneme: its IPA name ("" is a pause), start and end in seconds, stress 0–1.

    release: when a closure opens, or the end where nothing is closed.
    """

    name: str
    start: float
    end: float
    release: float
    stress: float = 0.0


class _Engine:
    """The library, loaded once a process."""

    def __init__(self) -> None:
        try:
            self.espeak = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise InputError(
                "espeak-ng, which speaks the training data, is not installed: install it (on Debian: apt install espeak-ng)."
            ) from error
        self.sound: list[bytes] = []
        self.events: list[tuple[str, int]] = []  # name and sample
        self.callback = _CALLBACK(self._collect)
        rate = self.espeak.espeak_Initialize(SYNCHRONOUS, 0, None, PHONEME_EVENTS | PHONEME_IPA)
        if rate != RATE:
            raise InputError(
                f"espeak-ng cannot start (it answers {rate}): install its voices (on Debian: apt install espeak-ng-data)."
            )
        self.espeak.espeak_SetSynthCallback(self.callback)
        self.espeak.espeak_TextToPhonemes.restype = c_char_p
        self.voice = ""

    def _collect(self, wave, count: int, events) -> int:
        if wave and count:
            self.sound.append(ctypes.string_at(wave, 2 * count))
        i = 0
        while events[i].type != EVENT_END:
            if events[i].type == EVENT_PHONEME:
                # 8 bytes, which a long name fills without a final zero
                name = ctypes.string_at(ctypes.addressof(events[i].id), 8).split(b"\0")[0]
                self.events.append((name.decode("utf-8", "ignore"), events[i].sample))
            i += 1
        return 0

    def choose(self, voice: str) -> None:
        if voice != self.voice:
            if self.espeak.espeak_SetVoiceByName(voice.encode()) != 0:
                raise InputError(
                    f"espeak-ng has no voice {voice}: install its voices (on Debian: apt install espeak-ng-data)."
                )
            self.voice = voice


@lru_cache(maxsize=1)
def _engine() -> _Engine:
    return _Engine()


def restart() -> None:
    """Forget everything spoken so far: what is said next does not depend on what was said before."""
    engine = _engine()
    _engine.cache_clear()
    engine.espeak.espeak_Terminate()
    _ctypes.dlclose(engine.espeak._handle)  # its state lies in static variables
    _engine().espeak.srand(1)


def available() -> bool:
    """Is the library there?"""
    try:
        _engine()
    except InputError:
        return False
    return True


def _stresses(engine: _Engine, text: bytes) -> list[tuple[str, float]]:
    """The phonemes of a text as the machine writes them, with their stress (1, 0.5 or 0)."""
    pointer = c_char_p(text)
    out = []
    while pointer.value is not None:
        mode = PHONEME_IPA | (ord("_") << 8)
        written = engine.espeak.espeak_TextToPhonemes(ctypes.byref(pointer), UTF8, mode).decode("utf-8", "ignore")
        for name in written.replace(" ", "_").split("_"):
            out.append((name.replace("ˈ", "").replace("ˌ", ""), 1.0 if "ˈ" in name else 0.5 if "ˌ" in name else 0.0))
    return out


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50, melody: int = 50) -> tuple[np.ndarray, list[Phone]]:
    """Speak one sentence: its samples (int16 [T], RATE a second) and its phonemes in order, without gaps.

    voice: a language, and after a + a variant ("en-us+f2"). rate: words a minute. pitch, melody (its range): 0–99.
    Raises InputError when espeak-ng or the voice is missing.
    """
    engine = _engine()
    engine.choose(voice)
    for parameter, value in ((SPEED, rate), (VOLUME, 100), (PITCH, pitch), (PITCH_RANGE, melody)):
        engine.espeak.espeak_SetParameter(parameter, value, 0)
    data = text.encode()
    written = _stresses(engine, data)
    engine.sound, engine.events = [], []
    engine.espeak.espeak_Synth(data, len(data) + 1, 0, BY_CHARACTER, 0, UTF8, None, None)
    engine.espeak.espeak_Synchronize()
    wave = np.frombuffer(b"".join(engine.sound), np.int16)
    events = [
        (name, sample) for name, sample in engine.events if not name.startswith("(")
    ]  # not the changes of language
    names = [name for name, _ in events]
    stress = np.zeros(len(names))
    for block in SequenceMatcher(None, [name for name, _ in written], names, autojunk=False).get_matching_blocks():
        stress[block.b : block.b + block.size] = [s for _, s in written[block.a : block.a + block.size]]
    return wave, _timeline(wave, events, stress, 0.042 * 175 / rate)


def _timeline(wave: np.ndarray, events: list[tuple[str, int]], stress: np.ndarray, closure: float) -> list[Phone]:
    """Phones from the machine's events, put where the sound says.

    The machine reports a stop at its burst, after the silence of its closure, and a vowel after a voiced closure only
    when the transition is over. closure: how long an unvoiced stop is taken to be closed (seconds) where a voice with
    an echo fills the silence.
    """
    quiet_until = _quiet_runs(wave)
    spots = [sample for _, sample in events] + [len(wave)]
    starts, releases = [], []
    for i, (name, sample) in enumerate(events):
        start = sample
        if name:
            run = sample - quiet_until[min(max(sample - 1, 0), len(wave) - 1)] if len(wave) else 0
            before = sample - (spots[i - 1] if i else 0)
            pause = i > 0 and not events[i - 1][0]
            longest = CLOSURE if name.startswith(STOPS) else 0.0 if pause else 0.05
            run = min(run, before, int(longest * RATE))
            if run < 0.015 * RATE and i and name.startswith(VOICELESS):
                run = min(int(closure * RATE), before // 2)
            start = sample - run
        starts.append(start)
    for i, (name, sample) in enumerate(events):
        end = spots[i + 1]
        release = end
        if name.startswith(STOPS) and sample - starts[i] > 0.015 * RATE:
            release = sample  # the burst
        elif name.startswith(STOPS + NASALS) and i + 1 < len(events) and events[i + 1][0]:
            release = _opening(wave, sample, end, spots[i + 2])
            # what follows the opening is the next sound's
            if starts[i + 1] == end and not events[i + 1][0].startswith(STOPS + NASALS):
                starts[i + 1] = release + (end - release) // 3
        releases.append(release)
    starts.append(len(wave))
    phones = []
    for i, (name, _) in enumerate(events):
        if starts[i + 1] > starts[i]:
            seconds = [float(x / RATE) for x in (starts[i], starts[i + 1], min(releases[i], starts[i + 1]))]
            phones.append(Phone(name, *seconds, stress=float(stress[i])))
    return phones


def _quiet_runs(wave: np.ndarray) -> np.ndarray:
    """For every sample [T] the first sample of the quiet run that it ends or lies in; itself + 1 where it is loud."""
    loud = np.abs(wave.astype(np.int32)) > QUIET
    last = np.maximum.accumulate(np.where(loud, np.arange(len(wave)), -1))
    return last + 1


def _opening(wave: np.ndarray, start: int, end: int, following: int) -> int:
    """The sample between start and end at which a voiced closure opens: where the sound above 600 Hz jumps up."""
    step = RATE // 200
    piece = wave[start : min(following, end + RATE // 20)].astype(np.float64)
    count = len(piece) // step
    if count < 4 or end - start < 5 * step:
        return end
    spectrum = np.fft.rfft(piece[: count * step].reshape(count, step) * np.hanning(step), 256)
    low = int(600 / RATE * 256)
    level = 10 * np.log10((np.abs(spectrum[:, low : low * 6]) ** 2).sum(1) + 1e3)
    level = np.convolve(np.pad(level, 1, mode="edge"), np.ones(3) / 3, "valid")  # over a period of the voice
    inside = (end - start) // step
    middle = (np.median(level[1 : inside // 2 + 1]) + np.median(level[inside:] if count > inside else level[-1:])) / 2
    above = np.nonzero(level[inside // 3 : inside + 1] > middle)[0]
    return min(end, start + (inside // 3 + int(above[0])) * step) if len(above) else end
