"""Encoder: the common interface of the appearance encoders, the paper's and the released one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from ..motion.track import MotionTrack


class Encoder(nn.Module, ABC):
    """Encodes a source once, then modulates its tokens by the motion of each frame.

    `mia.AppearanceEncoder` is the paper's encoder, `tokens_released.ReleasedAppearance` that of the released weights.
    """

    @property
    @abstractmethod
    def mixer(self) -> nn.Module:
        """The submodule that `modulate` needs on the device; the rest serves `encode_source` only."""

    @staticmethod
    @abstractmethod
    def motion_of(track: MotionTrack) -> Tensor:
        """The motion [N, M] of a track, as `modulate` takes it."""

    @abstractmethod
    def encode_source(self, pixels: Tensor, alignment: Tensor) -> Tensor:
        """Tokens of the source.

        Args:
            pixels: [B, 3, S, S] in ±1, the source's square face crop.
            alignment: [B, 2, 3], crop pixels to pixels of the 256-pixel alignment, whole-number pixel centres.

        Returns:
            [B, T, D].
        """

    @abstractmethod
    def modulate(self, tokens: Tensor, motion: Tensor, average: bool) -> Tensor:
        """Context of some frames.

        Args:
            tokens: [1, T, D] from `encode_source`, or [N, T, D] with one source for each frame.
            motion: [N, M] from `motion_of`.
            average: one context for all frames, the mean of theirs.

        Returns:
            [N, T', D], or [1, T', D] with averaging, in the encoder's precision.
        """


def check_sources(tokens: Tensor, motion: Tensor, size: int) -> None:
    """Raises ValueError unless motion is [N, size] and tokens are those of 1 or N sources."""
    if motion.ndim != 2 or motion.shape[1] != size:
        raise ValueError(f"motion must have shape [N, {size}], not {list(motion.shape)}")
    if tokens.shape[0] not in (1, len(motion)):
        raise ValueError(f"{len(tokens)} sources do not fit {len(motion)} frames; give one source or one each")
