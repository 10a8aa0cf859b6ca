"""Stage 2: the diffusion transformer from speech to motion codes (DiT, Peebles and Xie 2023, on sequences).

After IF-MDM's published network, under its keys: speech modulates each frame's tokens and is added to them; a hint (the
frame before) and the motion's mean and standard deviation are tokens of their own.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError

WINDOW = 64  # frames
TOKENS_A_FRAME = 2  # of speech
SPEECH_WIDTH = 768  # of a token of the published network's speech
EXTRA_TOKENS = 3  # hint, mean, standard deviation
TIME_WIDTH = 256
DROPPED = 0.3  # share of the samples in training from which an input is dropped, by setting it to 0


class Variant(NamedTuple):
    """Depth, width and attention heads."""

    depth: int
    width: int
    heads: int


VARIANTS = {
    "DiT-A0": Variant(6, 512, 8),
    "DiT-A1": Variant(12, 512, 16),
    "DiT-A2": Variant(24, 1024, 16),
    "DiT-S": Variant(12, 384, 6),
    "DiT-B": Variant(12, 768, 12),
    "DiT-L": Variant(24, 1024, 16),
    "DiT-XL": Variant(28, 1152, 16),
    # of this project's own recipes
    "DiT-bundled": Variant(4, 160, 5),
    "DiT-tiny": Variant(2, 64, 2),
}


class Embedder(nn.Module):
    """Linear, SiLU, linear. In training mode, whole samples are dropped: their input becomes 0."""

    def __init__(self, channels: int, width: int, dropped: float = 0.0) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.SiLU(), nn.Linear(width, width))
        self.dropped = dropped

    def forward(self, x: Tensor) -> Tensor:
        """[B, …, channels] → [B, …, width]."""
        if self.training and self.dropped:
            kept = torch.rand(len(x), device=x.device) >= self.dropped
            x = x * kept.view(-1, *[1] * (x.ndim - 1))
        return self.mlp(x)


class TimeEmbedder(nn.Module):
    """Embedding of a diffusion step."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(TIME_WIDTH, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        """Steps [B], 0–999 → [B, width]."""
        angle = t[:, None].float() * _frequencies(t.device)
        embedding = torch.cat([angle.cos(), angle.sin()], -1)
        return self.mlp(embedding.to(next(self.mlp.parameters()).dtype))


class Attention(nn.Module):
    """Full self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, width], unchanged in shape."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))


class FeedForward(nn.Module):
    """Linear, GELU by tanh, linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, width], unchanged in shape."""
        return self.fc2(F.gelu(self.fc1(x), approximate="tanh"))


