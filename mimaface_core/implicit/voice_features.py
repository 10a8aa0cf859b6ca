"""Speech for the bundled transformer: what the bundled voice network hears, 50 tokens a second."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..audio.mel import MEL_RATE, loudness, mel_stream
from ..audio.speech import Speech
from ..audio.voice.net import VoiceNet
from ..audio.voice.visemes import MOUTH, VISEMES
from ..tensors import between
from .motion import RATE
from .transformer import TOKENS_A_FRAME

TOKEN_RATE = 50  # a second
FEATURES = len(VISEMES) + len(MOUTH) + 2  # of a token: visemes, mouth, stress, loudness
LOUDNESS, LOUDNESS_RANGE = 80.0, 30.0  # decibels of a loudness of 0, and up to one of 1


def voice_features(speech: Speech, net: VoiceNet) -> Iterator[Tensor]:
    """Features of a voice in blocks, without seams and in constant memory.

    Args:
        speech: the voice.
        net: the bundled network.

    Yields:
        [n, 25]: probabilities of the visemes, the mouth, stress, and loudness; token i at (i + 0.5) / 50 seconds. As
        many in all as there are whole tokens in the voice, rounded up to whole frames of 25 a second.
    """
    levels: list[Tensor] = []

    def mels() -> Iterator[Tensor]:
        for mel in mel_stream(speech):
            levels.append((loudness(mel) - LOUDNESS) / LOUDNESS_RANGE)
            yield mel

    heard, first, made = torch.zeros(0, FEATURES), 0, 0  # from mel frame `first` on; tokens so far
    for part in net.stream(mels()):
        level = torch.cat(levels)
        levels[:] = [level[len(part["stress"]) :]]
        numbers = (part["stress"], level[: len(part["stress"])])
        block = torch.cat([part["viseme"].softmax(-1), part["mouth"], torch.stack(numbers, 1)], 1)
        heard = torch.cat([heard, block])
        ready = int((first + len(heard) - 1) * TOKEN_RATE / MEL_RATE - 0.5) + 1
        if ready > made:
            yield _tokens(heard, first, range(made, ready))
            kept = int(_instant(ready))
            heard, first, made = heard[kept - first :], kept, ready
    total = speech.frames(RATE) * TOKENS_A_FRAME
    if total > made and len(heard):
        yield _tokens(heard, first, range(made, total))


def _instant(token: float) -> float:
    """Place of a token's instant among the mel frames."""
    return (token + 0.5) * MEL_RATE / TOKEN_RATE


def _tokens(heard: Tensor, first: int, tokens: range) -> Tensor:
    """Features [n, 25] of some tokens, linear between mel frames [M, 25], of which `first` is the first."""
    at = torch.tensor([_instant(token) for token in tokens]) - first
    at = at.clamp(0, len(heard) - 1)
    low = at.floor().long()
    return between(heard[low], heard[(low + 1).clamp(max=len(heard) - 1)], at - low)
