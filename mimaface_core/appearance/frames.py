"""A source's appearance, ready to be asked for any frame's context."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import host
from .mia import AppearanceEncoder


@dataclass(frozen=True)
class Appearance:
    """Tokens of one source with the motion that modulates them.

    encoder: the pack's. tokens: [1, T, D], looked at once. motion: [N, 71], `MotionTrack.motion`.
    """

    encoder: AppearanceEncoder
    tokens: Tensor
    motion: Tensor

    def __len__(self) -> int:
        return len(self.motion)

    @torch.no_grad()
    def context(self, frames: list[int]) -> Tensor:
        """The context [F, T, D] of some frames, float32."""
        return self.encoder.modulate(self.tokens, self.motion[frames]).float()


@torch.no_grad()
def encode_appearance(encoder: AppearanceEncoder, crop: Tensor, motion: Tensor) -> Appearance:
    """Look at a source crop [3, S, S] in ±1 once, for motion [N, 71]."""
    with host.current().load(encoder):
        return Appearance(encoder, encoder.encode_source(crop[None]), motion)