def _normalised(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    """Attention and feed-forward, each modulated and gated by the condition of every token (adaLN-zero)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn, self.mlp = Attention(width, heads), FeedForward(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Tokens and their conditions, both [B, N, width] → [B, N, width]."""
        shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = self.adaLN_modulation(condition).chunk(6, -1)
        x = x + gate * self.attn(_normalised(x, shift, scale))
        return x + gate_mlp * self.mlp(_normalised(x, shift_mlp, scale_mlp))


class FinalLayer(nn.Module):
    """Modulated normalisation and a linear layer."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B, N, width] → [B, N, out]."""
        shift, scale = self.adaLN_modulation(condition).chunk(2, -1)
        return self.linear(_normalised(x, shift, scale))


class MotionTransformer(nn.Module):
    """Noise in a window of motion codes, from speech, hint and statistics.

    Args:
        variant: one of VARIANTS.
        dimensions: K, of a motion code.
        speech_width: V, numbers of a token of speech.
    """

    def __init__(self, variant: str = "DiT-A0", dimensions: int = 20, speech_width: int = SPEECH_WIDTH) -> None:
        super().__init__()
        depth, width, heads = VARIANTS[variant]
        self.variant, self.dimensions, self.speech_width = variant, dimensions, speech_width
        self.pos_embed = nn.Parameter(_positions(WINDOW + EXTRA_TOKENS, width), requires_grad=False)
        self.x_embedder = Embedder(dimensions, width)
        self.y_embedder = Embedder(speech_width, width, DROPPED)
        self.xx_embedder = Embedder(dimensions, width // 2)
        self.yy_embedder = Embedder(speech_width, width // 4)
        self.xy_embedder = Embedder(width, width, DROPPED)
        self.t_embedder = TimeEmbedder(width)
        self.x_hint_embedder = Embedder(dimensions, width, DROPPED)
        self.x_mean_embedder = Embedder(dimensions, width, DROPPED)
        self.x_std_embedder = Embedder(dimensions, width, DROPPED)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.final_layer = FinalLayer(width, 2 * dimensions)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        for embedder in self.children():
            if isinstance(embedder, (Embedder, TimeEmbedder)):
                for name, value in embedder.named_parameters():
                    if name.endswith("weight"):
                        nn.init.normal_(value, std=0.02)
        for block in (*self.blocks, self.final_layer):
            nn.init.zeros_(block.adaLN_modulation[1].weight)
        nn.init.zeros_(self.final_layer.linear.weight)

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        speech: Tensor,
        hint: Tensor,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
    ) -> Tensor:
        """One step.

        Args:
            x: noisy codes [B, 64, K].
            t: steps [B], 0–999.
            speech: features [B, 128, V], two tokens a frame.
            hint: code of the frame before [B, 1, K]; zeros where there is none.
            mean: of the motion [B, 1, K]; None or zeros leave it free.
            deviation: its standard deviation [B, 1, K], likewise.

        Returns:
            [B, 64, 2K]: noise, then the fraction of the variance.

        Raises:
            InputError: a window of another length.
        """
        if x.shape[1] != WINDOW:
            raise InputError(
                f"The motion transformer takes windows of {WINDOW} frames, not {x.shape[1]}; speech of any length goes"
                " through speech.Speaker."
            )
        mean = torch.zeros_like(hint) if mean is None else mean
        deviation = torch.zeros_like(hint) if deviation is None else deviation
        paired = self.yy_embedder(speech).reshape(*x.shape[:2], -1)
        both = self.xy_embedder(torch.cat([self.xx_embedder(x), paired], -1))
        extra = [self.x_hint_embedder(hint), self.x_mean_embedder(mean), self.x_std_embedder(deviation)]
        tokens = torch.cat([self.x_embedder(x) + both, *extra], 1) + self.pos_embed
        frames = self.y_embedder(speech).reshape(*x.shape[:2], TOKENS_A_FRAME, -1).mean(2)
        condition = F.pad(frames + self.t_embedder(t)[:, None], (0, 0, 0, EXTRA_TOKENS))
        for block in self.blocks:
            tokens = block(tokens, condition)
        return self.final_layer(tokens, condition)[:, :WINDOW]

    def guided(
        self,
        x: Tensor,
        t: Tensor,
        speech: Tensor,
        hint: Tensor,
        mean: Tensor | None = None,
        deviation: Tensor | None = None,
        scale: float = 1.0,
    ) -> Tensor:
        """As `forward`, the noise guided away from that without speech; the variance is that with speech."""
        if scale == 1:
            return self(x, t, speech, hint, mean, deviation)
        twice = [None if part is None else torch.cat([part, part]) for part in (x, t, hint, mean, deviation)]
        told, free = self(*twice[:2], torch.cat([speech, torch.zeros_like(speech)]), *twice[2:]).chunk(2)
        noise, free_noise = told[..., : self.dimensions], free[..., : self.dimensions]
        return torch.cat([free_noise + scale * (noise - free_noise), told[..., self.dimensions :]], -1)


@lru_cache
def _frequencies(device: torch.device) -> Tensor:
    """Of the steps' angles, [128], in single precision and by exp on the CPU, as the published weights saw them."""
    half = TIME_WIDTH // 2
    return torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32) / half).to(device)


def _positions(count: int, width: int) -> Tensor:
    """Table [1, count, width] of positions: all sines, then all cosines."""
    angle = np.outer(np.arange(count), 10000.0 ** -(np.arange(width // 2) / (width / 2)))
    return torch.from_numpy(np.concatenate([np.sin(angle), np.cos(angle)], 1)).float()[None]
