"""Speech for the bundled transformer: what the bundled voice network hears, 50 tokens a second."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ..audio.mel import MEL_RATE, WINDOW, MelStream, loudness
from ..audio.speech import SAMPLE_RATE, Speech
from ..audio.streams import streamed
from ..audio.voice.net import CHUNK, VoiceNet, VoiceStream
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
        [n, 25], as of `VoiceFeatures`.
    """
    return streamed(VoiceFeatures(net, total=speech.frames(RATE) * TOKENS_A_FRAME), speech.blocks())


class VoiceFeatures:
    """Features of a voice that comes in blocks of samples at 16 kHz, at the loudness of `Speech.blocks`.

    [n, 25]: probabilities of the visemes, the mouth, stress, and loudness; token i at (i + 0.5) / 50 seconds. As many
    in all as there are whole tokens in the voice, rounded up to whole frames of 25 a second.

    Args:
        net: the bundled network.
        chunk: mel frames that go through it at once.
        total: number of tokens in all, where it is known.

    Attributes:
        ahead: seconds of voice that a token waits for.
    """

    def __init__(self, net: VoiceNet, chunk: int = CHUNK, total: int | None = None) -> None:
        self.ahead = (net.reach + chunk) / MEL_RATE + WINDOW / 2 / SAMPLE_RATE
        self._mels, self._voice, self._total = MelStream(), VoiceStream(net, chunk), total
        self._levels = torch.zeros(0)
        self._heard, self._first = torch.zeros(0, FEATURES), 0  # from this mel frame on
        self._made = self._samples = 0  # tokens and samples so far

    def add(self, block: Tensor) -> Tensor:
        """Tokens [m, 25] that are known after the next samples [n]."""
        self._samples += len(block)
        mel = self._mels.add(block)
        return self._hear(mel, self._voice.add(mel))

    def finish(self) -> Tensor:
        """The tokens that are left."""
        mel = self._mels.finish()
        made = [self._hear(mel, self._voice.add(mel)), self._hear(mel[:0], self._voice.finish())]
        total = self._total or math.ceil(self._samples / SAMPLE_RATE * RATE) * TOKENS_A_FRAME
        if total > self._made and len(self._heard):
            made.append(_tokens(self._heard, self._first, range(self._made, total)))
        return torch.cat(made)

    def _hear(self, mel: Tensor, parts: Iterable[dict[str, Tensor]]) -> Tensor:
        if len(mel):
            self._levels = torch.cat([self._levels, (loudness(mel) - LOUDNESS) / LOUDNESS_RANGE])
        tokens = [self._heard[:0]]
        for part in parts:
            level, self._levels = self._levels.tensor_split([len(part["stress"])])
            numbers = torch.stack([part["stress"], level], 1)
            self._heard = torch.cat([self._heard, torch.cat([part["viseme"].softmax(-1), part["mouth"], numbers], 1)])
            ready = int((self._first + len(self._heard) - 1) * TOKEN_RATE / MEL_RATE - 0.5) + 1
            if ready > self._made:
                tokens.append(_tokens(self._heard, self._first, range(self._made, ready)))
                kept = int(_instant(ready))
                self._heard, self._first, self._made = self._heard[kept - self._first :], kept, ready
        return torch.cat(tokens)


def _instant(token: float) -> float:
    """Place of a token's instant among the mel frames."""
    return (token + 0.5) * MEL_RATE / TOKEN_RATE


def _tokens(heard: Tensor, first: int, tokens: range) -> Tensor:
    """Features [n, 25] of some tokens, linear between mel frames [M, 25], of which `first` is the first."""
    at = torch.tensor([_instant(token) for token in tokens]) - first
    at = at.clamp(0, len(heard) - 1)
    low = at.floor().long()
    return between(heard[low], heard[(low + 1).clamp(max=len(heard) - 1)], at - low)
