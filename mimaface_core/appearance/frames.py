"""A source's appearance, ready to be asked for any frame's context."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from .. import host
from ..motion.track import MotionTrack


class Encoder(Protocol):
    """What looks at a source: `mia.AppearanceEncoder` or `tokens_released.ReleasedAppearance`."""

    mixer: nn.Module

    def motion_of(self, track: MotionTrack) -> Tensor: ...

    def encode_source(self, pixels: Tensor, alignment: Tensor) -> Tensor: ...

    def modulate(self, tokens: Tensor, motion: Tensor, average: bool) -> Tensor: ...


@dataclass(frozen=True)
class Appearance:
    """Tokens of one source with the motion that modulates them.

    encoder: the pack's. tokens: [1, T, D], looked at once. motion: [N, M], the encoder's `motion_of` the track.
    average: whether frames that are asked for together share the mean of their contexts; the encoder's own way when None.
    """

    encoder: Encoder
    tokens: Tensor
    motion: Tensor
    average: bool | None = None

    def __len__(self) -> int:
        return len(self.motion)

    @torch.no_grad()
    def context(self, frames: list[int]) -> Tensor:
        """The context [F, T, D] of some frames, or [1, T, D] for all of them, float32."""
        options = {} if self.average is None else {"average": self.average}
        mixer = self.encoder.mixer
        with host.current().load(mixer):
            tokens = self.tokens.to(next(mixer.parameters()).device)
            return self.encoder.modulate(tokens, self.motion[frames], **options).float()


@torch.no_grad()
def encode_appearance(
    encoder: Encoder, crop: Tensor, alignment: Tensor, track: MotionTrack, average: bool | None = None
) -> Appearance:
    """Look at a source once, for a motion.

    crop: [3, S, S] in ±1. alignment: [1, 2, 3], from its pixels to the 256-pixel camera plane. average: see `Appearance`.
    """
    with host.current().load(encoder):
        tokens = encoder.encode_source(crop[None], alignment).cpu()
    return Appearance(encoder, tokens, encoder.motion_of(track), average)
