"""The mel spectrogram that SadTalker hears, of a whole sound or streamed without seams.

As in Wav2Lip and SadTalker: 16 kHz, pre-emphasis 0.97, windows of 800 samples every 200, 80 bands from 55 to 7600 Hz,
decibels from −100 to 0 below a reference of 20 dB spread over ±4. Both ends are padded with silence, so frame k is
centred on sample 200·k. It never changes the level of what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import torch
from torch import Tensor

from .speech import SAMPLE_RATE, Speech

HOP = 200
MELS = 80
WINDOW = 800
_PRE_EMPHASIS = 0.97
_LOWEST_HZ, _HIGHEST_HZ = 55, 7600
_FLOOR_DB, _REFERENCE_DB, _SPAN = -100.0, 20.0, 4.0
_RUMBLE_HZ = 150.0  # below it is more rumble than voice


def mel_spectrogram(wave: Tensor) -> Tensor:
    """Mel spectrogram [80, 1 + T // 200] in ±4 of a sound [T] at 16 kHz."""
    return torch.cat(list(_mels([wave]))).T


def mel_stream(speech: Speech, normalised: bool = True) -> Iterator[Tensor]:
    """The frames of `mel_spectrogram` in blocks [n, 80], 1 + samples // 200 of them in all.

    normalised: of the voice at the common loudness; False: as recorded, which is what SadTalker was trained on.
    """
    return _mels(speech.blocks(normalised))


def loudness(mel: Tensor) -> Tensor:
    """Loudness [M] of the sound of mel frames [M, 80], in decibels from an arbitrary zero, nearly."""
    decibels = (mel + _SPAN) / (2 * _SPAN) * -_FLOOR_DB
    return 10 * (10 ** (decibels / 10) @ _shares()).log10()


def _mels(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    before, kept = torch.zeros(1), torch.zeros(WINDOW // 2)
    for block in blocks:
        if not len(block):
            continue
        kept = torch.cat([kept, block - _PRE_EMPHASIS * torch.cat([before, block[:-1]])])
        before = block[-1:]
        if len(kept) >= WINDOW:
            yield _spectra(kept)
            kept = kept[(len(kept) - WINDOW) // HOP * HOP + HOP :]
    kept = torch.cat([kept, torch.zeros(WINDOW // 2)])
    if len(kept) >= WINDOW:
        yield _spectra(kept)


def _spectra(wave: Tensor) -> Tensor:
    """Frames [n, 80] of pre-emphasised sound, one for each whole window in it."""
    spectrum = torch.stft(wave, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True)
    decibels = 20 * (_filters() @ spectrum.abs()).clamp(min=10 ** (_FLOOR_DB / 20)).log10() - _REFERENCE_DB
    return ((decibels - _FLOOR_DB) / -_FLOOR_DB * 2 * _SPAN - _SPAN).clamp(-_SPAN, _SPAN).T


@cache
def _filters() -> Tensor:
    """The mel bands [80, 401], of equal area as in Slaney's Auditory Toolbox."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        WINDOW // 2 + 1, MELS, _LOWEST_HZ, _HIGHEST_HZ, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T).float().contiguous()


@cache
def _shares() -> Tensor:
    """What each mel band's power counts for in a sound's [80]: its width, and the pre-emphasis taken back."""
    from transformers.audio_utils import hertz_to_mel, mel_to_hertz

    ends = [hertz_to_mel(hertz, "slaney") for hertz in (_LOWEST_HZ, _HIGHEST_HZ)]
    edges = torch.from_numpy(mel_to_hertz(np.linspace(*ends, MELS + 2), "slaney")).float()
    centres = edges[1:-1]
    emphasis = 1 + _PRE_EMPHASIS**2 - 2 * _PRE_EMPHASIS * torch.cos(2 * torch.pi * centres / SAMPLE_RATE)
    return (edges[2:] - edges[:-2]) / emphasis * (centres > _RUMBLE_HZ)
