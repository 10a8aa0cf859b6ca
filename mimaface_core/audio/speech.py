"""Speech as all drivers take it: mono, 16 kHz, at one loudness, streamed so that its length costs no memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import host
from ..errors import InputError
from ..media.audio import AnyAudio, Audio, AudioFile
from ..media.container import Source, name_of
from .streams import streamed

if TYPE_CHECKING:
    import av
    import numpy as np

SAMPLE_RATE = 16000  # Hz
LEVEL_DB = -23.0  # integrated loudness that voices are brought to, LUFS: that of broadcast speech (EBU R 128)
MAX_GAIN_DB = 30.0  # a recording that is all but silent stays quiet

# ITU-R BS.1770: blocks of four 100 ms steps, three of which they share with the next block; the two gates.
_STEP = SAMPLE_RATE // 10  # samples
_STEPS_A_BLOCK = 4
_ABSOLUTE_GATE_DB = -70.0
_RELATIVE_GATE_DB = -10.0
_OFFSET_DB = -0.691  # of the loudness in LUFS from the mean square in decibels


class Speech:
    """A voice that can be read repeatedly. Made by `Speech.of`.

    Attributes:
        audio: the recording, at its own rate and level.
        seconds: its duration, exact.
        samples: that duration at `SAMPLE_RATE`, to the nearest sample.
        level_db: integrated loudness of the mono signal in LUFS by ITU-R BS.1770, whose gates leave pauses out; None
            for silence.
    """

    def __init__(self, audio: AnyAudio, seconds: Fraction, level_db: float | None) -> None:
        self.audio, self.seconds, self.level_db = audio, seconds, level_db
        self.samples = _samples(seconds)

    @classmethod
    def of(cls, source: AnyAudio | Source) -> Speech:
        """Read audio once, to check it and to measure its loudness.

        Args:
            source: audio, or the path or bytes of an audio or video file.

        Raises:
            InputError: there is no audio, it is empty, the file is missing or no media, or values are not finite.
        """
        if isinstance(source, (Audio, AudioFile)):
            audio: AnyAudio = source
        else:
            opened = AudioFile.open(source)
            if opened is None:
                raise InputError(f"{name_of(source, 'the file')} has no audio; give a file with an audio track.")
            audio = opened
        count, meter = 0, LoudnessMeter()

        def checked_blocks() -> Iterator[Tensor]:
            nonlocal count
            for block in audio.blocks():
                if not block.isfinite().all():
                    raise InputError(
                        "The audio holds values that are no numbers (NaN or infinite); replace them by zeros or"
                        " export the audio again."
                    )
                count += block.shape[1]
                progress.update()
                yield block

        with host.current().progress(0, "measuring the loudness") as progress:
            for block in _resampled(checked_blocks(), audio.sample_rate):
                meter.add(block)
        if not count:
            raise InputError("The audio is empty; give a recording of at least one sample.")
        return cls(audio, Fraction(count, audio.sample_rate), meter.level())

    @property
    def gain(self) -> float:
        """Factor that brings the voice to `LEVEL_DB`; 1 for silence, at most `MAX_GAIN_DB`."""
        return gain_of(self.level_db)

    def blocks(self, normalised: bool = True) -> Iterator[Tensor]:
        """The voice in float32 blocks [n] of about a second, together `samples` long.

        Args:
            normalised: at the common loudness, by one gain for all of it, so that pauses stay quiet; peaks may then
                exceed ±1. False: as recorded.
        """
        gain = self.gain if normalised else 1.0
        for block in _resampled(self.audio.blocks(), self.audio.sample_rate):
            yield block * gain

    def frames(self, fps: Fraction) -> int:
        """Number of video frames at `fps` that cover it, at least 1."""
        return max(1, math.ceil(self.seconds * fps))


def gain_of(level_db: float | None) -> float:
    """Factor that brings a voice of this loudness in LUFS to `LEVEL_DB`; 1 for silence, None."""
    return 1.0 if level_db is None else 10 ** (min(LEVEL_DB - level_db, MAX_GAIN_DB) / 20)


def _samples(seconds: Fraction) -> int:
    return max(1, round(seconds * SAMPLE_RATE))


class Resampler:
    """Blocks [C, n] at any rate as mono samples [m] at `SAMPLE_RATE`, in all exactly the nearest whole length.

    Args:
        sample_rate: of the blocks, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        import av

        self._rate = sample_rate
        self._resampler = None if sample_rate == SAMPLE_RATE else av.AudioResampler("fltp", "mono", SAMPLE_RATE)
        self._taken = self._made = 0

    def add(self, block: Tensor) -> Tensor:
        """The samples that are known after the next block."""
        import av

        mono = block.mean(0)
        if self._resampler is None or not len(mono):
            return mono
        frame = av.AudioFrame.from_ndarray(mono[None].numpy(), "fltp", "mono")
        frame.sample_rate = self._rate
        self._taken += frame.samples
        made = self._resample(frame)
        self._made += len(made)
        return made

    def finish(self) -> Tensor:
        """The samples that are left; the resampler's own end is a few longer or shorter than the audio."""
        if not self._taken:
            return torch.zeros(0)
        missing = _samples(Fraction(self._taken, self._rate)) - self._made
        return torch.cat([self._resample(None), torch.zeros(max(missing, 0))])[:missing]

    def _resample(self, frame: av.AudioFrame | None) -> Tensor:
        assert self._resampler is not None
        parts = self._resampler.resample(frame)
        return torch.cat([torch.zeros(0), *(torch.from_numpy(part.to_ndarray()[0]) for part in parts if part.samples)])


