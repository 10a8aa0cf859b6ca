"""The bundled voice network: from log-mels to visemes, the mouth's shape and stress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..mel import MELS
from .visemes import MOUTH, VISEMES

SILENCE = -4.0  # what a mel is where there is no sound
CENTRE, SCALE = -1.0, 2.0  # mels go through the network as (mel - CENTRE) / SCALE
CHUNK = 1600  # mel frames (20 s) that go through the network at once


class _Block(nn.Module):
    """A dilated convolution over time and a mixing of channels, added to what comes in; 2·dilation frames shorter."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.scale = nn.Parameter(torch.ones(width, 1))
        self.over_time = nn.Conv1d(width, width, 3, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        # normalised frame by frame, so that a frame does not depend on how the sound is cut
        level = x.square().mean(1, keepdim=True).add(1e-4).rsqrt()
        moved = self.mix(F.gelu(self.over_time(x * level * self.scale)))
        return x[..., self.dilation : -self.dilation] + moved


class VoiceNet(nn.Module):
    """What a mouth does while a voice sounds, 80 times a second.

    A temporal convolution network that looks equally far into past and future. Levels count: it expects speech of the
    level that `Speech` gives, so that what is much quieter can be told from it.

    Args:
        width: channels. dilations: of the blocks, in mel frames; their sum + 2 is how far it looks to either side.
    """

    def __init__(self, width: int = 160, dilations: Sequence[int] = (1, 2, 4, 8, 1, 2, 4, 8, 12)) -> None:
        super().__init__()
        self.reach = 2 + sum(dilations)  # mel frames to either side that a result depends on
        self.stem = nn.Conv1d(MELS, width, 5)
        self.blocks = nn.ModuleList(_Block(width, dilation) for dilation in dilations)
        self.head = nn.Conv1d(width, len(VISEMES) + len(MOUTH) + 1, 1)
        # mouths are learned in a frame in which all directions count alike, see `training/voice.py`
        self.register_buffer("frame", torch.eye(len(MOUTH)))

    def forward(self, mel: Tensor) -> dict[str, Tensor]:
        """For mels [B, T, 80]: viseme logits [B, T, 8], mouth [B, T, K] and stress [B, T]; silence lies around them."""
        return self.inner(F.pad(mel, (0, 0, self.reach, self.reach), value=SILENCE))

    def inner(self, mel: Tensor) -> dict[str, Tensor]:
        """The same for the T frames in the middle of mels [B, reach + T + reach, 80]."""
        x = self.stem((mel.transpose(1, 2) - CENTRE) / SCALE)
        for block in self.blocks:
            x = block(x)
        logits, mouth, stress = self.head(x).transpose(1, 2).split([len(VISEMES), len(MOUTH), 1], -1)
        return {"viseme": logits, "mouth": mouth.float() @ self.frame, "stress": stress[..., 0]}

    @torch.no_grad()
    def stream(self, mels: Iterable[Tensor]) -> Iterator[dict[str, Tensor]]:
        """Results [t, …] block by block, of one voice's mels [n, 80] block by block: the numbers of the whole at once."""
        edge = torch.full((self.reach, MELS), SILENCE)
        held = edge
        for mel in mels:
            held = torch.cat([held, mel])
            while len(held) >= CHUNK + 2 * self.reach:
                yield self._one(held[: CHUNK + 2 * self.reach])
                held = held[CHUNK:]
        held = torch.cat([held, edge])
        if len(held) > 2 * self.reach:
            yield self._one(held)

    def _one(self, mel: Tensor) -> dict[str, Tensor]:
        return {name: value[0] for name, value in self.inner(mel[None]).items()}
