"""A voice as all drivers hear it: mono, 16 kHz, at one loudness, streamed so that its length costs no memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch
from torch import Tensor

from .. import host
from ..errors import InputError
from ..media.audio import Audio, AudioFile
from ..media.container import Source, name_of

SAMPLE_RATE = 16000  # samples a second
LEVEL_DB = -23.0  # integrated loudness that voices are brought to: that of broadcast speech (EBU R 128)
MAX_GAIN_DB = 30.0  # a recording that is all but silent stays quiet

# ITU-R BS.1770: blocks of four 100 ms steps that overlap by three of them; the two gates
_STEP = SAMPLE_RATE // 10
_STEPS = 4
_ABSOLUTE_GATE_DB = -70.0
_RELATIVE_GATE_DB = -10.0


class Speech:
    """A voice, to be gone through as often as wanted. Made by `Speech.of`.

    samples: its length at `SAMPLE_RATE`, the original duration to the nearest sample; seconds: that duration, exact.
    level_db: integrated loudness of the mono sound in LUFS by ITU-R BS.1770, pauses left out by its gates; None
        for silence.
    """

    def __init__(self, sound: Audio | AudioFile, seconds: Fraction, level_db: float | None):
        self.sound, self.seconds, self.level_db = sound, seconds, level_db
        self.samples = _samples(seconds)

    @classmethod
    def of(cls, source: Audio | AudioFile | Source) -> Speech:
        """Goes through sound in memory, or through the sound of a file, once: checks it, measures it.

        Raises InputError where there is no sound, a file is missing or no media, or values are not finite.
        """
        sound = source if isinstance(source, (Audio, AudioFile)) else AudioFile.open(source)
        if sound is None:
            raise InputError(f"{name_of(source, 'the file')} has no sound; give a file with a sound track.")
        count, meter = 0, _Meter()

        def checked() -> Iterator[Tensor]:
            nonlocal count
            for block in sound.blocks():
                if not block.isfinite().all():
                    raise InputError(
                        "The sound holds values that are no numbers (NaN or infinite); replace them by zeros or"
                        " export the sound again."
                    )
                count += block.shape[1]
                progress.update()
                yield block

        with host.current().progress(0, "listening") as progress:
            for block in _at_rate(checked(), sound.sample_rate):
                meter.add(block)
        if not count:
            raise InputError("The sound is empty; give one that is longer than nothing.")
        return cls(sound, Fraction(count, sound.sample_rate), meter.level())

    @property
    def gain(self) -> float:
        """Factor that brings the voice to `LEVEL_DB`; 1 for silence, at most `MAX_GAIN_DB`."""
        if self.level_db is None:
            return 1.0
        return 10 ** (min(LEVEL_DB - self.level_db, MAX_GAIN_DB) / 20)

    def blocks(self, normalised: bool = True) -> Iterator[Tensor]:
        """The voice in float32 blocks [n] of about a second, together `samples` long.

        normalised: at the common loudness, by one gain for all of it, so that pauses stay quiet; peaks may
        then exceed ±1. False: as recorded.
        """
        gain = self.gain if normalised else 1.0
        for block in _at_rate(self.sound.blocks(), self.sound.sample_rate):
            yield block * gain

    def frames(self, fps: Fraction) -> int:
        """How many video frames cover it: at least 1."""
        return max(1, math.ceil(self.seconds * fps))


def _samples(seconds: Fraction) -> int:
    return max(1, round(seconds * SAMPLE_RATE))


def _at_rate(blocks: Iterable[Tensor], sample_rate: int) -> Iterator[Tensor]:
    """Blocks [C, n] at any rate, channels averaged and resampled to `SAMPLE_RATE`: exactly the nearest whole length."""
    if sample_rate == SAMPLE_RATE:
        for block in blocks:
            yield block.mean(0)
        return
    import av

    resampler = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    came = made = 0

    def resampled(frame) -> Iterator[Tensor]:
        for part in resampler.resample(frame):
            if part.samples:
                yield torch.from_numpy(part.to_ndarray()[0])

    for block in blocks:
        frame = av.AudioFrame.from_ndarray(block.mean(0, keepdim=True).numpy(), "fltp", "mono")
        frame.sample_rate = sample_rate
        came += frame.samples
        for part in resampled(frame):
            made += len(part)
            yield part
    if not came:
        return
    # the resampler's own end is a few samples longer or shorter than the sound
    missing = _samples(Fraction(came, sample_rate)) - made
    end = torch.cat([*resampled(None), torch.zeros(max(missing, 0))])[:missing]
    if len(end):
        yield end


class _Meter:
    """Integrated loudness of mono sound at `SAMPLE_RATE`, of which it keeps ten numbers a second."""

    def __init__(self):
        import numpy as np

        self._filter = _k_weighting()
        self._state = np.zeros((len(self._filter), 2))
        self._rest = np.zeros(0)
        self._steps: list[float] = []  # mean square of each 100 ms

    def add(self, block: Tensor) -> None:
        import numpy as np
        from scipy.signal import sosfilt

        heard, self._state = sosfilt(self._filter, block.numpy(), zi=self._state)
        heard = np.concatenate([self._rest, heard])
        whole = len(heard) // _STEP
        self._steps += (heard[: whole * _STEP].reshape(whole, _STEP) ** 2).mean(1).tolist()
        self._rest = heard[whole * _STEP :]

    def level(self) -> float | None:
        """Loudness in LUFS; None where no block passes the absolute gate."""
        import numpy as np

        steps = np.array(self._steps)
        if len(steps) < _STEPS:
            # shorter than one block: all of it is one
            total = steps.sum() * _STEP + (self._rest**2).sum()
            powers = np.array([total / max(1, len(steps) * _STEP + len(self._rest))])
        else:
            powers = np.convolve(steps, np.ones(_STEPS) / _STEPS, "valid")
        powers = powers[powers > _power(_ABSOLUTE_GATE_DB)]
        if not len(powers):
            return None
        powers = powers[powers > powers.mean() * 10 ** (_RELATIVE_GATE_DB / 10)]
        return float(10 * np.log10(powers.mean()) - 0.691)


def _power(level_db: float) -> float:
    return 10 ** ((level_db + 0.691) / 10)


def _k_weighting():
    """The filter of BS.1770 (tables 1 and 2, given at 48 kHz) at `SAMPLE_RATE`, as second-order sections."""
    import numpy as np
    from scipy.signal import bilinear_zpk, sosfreqz, tf2zpk, zpk2sos

    published = [
        ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1, -1.69065929318241, 0.73248077421585]),
        ([1, -2, 1], [1, -1.99004745483398, 0.99007225036621]),
    ]
    sections = []
    for b, a in published:
        zeros, poles, _ = tf2zpk(b, a)
        analogue = [2 * 48000 * (root - 1) / (root + 1) for root in (zeros, poles)]
        section = zpk2sos(*bilinear_zpk(*analogue, 1, SAMPLE_RATE))
        # equal at 1 kHz, where the standard is calibrated
        wanted = np.abs(sosfreqz(np.array([[*b, *a]]), [1000], fs=48000)[1])
        section[0, :3] *= wanted / np.abs(sosfreqz(section, [1000], fs=SAMPLE_RATE)[1])
        sections.append(section)
    return np.concatenate(sections)
