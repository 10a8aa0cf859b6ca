"""Loudness of audio over time, by which a control can be moved, and the outline that a timeline shows."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor
from torch.nn import functional as F

from ..media.audio import AnyAudio

LOUD_QUANTILE = 0.95  # of the frames that are not silent: as loud counts as 1
SILENCE = 1e-4  # amplitude
OUTLINE_HZ = 100.0  # levels a second that an outline is made of
CURVE = 0.6  # exponent: quiet speech still moves something


def loudness(audio: AnyAudio, fps: Fraction, count: int) -> Tensor:
    """Loudness in each video frame [count], 0 in silence, 1 where the audio is loud; 0 behind its end."""
    level = _levels(audio, float(fps))[:count]
    heard = level[level > SILENCE]
    loud = heard.quantile(LOUD_QUANTILE) if len(heard) else level.new_ones(())
    return F.pad((level / loud).clamp(max=1) ** CURVE, (0, count - len(level)))


def outline(audio: AnyAudio, points: int) -> tuple[list[float], float]:
    """Peaks of the audio, at most `points` of equal length, 0–1; and the seconds that they take together."""
    level = _levels(audio, OUTLINE_HZ)
    if not len(level):
        return [], 0.0
    size = -(-len(level) // points)
    padded = F.pad(level, (0, -len(level) % size))
    peaks = padded.view(-1, size).amax(1)
    loudest = peaks.max().clamp(min=SILENCE)
    return [round(float(peak), 3) for peak in peaks / loudest], len(padded) / OUTLINE_HZ


def _levels(audio: AnyAudio, rate: float) -> Tensor:
    """Root mean square of each `1 / rate` seconds, of all channels together; what is no number counts as silence."""
    length = audio.sample_rate / rate
    start, sums, counts = 0, torch.zeros(0), torch.zeros(0)
    for block in audio.blocks():
        mono = block.nan_to_num(0, 0, 0).square().mean(0)
        frame = ((start + torch.arange(len(mono))) / length).long()
        missing = max(0, int(frame[-1]) + 1 - len(sums)) if len(mono) else 0
        sums, counts = F.pad(sums, (0, missing)), F.pad(counts, (0, missing))
        sums.index_add_(0, frame, mono)
        counts.index_add_(0, frame, torch.ones_like(mono))
        start += len(mono)
    return (sums / counts.clamp(min=1)).sqrt()
