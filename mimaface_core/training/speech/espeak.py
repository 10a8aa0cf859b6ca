"""Speech from espeak-ng with the times of its phonemes, through its C library (https://github.com/espeak-ng/espeak-ng).

The library has one state for the whole process: call it from one thread; use processes to make speech in parallel.
"""

from __future__ import annotations

import _ctypes
import ctypes
import sys
from ctypes import CFUNCTYPE, POINTER, c_char, c_char_p, c_int, c_short, c_uint, c_void_p
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ...errors import InputError

LIBRARY = "libespeak-ng.dylib" if sys.platform == "darwin" else "libespeak-ng.so.1"
ESPEAK_RATE = 22050  # Hz, of its voices
# constants of speak_lib.h
_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS, _PHONEME_IPA = 1, 2
_PARAMETER_RATE, _PARAMETER_VOLUME, _PARAMETER_PITCH, _PARAMETER_RANGE = 1, 2, 3, 4
_CHARS_UTF8, _POS_CHARACTER = 1, 1
_EVENT_LIST_TERMINATED, _EVENT_PHONEME = 0, 7
_ID_BYTES = 8  # of a phoneme's name in an event

STOPS = ("p", "b", "t", "d", "ʈ", "ɖ", "c", "ɟ", "k", "ɡ", "g", "q", "ɢ", "ʔ", "ɓ", "ɗ", "ɠ", "ʄ")
VOICELESS_STOPS = ("p", "t", "ʈ", "c", "k", "q")
NASALS = ("m", "n", "ɱ", "ɳ", "ɲ", "ŋ", "ɴ")
QUIET_LEVEL = 24  # of int16 samples; quieter ones are silence
MAX_CLOSURE_SECONDS = 0.1  # of the silence before a stop that is taken for its closure
MAX_ONSET_SECONDS = 0.05  # of the silence before another sound that belongs to it
MIN_CLOSURE_SECONDS = 0.015  # shorter silences are none
VOICELESS_CLOSURE_SECONDS = 0.042  # at USUAL_RATE, where an echo fills the silence
USUAL_RATE = 175  # words a minute


class _Id(ctypes.Union):
    _fields_ = [("number", c_int), ("name", c_char_p), ("string", c_char * _ID_BYTES)]


class _Event(ctypes.Structure):  # espeak_EVENT of speak_lib.h
    _fields_ = [
        ("type", c_int), ("message", c_uint), ("text_position", c_int), ("length", c_int),
        ("audio_position", c_int), ("sample", c_int), ("user_data", c_void_p), ("id", _Id),
    ]  # fmt: skip


_CALLBACK = CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@dataclass(frozen=True)
class Phone:
    """One phoneme.

    Attributes:
        name: IPA; "" is a pause.
        start: s.
        end: s.
        release: end of a closure, or `end` of a sound without one, s.
        stress: 0–1.
    """

    name: str
    start: float
    end: float
    release: float
    stress: float = 0.0


class _PhonemeEvent(NamedTuple):
    """A phoneme as espeak-ng reports it: its name and sample."""

    name: str
    sample: int


