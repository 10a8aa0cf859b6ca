"""The mel spectrogram that SadTalker hears, of a whole sound or streamed without seams.

As in Wav2Lip and SadTalker: 16 kHz, pre-emphasis 0.97, windows of 800 samples every 200, 80 bands from 55 to 7600 Hz,
decibels from −100 to 0 below a reference of 20 dB spread over ±4. Both ends are padded with silence, so frame k is
centred on sample 200·k. It never changes the level of what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache

import torch
from torch import Tensor

from .speech import RATE, Speech

HOP = 200
MELS = 80
WINDOW = 800
_PRE_EMPHASIS = 0.97
LOWEST_HZ, HIGHEST_HZ = 55, 7600
_FLOOR_DB, _REFERENCE_DB, _SPAN = -100.0, 20.0, 4.0


def mel_spectrogram(wave: Tensor) -> Tensor:
    """Mel spectrogram [80, 1 + T // 200] in ±4 of a sound [T] at 16 kHz."""
    return torch.cat(list(_mels([wave]))).T


def mel_stream(speech: Speech, normalised: bool = True) -> Iterator[Tensor]:
    """The frames of `mel_spectrogram` in blocks [n, 80], 1 + samples // 200 of them in all.

    normalised: of the voice at the common loudness; False: as recorded, which is what SadTalker was trained on.
    """
    return _mels(speech.blocks(normalised))


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
    spectrum = torch.stft(
        wave, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True
    )
    decibels = 20 * (_filters() @ spectrum.abs()).clamp(min=10 ** (_FLOOR_DB / 20)).log10() - _REFERENCE_DB
    return ((decibels - _FLOOR_DB) / -_FLOOR_DB * 2 * _SPAN - _SPAN).clamp(-_SPAN, _SPAN).T


@cache
def _filters() -> Tensor:
    """The mel bands [80, 401], of equal area as in Slaney's Auditory Toolbox."""
    from transformers.audio_utils import mel_filter_bank

    bank = mel_filter_bank(
        WINDOW // 2 + 1, MELS, LOWEST_HZ, HIGHEST_HZ, RATE, norm="slaney", mel_scale="slaney"
    )
    return torch.from_numpy(bank.T).float().contiguous()
