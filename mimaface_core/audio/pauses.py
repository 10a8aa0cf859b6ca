"""Pauses of a voice: the video frames in which nobody speaks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .speech import SAMPLE_RATE, Speech
from .streams import streamed

FPS = 25
PAUSE_DB = -50.0  # below it a frame is quiet, in dBFS at the speech's common level
AHEAD = 4  # frames before a voice that no longer count as its pause: lips open before they sound
_FRAME = SAMPLE_RATE // FPS
_FLOOR = 1e-10


def pauses(speech: Speech) -> Iterator[Tensor]:
    """Whether each video frame of 25 a second lies in a pause.

    Args:
        speech: the voice.

    Yields:
        Blocks [n] of truth values, as of `Pauses`.
    """
    return streamed(Pauses(), speech.blocks())


class Pauses:
    """Pauses of a voice that comes in blocks of samples at 16 kHz, at the loudness of `Speech.blocks`.

    [n] truth values, one for each frame that covers the voice; all of silence is a pause.
    """

    def __init__(self) -> None:
        self._pending, self._quiet = torch.zeros(0), torch.zeros(0, dtype=torch.bool)

    def add(self, block: Tensor) -> Tensor:
        """The frames that are known after the next samples [n]."""
        self._pending = torch.cat([self._pending, block])
        count = len(self._pending) // _FRAME
        self._quiet = torch.cat([self._quiet, _quiet(self._pending[: count * _FRAME])])
        self._pending = self._pending[count * _FRAME :]
        if len(self._quiet) <= AHEAD:
            return self._quiet[:0]
        known, self._quiet = _lasting(self._quiet)[:-AHEAD], self._quiet[-AHEAD:]
        return known

    def finish(self) -> Tensor:
        """The frames that are left."""
        if len(self._pending):
            rest = torch.cat([self._pending, torch.zeros(_FRAME - len(self._pending))])
            self._quiet = torch.cat([self._quiet, _quiet(rest)])
        return _lasting(self._quiet) if len(self._quiet) else self._quiet


def _quiet(samples: Tensor) -> Tensor:
    power = samples.view(-1, _FRAME).square().mean(1)
    return 10 * (power + _FLOOR).log10() < PAUSE_DB


def _lasting(quiet: Tensor) -> Tensor:
    """Frames that are quiet and stay so for AHEAD frames; beyond the end it stays quiet."""
    padded = torch.cat([quiet, torch.ones(AHEAD, dtype=torch.bool)])
    return padded.unfold(0, AHEAD + 1, 1).all(1)
