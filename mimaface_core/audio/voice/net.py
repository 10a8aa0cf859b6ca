"""The bundled voice network: from log-mels to visemes, mouth shapes and stress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..mel import MELS
from .visemes import MOUTH, VISEMES

SILENCE = -4.0  # mel of digital silence
CENTRE, SCALE = -1.0, 2.0  # mels enter the network as (mel - CENTRE) / SCALE
CHUNK = 1600  # mel frames (20 s) that go through the network at once


class _Block(nn.Module):
    """Residual block: a dilated convolution over time and a mixing of channels; its result is 2·dilation shorter."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.scale = nn.Parameter(torch.ones(width, 1))
        self.over_time = nn.Conv1d(width, width, 3, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # Normalised frame by frame, so that a frame does not depend on how the recording is cut.
        level = x.square().mean(1, keepdim=True).add(1e-4).rsqrt()
        residual = self.mix(F.gelu(self.over_time(x * level * self.scale)))
        return x[..., self.dilation : -self.dilation] + residual


class VoiceNet(nn.Module):
    """Articulation of a voice, 80 times a second.

    A temporal convolution network with equal context in past and future. It is trained on speech at the level of
    `Speech.blocks`; what is much quieter counts as a pause.

    Args:
        width: channels.
        dilations: of the blocks, in mel frames; their sum + 2 is the context to either side.

    Attributes:
        reach: mel frames to either side that a result depends on.
    """

    frame: Tensor

    def __init__(self, width: int = 160, dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8, 12)) -> None:
        super().__init__()
        self.reach = 2 + sum(dilations)
        self.stem = nn.Conv1d(MELS, width, 5)
        self.blocks = nn.ModuleList(_Block(width, dilation) for dilation in dilations)
        self.head = nn.Conv1d(width, len(VISEMES) + len(MOUTH) + 1, 1)
        # Mouths are learned in a frame in which all directions count alike, see `training/models/voice.py`.
        self.register_buffer("frame", torch.eye(len(MOUTH)))

    def forward(self, mel: Tensor) -> dict[str, Tensor]:
        """Articulation of a whole recording, with silence around it.

        Args:
            mel: [B, T, 80].

        Returns:
            `viseme` (logits) [B, T, 8], `mouth` [B, T, K] and `stress` [B, T].
        """
        return self.inner(F.pad(mel, (0, 0, self.reach, self.reach), value=SILENCE))

    def inner(self, mel: Tensor) -> dict[str, Tensor]:
        """As `forward`, for the T frames in the middle of mels [B, reach + T + reach, 80]."""
        x = self.stem((mel.transpose(1, 2) - CENTRE) / SCALE)
        for block in self.blocks:
            x = block(x)
        logits, mouth, stress = self.head(x).transpose(1, 2).split([len(VISEMES), len(MOUTH), 1], -1)
        return {"viseme": logits, "mouth": mouth.float() @ self.frame, "stress": stress[..., 0]}

    def stream(self, mels: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Articulation block by block, equal to that of the whole recording at once.

        Args:
            mels: blocks [n, 80] of one voice.

        Yields:
            Blocks as of `forward`, without the batch axis.
        """
        heard = VoiceStream(self)
        for mel in mels:
            yield from heard.add(mel)
        yield from heard.finish()


class VoiceStream:
    """Articulation of a voice whose mels come in blocks.

    Args:
        net: the network.
        chunk: mel frames that go through it at once; fewer are known sooner, and cost more.
    """

    def __init__(self, net: VoiceNet, chunk: int = CHUNK) -> None:
        self.net, self.chunk = net, chunk
        self._edge = torch.full((net.reach, MELS), SILENCE)
        self._pending = self._edge

    def add(self, mel: Tensor) -> Iterator[dict[str, Tensor]]:
        """Blocks as of `VoiceNet.forward`, without the batch axis, that are known after the next mels [n, 80]."""
        self._pending = torch.cat([self._pending, mel])
        while len(self._pending) >= self.chunk + 2 * self.net.reach:
            block, self._pending = self._pending[: self.chunk + 2 * self.net.reach], self._pending[self.chunk :]
            yield self._articulation(block)

    def finish(self) -> Iterator[dict[str, Tensor]]:
        """What is left when no mels follow."""
        rest = torch.cat([self._pending, self._edge])
        if len(rest) > 2 * self.net.reach:
            yield self._articulation(rest)

    @torch.no_grad()
    def _articulation(self, mel: Tensor) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.net.inner(mel[None]).items()}
