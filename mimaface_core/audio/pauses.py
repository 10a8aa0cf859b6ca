"""Pauses of a voice: the video frames in which nobody speaks."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .speech import SAMPLE_RATE, Speech

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
        Blocks [n] of truth values, together one for each frame that covers the voice; all of silence is a pause.
    """
    pending, quiet = torch.zeros(0), torch.zeros(0, dtype=torch.bool)
    for block in speech.blocks():
        pending = torch.cat([pending, block])
        count = len(pending) // _FRAME
        quiet = torch.cat([quiet, _quiet(pending[: count * _FRAME])])
        pending = pending[count * _FRAME :]
        if len(quiet) > AHEAD:
            yield _lasting(quiet)[:-AHEAD]
            quiet = quiet[-AHEAD:]
    if len(pending):
        quiet = torch.cat([quiet, _quiet(torch.cat([pending, torch.zeros(_FRAME - len(pending))]))])
    if len(quiet):
        yield _lasting(quiet)


def _quiet(samples: Tensor) -> Tensor:
    power = samples.view(-1, _FRAME).square().mean(1)
    return 10 * (power + _FLOOR).log10() < PAUSE_DB


def _lasting(quiet: Tensor) -> Tensor:
    """Frames that are quiet and stay so for AHEAD frames; beyond the end it stays quiet."""
    padded = torch.cat([quiet, torch.ones(AHEAD, dtype=torch.bool)])
    return padded.unfold(0, AHEAD + 1, 1).all(1)
