"""Attention of the motion modules over the frames of a clip, made fast on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from torch import Tensor
from torch.nn import functional as F


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
