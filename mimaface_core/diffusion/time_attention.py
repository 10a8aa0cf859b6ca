"""The motion modules' transformers over the frames of a clip, made fast on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor, nn
from torch.nn import functional as F

PIECE = 98304  # numbers of the hidden state that go through a block together


def make_fast(module: nn.Module) -> None:
    """Have the layers of a motion module work as those below; they, their names and weights stay the same ones."""
    for part in module.modules():
        if isinstance(part, Attention):
            part.set_processor(TimeAttention())  # type: ignore[arg-type]  # stubs know one processor
        for own, fast in ((BasicTransformerBlock, BlockInPieces), (GEGLU, HalvesApart)):
            if type(part) is own:
                part.__class__ = fast


class BlockInPieces(BasicTransformerBlock):
    """Diffusers' own block, but that on a CPU some places of the image go through it, then others.

    Eight times their numbers, which it makes on the way, then stay in the processor's cache. Frames alone meet in it.
    """

    def forward(self, hidden_states: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """What the block is for: [places, F, C] → the same."""
        places = max(1, PIECE // hidden_states[0].numel())
        others = [each for each in (*arguments, *named.values()) if each is not None]
        if not hidden_states.is_cpu or len(hidden_states) <= places or others:
            return super().forward(hidden_states, *arguments, **named)
        return torch.cat([super(BlockInPieces, self).forward(part) for part in hidden_states.split(places)])


class HalvesApart(GEGLU):
    """Diffusers' own gated activation, but that on a CPU gate and value are two matrices, not halves of one."""

    def forward(self, hidden_states: Tensor, *arguments: Any, **named: Any) -> Tensor:
        """What the layer is for: [..., C] → [..., inner]."""
        if not hidden_states.is_cpu or torch.is_grad_enabled():
            return super().forward(hidden_states, *arguments, **named)
        (value, gate), (shift, gate_shift) = self.proj.weight.chunk(2), self.proj.bias.chunk(2)
        return F.gelu(F.linear(hidden_states, gate, gate_shift)).mul_(F.linear(hidden_states, value, shift))


class TimeAttention(AttnProcessor2_0):
    """Diffusers' own processor, but that in bfloat16 on a CPU queries, keys and values meet in float32.

    PyTorch's kernel for bfloat16 is made for long sequences: for the dozen frames of a clip it takes four times as
    long as the one for float32, and half the time of the bundled U-Net.
    """

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *arguments: Any,
        **named: Any,
    ) -> Tensor:
        """What the processor is for: [B, F, C] → [B, F, C]."""
        if attention_mask is not None or not hidden_states.is_cpu or hidden_states.dtype != torch.bfloat16:
            return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, *arguments, **named)
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        inputs = (attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context)
        parts = (layer(x).float().unflatten(-1, (attn.heads, -1)).transpose(1, 2) for layer, x in inputs)
        mixed = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        return attn.to_out[0](mixed.to(hidden_states.dtype))
