"""SadTalker's ExpNet (Zhang et al., CVPR 2023), under the keys of its released weights: speech to expression."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .audio_encoder import AUDIO_FEATURES, audio_encoder

EXPRESSION = 64  # numbers


class Audio2Exp(nn.Module):
    """ExpNet: audio window, expression of the source and closure of the lids → the frame's expression."""

    def __init__(self) -> None:
        super().__init__()
        self.audio_encoder = audio_encoder()
        self.mapping1 = nn.Linear(AUDIO_FEATURES + EXPRESSION + 1, EXPRESSION)

    def forward(self, mel: Tensor, reference: Tensor, blink: Tensor) -> Tensor:
        """Expressions, absolute, in BFM09's basis; frames do not depend on one another.

        Args:
            mel: windows [N, 1, 80, 16].
            reference: the source's expression, [1, 64] or [N, 64].
            blink: closure of the lids, 0–1, [N].

        Returns:
            [N, 64].
        """
        features = self.audio_encoder(mel).flatten(1)
        return self.mapping1(torch.cat([features, reference.expand(len(mel), -1), blink.reshape(-1, 1)], 1))

    @property
    def blink(self) -> Tensor:
        """Expression [64] added by shut lids to any other: the last layer is linear in `blink`."""
        return self.mapping1.weight[:, -1]
