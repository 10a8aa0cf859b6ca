"""A voice that still comes: as `Speech` has it, without knowing its end."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import checks
from ..errors import InputError
from .speech import SAMPLE_RATE, LoudnessMeter, Resampler, gain_of

RATES = (8_000, 192_000)  # Hz
MOST_CHANNELS = 64  # more are samples, in the wrong order
ATTENTION = 1.0  # seconds of voice after which its loudness is measured anew
EASE = 0.1  # share by which the gain follows at each block


class LiveVoice:
    """Samples [m], mono and at 16 kHz, of blocks [C, n] or [n], at about the loudness of `Speech.blocks`.

    The gain follows the loudness of what has been heard so far, slowly, so that pauses stay quiet.

    Args:
        sample_rate: of the blocks, in Hz.
        level_db: integrated loudness of the voice in LUFS, where it is known; the gain is then constant.

    Raises:
        InputError: a rate that no sound has.
    """

    def __init__(self, sample_rate: int = SAMPLE_RATE, level_db: float | None = None) -> None:
        checks.whole(*RATES)("sample_rate", sample_rate)
        checks.optional(checks.number())("level_db", level_db)
        self._resampler, self._meter, self._known = Resampler(sample_rate), LoudnessMeter(), level_db
        self._gain, self._aim, self._unmeasured = gain_of(level_db), gain_of(level_db), 0
        self._begun, self._finished = level_db is not None, False

    def add(self, block: Tensor | np.ndarray) -> Tensor:
        """The samples that are known after the next block, of floats or of signed integers.

        Raises:
            InputError: values that are not finite, another shape, or the voice is finished.
        """
        self._check_open()
        checks.kind(Tensor, np.ndarray, remedy="give samples [n] or [channels, n]")("block", block)
        block = torch.as_tensor(block)
        if block.ndim not in (1, 2) or block.ndim == 2 and len(block) > MOST_CHANNELS or not block.isfinite().all():
            raise InputError("A block of a voice must have shape [n] or [channels, n] and finite values.")
        samples = block.float() if block.is_floating_point() else block.float() / torch.iinfo(block.dtype).max
        return self._levelled(self._resampler.add(samples if samples.ndim == 2 else samples[None]))

    def finish(self) -> Tensor:
        """The samples that are left; no block can follow.

        Raises:
            InputError: the voice is finished already.
        """
        self._check_open()
        self._finished = True
        return self._levelled(self._resampler.finish())

    def _check_open(self) -> None:
        if self._finished:
            raise InputError("This voice is finished; begin another one for what follows.")

    def _levelled(self, samples: Tensor) -> Tensor:
        if not len(samples):
            return samples
        if self._known is None:
            self._meter.add(samples)
            self._unmeasured += len(samples)
            if not self._begun or self._unmeasured >= ATTENTION * SAMPLE_RATE:
                level, self._unmeasured = self._meter.level(), 0
                self._aim = gain_of(level)
                if level is not None and not self._begun:  # the first words are as loud as the others
                    self._gain, self._begun = self._aim, True
        before, self._gain = self._gain, self._gain + EASE * (self._aim - self._gain)
        return samples * torch.linspace(before, self._gain, len(samples))
