"""Motion-Identity Appearance (MIA, equation 1 of the paper): CLIP tokens of the source, modulated by ρ, β and g.

Equation 2, the identity loss of training, is `training/models/identity_loss.py`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .clip import build_vision, vision_tokens
from .encoder import Encoder, check_sources

if TYPE_CHECKING:
    from ..motion.track import MotionTrack

# The motion vector m = [ρ; β; g]: head angles, expression, gaze.
MOTION_GROUPS = {"angles": 3, "expression": 64, "gaze": 4}
MOTION_SIZE = sum(MOTION_GROUPS.values())


class MotionModulation(nn.Module):
    """Equation 1 of the paper: e' = e + softmax(e·mᵀ/√d)·m, with one token of m for each of ρ, β and g.

    Args:
        width: d, the width of the appearance tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embed = nn.ModuleDict({name: nn.Linear(size, width) for name, size in MOTION_GROUPS.items()})

    def motion_tokens(self, motion: Tensor) -> Tensor:
        """The tokens m [N, 3, d] of motion [N, 71] (angles 3, expression 64, gaze 4)."""
        groups = motion.split(list(MOTION_GROUPS.values()), dim=-1)
        return torch.stack([embed(group) for embed, group in zip(self.embed.values(), groups, strict=True)], dim=1)

    def forward(self, e: Tensor, motion: Tensor) -> Tensor:
        """Modulated tokens e' [N, P, d] of appearance tokens e [N or 1, P, d] and motion [N, 71]."""
        m = self.motion_tokens(motion)
        weights = torch.softmax(e @ m.mT / math.sqrt(m.shape[-1]), dim=-1)
        return e + weights @ m


class AppearanceEncoder(Encoder):
    """CLIP tokens of the source, modulated by each frame's motion and mixed by a small adapter.

    Args:
        vision: arguments of transformers' `CLIPVisionConfig`.
        context_dim: width D of the context, the U-Net's cross-attention width.
        adapter_layers: pre-norm residual attention blocks (3 in the paper).
        adapter_heads: attention heads of each block.
    """

    def __init__(
        self, vision: dict[str, Any], context_dim: int, adapter_layers: int = 3, adapter_heads: int = 1
    ) -> None:
        super().__init__()
        self.config = {
            "vision": dict(vision),
            "context_dim": context_dim,
            "adapter_layers": adapter_layers,
            "adapter_heads": adapter_heads,
        }
        self.vision = build_vision(vision)
        self.project = nn.Linear(self.vision.config.hidden_size, context_dim)
        self.modulation = MotionModulation(context_dim)
        block = nn.TransformerEncoderLayer(
            context_dim,
            adapter_heads,
            4 * context_dim,
            dropout=0.0,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.adapter = nn.TransformerEncoder(
            block, adapter_layers, norm=nn.LayerNorm(context_dim), enable_nested_tensor=False
        )

    @property
    def mixer(self) -> nn.Module:
        """The whole encoder."""
        return self

    @staticmethod
    def motion_of(track: MotionTrack) -> Tensor:
        """The motion [N, 71] of a track, `MotionTrack.motion`."""
        return track.motion

    def encode_source(self, pixels: Tensor, alignment: Tensor | None = None) -> Tensor:  # noqa: ARG002 - the interface's
        """Tokens of the source.

        Args:
            pixels: [B, 3, H, W] in ±1, the source's square face crop.
            alignment: not used; the released encoder needs it.

        Returns:
            [B, T, D], class token first, T = 1 + patches.
        """
        return self.project(vision_tokens(self.vision, pixels))

    def modulate(self, tokens: Tensor, motion: Tensor, average: bool = False) -> Tensor:
        """Context of some frames: the source's tokens, modulated by equation 1 and mixed by the adapter.

        Args:
            tokens: [1, T, D] from `encode_source`, or [N, T, D] with one source for each frame.
            motion: [N, 71], `MotionTrack.motion`: angles 3 (rad), expression 64, gaze 4 (eye widths).
            average: one context for all frames, the mean of theirs, as the released model has it.

        Returns:
            [N, T, D], or [1, T, D] with averaging, in the encoder's precision.

        Raises:
            ValueError: motion is not [N, 71], or the number of sources is neither 1 nor N.
        """
        check_sources(tokens, motion, MOTION_SIZE)
        motion = motion.to(tokens.device, tokens.dtype)
        identity, patches = tokens[:, :1], tokens[:, 1:]
        modulated = self.modulation(patches, motion)
        context = self.adapter(torch.cat([identity.expand(len(motion), -1, -1), modulated], dim=1))
        return context.mean(0, keepdim=True) if average else context

    def forward(self, pixels: Tensor, motion: Tensor) -> Tensor:
        """Context [N, T, D] of source pixels [B, 3, H, W] in ±1 (B = 1 or N) and motion [N, 71]."""
        return self.modulate(self.encode_source(pixels), motion)