class _Engine:
    """The library, loaded once a process."""

    def __init__(self) -> None:
        try:
            self.espeak = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise InputError(
                "espeak-ng, which speaks the training data, is not installed: install it (on Debian: apt install "
                "espeak-ng)."
            ) from error
        self.audio: list[bytes] = []
        self.events: list[_PhonemeEvent] = []
        self.callback = _CALLBACK(self._collect)
        rate = self.espeak.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, None, _PHONEME_EVENTS | _PHONEME_IPA)
        if rate != ESPEAK_RATE:
            raise InputError(
                f"espeak-ng cannot start (it answers {rate}): install its voices (on Debian: apt install "
                "espeak-ng-data)."
            )
        self.espeak.espeak_SetSynthCallback(self.callback)
        self.espeak.espeak_TextToPhonemes.restype = c_char_p
        self.voice = ""

    def _collect(self, wave: Any, count: int, events: Any) -> int:  # pointers of ctypes, which have no usable type
        """Callback of the library: collect samples and phoneme events."""
        if wave and count:
            self.audio.append(ctypes.string_at(wave, 2 * count))
        i = 0
        while events[i].type != _EVENT_LIST_TERMINATED:
            if events[i].type == _EVENT_PHONEME:
                # a long name fills the bytes without a final zero
                name = ctypes.string_at(ctypes.addressof(events[i].id), _ID_BYTES).split(b"\0")[0]
                self.events.append(_PhonemeEvent(name.decode("utf-8", "ignore"), events[i].sample))
            i += 1
        return 0

    def choose(self, voice: str) -> None:
        """Make a voice the current one."""
        if voice != self.voice:
            if self.espeak.espeak_SetVoiceByName(voice.encode()) != 0:
                raise InputError(
                    f"espeak-ng has no voice {voice}: install its voices (on Debian: apt install espeak-ng-data)."
                )
            self.voice = voice

    def stresses(self, text: bytes) -> list[tuple[str, float]]:
        """Phonemes of a text, with their stress: 1 primary, 0.5 secondary, 0 none."""
        pointer = c_char_p(text)
        out = []
        while pointer.value is not None:
            mode = _PHONEME_IPA | (ord("_") << 8)  # separated by _
            phonemes = self.espeak.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, mode)
            for name in phonemes.decode("utf-8", "ignore").replace(" ", "_").split("_"):
                stress = 1.0 if "ˈ" in name else 0.5 if "ˌ" in name else 0.0
                out.append((name.replace("ˈ", "").replace("ˌ", ""), stress))
        return out

    def synthesise(self, text: bytes) -> tuple[np.ndarray, list[_PhonemeEvent]]:
        """Samples int16 [T] of a text and its phoneme events, without changes of language."""
        self.audio, self.events = [], []
        self.espeak.espeak_Synth(text, len(text) + 1, 0, _POS_CHARACTER, 0, _CHARS_UTF8, None, None)
        self.espeak.espeak_Synchronize()
        wave = np.frombuffer(b"".join(self.audio), np.int16)
        return wave, [event for event in self.events if not event.name.startswith("(")]


@lru_cache(maxsize=1)
def _engine() -> _Engine:
    return _Engine()


def restart() -> None:
    """Reset the library, so that speech does not depend on what was spoken before."""
    engine = _engine()
    _engine.cache_clear()
    engine.espeak.espeak_Terminate()
    _ctypes.dlclose(engine.espeak._handle)  # its state lies in static variables
    _engine().espeak.srand(1)


def available() -> bool:
    """Whether the library can be loaded."""
    try:
        _engine()
    except InputError:
        return False
    return True


def speak(text: str, voice: str, rate: int = 175, pitch: int = 50, melody: int = 50) -> tuple[np.ndarray, list[Phone]]:
    """Speak one sentence.

    Args:
        text: the sentence.
        voice: language, and after a + a variant ("en-us+f2").
        rate: words a minute.
        pitch: 0–99.
        melody: range of the pitch, 0–99.

    Returns:
        Samples int16 [T] at ESPEAK_RATE, and phonemes in order and without gaps.

    Raises:
        InputError: espeak-ng or the voice is missing.
    """
    engine = _engine()
    engine.choose(voice)
    parameters = {_PARAMETER_RATE: rate, _PARAMETER_VOLUME: 100, _PARAMETER_PITCH: pitch, _PARAMETER_RANGE: melody}
    for parameter, value in parameters.items():
        engine.espeak.espeak_SetParameter(parameter, value, 0)
    data = text.encode()
    stressed = engine.stresses(data)
    wave, events = engine.synthesise(data)
    names = [event.name for event in events]
    stress = np.zeros(len(names))
    for block in SequenceMatcher(None, [name for name, _ in stressed], names, autojunk=False).get_matching_blocks():
        stress[block.b : block.b + block.size] = [value for _, value in stressed[block.a : block.a + block.size]]
    return wave, _timeline(wave, events, stress, VOICELESS_CLOSURE_SECONDS * USUAL_RATE / rate)