def _resampled(blocks: Iterable[Tensor], sample_rate: int) -> Iterator[Tensor]:
    return streamed(Resampler(sample_rate), blocks)


class LoudnessMeter:
    """Integrated loudness of a mono signal at `SAMPLE_RATE`, streamed: it keeps ten numbers a second.

    Not pyloudnorm, which needs the whole recording in memory.
    """

    def __init__(self) -> None:
        import numpy as np

        self._filter = _k_weighting()
        self._filter_state = np.zeros((len(self._filter), 2))
        self._pending = np.zeros(0)  # samples of an unfinished step
        self._steps: list[float] = []  # mean square of each 100 ms

    def add(self, block: Tensor) -> None:
        """Measure the next samples [n]."""
        import numpy as np
        from scipy.signal import sosfilt

        weighted, self._filter_state = sosfilt(self._filter, block.numpy(), zi=self._filter_state)
        weighted = np.concatenate([self._pending, weighted])
        count = len(weighted) // _STEP
        self._steps += (weighted[: count * _STEP].reshape(count, _STEP) ** 2).mean(1).tolist()
        self._pending = weighted[count * _STEP :]

    def level(self) -> float | None:
        """Loudness in LUFS; None where no block passes the absolute gate."""
        import numpy as np

        steps = np.array(self._steps)
        if len(steps) < _STEPS_A_BLOCK:
            # Shorter than one block: all of it is one.
            total = steps.sum() * _STEP + (self._pending**2).sum()
            powers = np.array([total / max(1, len(steps) * _STEP + len(self._pending))])
        else:
            powers = np.convolve(steps, np.ones(_STEPS_A_BLOCK) / _STEPS_A_BLOCK, "valid")
        powers = powers[powers > 10 ** ((_ABSOLUTE_GATE_DB - _OFFSET_DB) / 10)]
        if not len(powers):
            return None
        powers = powers[powers > powers.mean() * 10 ** (_RELATIVE_GATE_DB / 10)]
        return float(10 * np.log10(powers.mean()) + _OFFSET_DB)


def _k_weighting() -> np.ndarray:
    """The filter of BS.1770 (tables 1 and 2, given at 48 kHz) at `SAMPLE_RATE`, as second-order sections."""
    import numpy as np
    from scipy.signal import bilinear_zpk, sosfreqz, tf2zpk, zpk2sos

    standard: list[tuple[list[float], list[float]]] = [
        ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]),
        ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    ]
    sections = []
    for b, a in standard:
        zeros, poles, _ = tf2zpk(b, a)
        analogue_zeros, analogue_poles = (2 * 48000 * (root - 1) / (root + 1) for root in (zeros, poles))
        section = zpk2sos(*bilinear_zpk(analogue_zeros, analogue_poles, 1, SAMPLE_RATE))
        # Equal at 1 kHz, where the standard is calibrated.
        gain = np.abs(sosfreqz(np.array([[*b, *a]]), [1000], fs=48000)[1])
        section[0, :3] *= gain / np.abs(sosfreqz(section, [1000], fs=SAMPLE_RATE)[1])
        sections.append(section)
    return np.concatenate(sections)
