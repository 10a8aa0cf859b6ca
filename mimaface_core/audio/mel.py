"""Mel spectrogram of SadTalker and Wav2Lip, of a whole waveform or streamed without seams.

16 kHz, pre-emphasis 0.97, windows of 800 samples every 200, 80 bands from 55 to 7600 Hz, decibels from −100 to 0 below
a reference of 20 dB mapped to ±4. Both ends are padded with silence, so frame k is centred on sample 200·k. The level
is not normalised. Ours, and not torchaudio's or librosa's: a further dependency would replace `_spectra` alone, since
neither streams; the filter bank is that of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .speech import SAMPLE_RATE, Speech
from .streams import streamed

HOP = 200  # samples from one mel frame to the next
MELS = 80  # bands
WINDOW = 800  # samples
MEL_RATE = SAMPLE_RATE // HOP  # mel frames a second
_PRE_EMPHASIS = 0.97
_LOWEST_HZ, _HIGHEST_HZ = 55, 7600
_FLOOR_DB, _REFERENCE_DB = -100.0, 20.0
_RANGE = 4.0  # mels lie within ± this
_RUMBLE_HZ = 150.0  # bands below it are more rumble than voice


def mel_spectrogram(wave: Tensor) -> Tensor:
    """Mel spectrogram of a waveform at 16 kHz.

    Args:
        wave: [T], float in ±1.

    Returns:
        [80, 1 + T // 200] in ±4.
    """
    return torch.cat(list(streamed(MelStream(), [wave]))).T


def mel_stream(speech: Speech, normalised: bool = True) -> Iterator[Tensor]:
    """The frames of `mel_spectrogram` in blocks [n, 80], 1 + samples // 200 of them in all.

    Args:
        speech: the voice.
        normalised: at the common loudness; False: as recorded, which SadTalker was trained on.
    """
    return streamed(MelStream(), speech.blocks(normalised))


def loudness(mel: Tensor) -> Tensor:
    """Approximate loudness [M] of mel frames [M, 80], in decibels from an arbitrary zero."""
    decibels = (mel + _RANGE) / (2 * _RANGE) * -_FLOOR_DB
    return 10 * (10 ** (decibels / 10) @ _band_weights()).log10()


class MelStream:
    """The frames of `mel_spectrogram` of samples [n] at 16 kHz that come in blocks: [m, 80]."""

    def __init__(self) -> None:
        self._last, self._pending = torch.zeros(1), torch.zeros(WINDOW // 2)

    def add(self, block: Tensor) -> Tensor:
        """The frames whose windows are whole after the next samples [n]."""
        if not len(block):
            return torch.zeros(0, MELS)
        emphasised = block - _PRE_EMPHASIS * torch.cat([self._last, block[:-1]])
        self._last = block[-1:]
        return self._frames(emphasised)

    def finish(self) -> Tensor:
        """The frames whose windows reach over the end."""
        return self._frames(torch.zeros(WINDOW // 2))

    def _frames(self, samples: Tensor) -> Tensor:
        self._pending = torch.cat([self._pending, samples])
        if len(self._pending) < WINDOW:
            return torch.zeros(0, MELS)
        frames = _spectra(self._pending)
        self._pending = self._pending[len(frames) * HOP :]
        return frames


def _spectra(wave: Tensor) -> Tensor:
    """Frames [n, 80] of a pre-emphasised waveform, one for each whole window in it."""
    spectrum = torch.stft(wave, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True)
    decibels = 20 * (_filters() @ spectrum.abs()).clamp(min=10 ** (_FLOOR_DB / 20)).log10() - _REFERENCE_DB
    return ((decibels - _FLOOR_DB) / -_FLOOR_DB * 2 * _RANGE - _RANGE).clamp(-_RANGE, _RANGE).T


@cache
def _filters() -> Tensor:
    """The mel bands [80, 401], of equal area as in Slaney's Auditory Toolbox."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        WINDOW // 2 + 1, MELS, _LOWEST_HZ, _HIGHEST_HZ, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T).float().contiguous()


@cache
def _band_weights() -> Tensor:
    """Weight of each mel band's power in the loudness, [80]: its width, divided by the pre-emphasis's gain."""
    from transformers.audio_utils import hertz_to_mel, mel_to_hertz

    lowest, highest = (hertz_to_mel(hertz, "slaney") for hertz in (_LOWEST_HZ, _HIGHEST_HZ))
    edges = torch.from_numpy(mel_to_hertz(np.linspace(lowest, highest, MELS + 2), "slaney")).float()
    centres = edges[1:-1]
    emphasis = 1 + _PRE_EMPHASIS**2 - 2 * _PRE_EMPHASIS * torch.cos(2 * torch.pi * centres / SAMPLE_RATE)
    return (edges[2:] - edges[:-2]) / emphasis * (centres > _RUMBLE_HZ)
