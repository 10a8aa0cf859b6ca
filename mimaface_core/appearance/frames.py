"""Appearance: a source's tokens with the motion of a track, from which any frame's context is computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import host
from ..motion.stream import MotionStream
from ..motion.track import MotionTrack
from .encoder import Encoder


@dataclass(frozen=True)
class Appearance:
    """Tokens of one source with the motion that modulates them.

    Attributes:
        encoder: the pack's.
        tokens: [1, T, D], of the source, encoded once.
        track: the motion, N frames.
        average: whether frames of one call share the mean of their contexts; the encoder's default when None.
    """

    encoder: Encoder
    tokens: Tensor
    track: MotionTrack | MotionStream
    average: bool | None = None

    @torch.no_grad()
    def context(self, frames: list[int]) -> Tensor:
        """The context [F, T, D] of some frames, or [1, T, D] for all of them, float32."""
        options = {} if self.average is None else {"average": self.average}
        mixer = self.encoder.mixer
        with host.current().load(mixer):
            tokens = self.tokens.to(next(mixer.parameters()).device)
            return self.encoder.modulate(tokens, self.encoder.motion_of(self.track[frames]), **options).float()


@torch.no_grad()
def encode_appearance(
    encoder: Encoder, crop: Tensor, alignment: Tensor, track: MotionTrack | MotionStream, average: bool | None = None
) -> Appearance:
    """Encode a source for a motion.

    Args:
        encoder: the pack's.
        crop: [3, S, S] in ±1.
        alignment: [1, 2, 3], crop pixels to pixels of the 256-pixel camera plane.
        track: the motion, N frames.
        average: see `Appearance`.
    """
    with host.current().load(encoder):
        tokens = encoder.encode_source(crop[None], alignment).cpu()
    return Appearance(encoder, tokens, track, average)