def _timeline(wave: np.ndarray, events: list[_PhonemeEvent], stress: np.ndarray, closure: float) -> list[Phone]:
    """Phones of events, moved to their times in the audio.

    espeak-ng reports a stop at its burst, after the silence of its closure, and a vowel after a voiced closure only
    when the transition is over.

    Args:
        wave: samples [T].
        events: in order.
        stress: of each event.
        closure: length of a voiceless stop's closure where an echo fills the silence (s).
    """
    starts = [*_starts(wave, events, closure), len(wave)]
    ends = [event.sample for event in events[1:]] + [len(wave)]
    releases = []
    for i, (event, end) in enumerate(zip(events, ends, strict=True)):
        release = end
        if event.name.startswith(STOPS) and event.sample - starts[i] > MIN_CLOSURE_SECONDS * ESPEAK_RATE:
            release = event.sample  # the burst
        elif event.name.startswith(STOPS + NASALS) and i + 1 < len(events) and events[i + 1].name:
            release = _opening(wave, event.sample, end, ends[i + 1])
            # the audio after the opening belongs to the next sound
            if starts[i + 1] == end and not events[i + 1].name.startswith(STOPS + NASALS):
                starts[i + 1] = release + (end - release) // 3
        releases.append(release)
    phones = []
    for i, event in enumerate(events):
        if starts[i + 1] > starts[i]:
            samples = (starts[i], starts[i + 1], min(releases[i], starts[i + 1]))
            start, stop, opened = (sample / ESPEAK_RATE for sample in samples)
            phones.append(Phone(event.name, start, stop, opened, float(stress[i])))
    return phones


def _starts(wave: np.ndarray, events: list[_PhonemeEvent], closure: float) -> list[int]:
    """First sample of each event: that of the silence before it, as far as it belongs to its closure."""
    silence_start = _silence_starts(wave)
    starts = []
    for i, (name, sample) in enumerate(events):
        if not name:
            starts.append(sample)
            continue
        silence = int(sample - silence_start[min(max(sample - 1, 0), len(wave) - 1)]) if len(wave) else 0
        before = sample - (events[i - 1].sample if i else 0)
        after_pause = i > 0 and not events[i - 1].name
        longest = MAX_CLOSURE_SECONDS if name.startswith(STOPS) else 0.0 if after_pause else MAX_ONSET_SECONDS
        silence = min(silence, before, int(longest * ESPEAK_RATE))
        if silence < MIN_CLOSURE_SECONDS * ESPEAK_RATE and i and name.startswith(VOICELESS_STOPS):
            silence = min(int(closure * ESPEAK_RATE), before // 2)
        starts.append(sample - silence)
    return starts


def _silence_starts(wave: np.ndarray) -> np.ndarray:
    """For every sample [T] the first sample of the silence that it lies in; itself + 1 where it is loud."""
    loud = np.abs(wave.astype(np.int32)) > QUIET_LEVEL
    last = np.maximum.accumulate(np.where(loud, np.arange(len(wave)), -1))
    return last + 1


def _opening(wave: np.ndarray, start: int, end: int, following: int) -> int:
    """Sample between start and end at which a voiced closure opens: where the level above 600 Hz jumps up."""
    step = ESPEAK_RATE // 200
    piece = wave[start : min(following, end + ESPEAK_RATE // 20)].astype(np.float64)
    count = len(piece) // step
    if count < 4 or end - start < 5 * step:
        return end
    spectrum = np.fft.rfft(piece[: count * step].reshape(count, step) * np.hanning(step), 256)
    low = int(600 / ESPEAK_RATE * 256)
    level = 10 * np.log10((np.abs(spectrum[:, low : low * 6]) ** 2).sum(1) + 1e3)
    level = np.convolve(np.pad(level, 1, mode="edge"), np.ones(3) / 3, "valid")  # over a period of the voice
    inside = (end - start) // step
    middle = (np.median(level[1 : inside // 2 + 1]) + np.median(level[inside:] if count > inside else level[-1:])) / 2
    above = np.nonzero(level[inside // 3 : inside + 1] > middle)[0]
    return min(end, start + (inside // 3 + int(above[0])) * step) if len(above) else end
