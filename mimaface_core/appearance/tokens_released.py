"""The released appearance encoder: identity, motion and CLIP tokens side by side, mixed by the post-fuse module.

Where the paper has equation 1 (`mia.py`), the released weights mix all tokens by attention.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..motion.track import COEFFICIENTS, GAZE_SIZE, SLICES
from .clip import CLIP_MEAN, CLIP_STD, build_vision, input_size
from .encoder import Encoder, check_sources
from .identity import FEATURES, CurricularFace, identity_crop

if TYPE_CHECKING:
    from ..motion.track import MotionTrack

MOTION_SIZE = COEFFICIENTS + GAZE_SIZE
# Tokens between identity and patches, in their order: name in the file → numbers of the motion that it embeds.
MOTION_TOKENS = {
    "gaze": slice(COEFFICIENTS, MOTION_SIZE),
    "exp": SLICES["expression"],
    "tex": SLICES["texture"],
    "gamma": SLICES["lighting"],
    "angles": SLICES["angles"],
    "translation": SLICES["translation"],
}
# Arguments of transformers' `CLIPVisionConfig` for ViT-L/14.
CLIP_L = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
    "projection_dim": 768,
}


class Attention(nn.Module):
    """Self-attention with one head over tokens [N, T, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_qkv = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, D] → [N, T, D]."""
        return self.c_proj(F.scaled_dot_product_attention(*self.c_qkv(x).chunk(3, dim=-1)))


class MLP(nn.Module):
    """Two layers with GELU between, four times as wide inside, over tokens [N, T, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, D] → [N, T, D]."""
        return self.c_proj(F.gelu(self.c_fc(x)))


class Block(nn.Module):
    """A pre-norm residual attention block over tokens [N, T, D]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn = Attention(width)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = MLP(width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, D] → [N, T, D]."""
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Mapper(nn.Module):
    """Residual attention blocks over tokens [N, T, D]."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.resblocks = nn.Sequential(*(Block(width) for _ in range(layers)))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [N, T, D] → [N, T, D]."""
        return self.resblocks(x)


class PostFuse(nn.Module):
    """The released post-fuse module: every condition becomes a token, three blocks mix them.

    Its keys are those of `mim.pth`. With the released sizes there are 264 tokens: identity, gaze, expression,
    texture, lighting, angles, translation, then CLIP's class token and 256 patches.

    Args:
        width: D of the tokens, the U-Net's cross-attention width.
        patch_width: width of CLIP's hidden states.
        identity_size: length of the identity features.
        layers: residual attention blocks.
    """

    def __init__(
        self, width: int = 768, patch_width: int = 1024, identity_size: int = FEATURES, layers: int = 3
    ) -> None:
        super().__init__()
        self.transform_dim_clip = nn.Linear(patch_width, width)
        self.transform_dim_arcface = nn.Linear(identity_size, width)
        for name, numbers in MOTION_TOKENS.items():
            self.add_module(f"transform_dim_{name}", nn.Linear(numbers.stop - numbers.start, width))
        self.mapper = Mapper(width, layers)
        self.layer_norm = nn.LayerNorm(width)

    def source_tokens(self, patches: Tensor, identity: Tensor) -> Tensor:
        """Source tokens [B, 1 + P, D] of CLIP's hidden states [B, P, 1024] and identity features [B, 25088]."""
        return torch.cat([self.transform_dim_arcface(identity)[:, None], self.transform_dim_clip(patches)], 1)

    def forward(self, tokens: Tensor, motion: Tensor) -> Tensor:
        """Context [N, 7 + P, D] of source tokens [N, 1 + P, D] and motion [N, 261] (257 coefficients, 4 of gaze)."""
        embedded = [
            self.get_submodule(f"transform_dim_{name}")(motion[:, numbers]) for name, numbers in MOTION_TOKENS.items()
        ]
        x = torch.cat([tokens[:, :1], torch.stack(embedded, 1), tokens[:, 1:]], 1)
        return self.layer_norm(self.mapper(x))


class ReleasedAppearance(Encoder):
    """CLIP, CurricularFace and the post-fuse module, with the interface of `mia.AppearanceEncoder`.

    The parts are loaded from their own files: `vision` (see `vision_state`), `identity`, `fuse`.

    Args:
        vision: arguments of transformers' `CLIPVisionConfig`; ViT-L/14 when None.
        context_dim: width D of the context.
        layers: residual attention blocks of the post-fuse module.
    """

    def __init__(self, vision: dict[str, Any] | None = None, context_dim: int = 768, layers: int = 3) -> None:
        super().__init__()
        vision = dict(CLIP_L if vision is None else vision)
        self.config = {"vision": vision, "context_dim": context_dim, "layers": layers}
        self.vision = build_vision(vision)
        self.identity = CurricularFace()
        self.fuse = PostFuse(context_dim, self.vision.config.hidden_size, FEATURES, layers)

    @property
    def mixer(self) -> nn.Module:
        """The post-fuse module."""
        return self.fuse

    @staticmethod
    def motion_of(track: MotionTrack) -> Tensor:
        """The motion [N, 261] of a track: 257 coefficients and gaze 4.

        As released the track is already the blend: identity, texture and lighting of the source; expression,
        angles, translation and the pupil head's four numbers of the driver.
        """
        return torch.cat([track.coefficients.values, track.gaze], 1)

    def encode_source(self, pixels: Tensor, alignment: Tensor) -> Tensor:
        """Tokens of the source.

        Args:
            pixels: [B, 3, S, S] in ±1, the source's crop (512 pixels as released).
            alignment: [B, 2, 3], crop pixels to pixels of the 256-pixel alignment, whole-number pixel centres.

        Returns:
            [B, 1 + P, D]: identity first, then CLIP's class token and patches.

        Raises:
            ValueError: the shapes do not fit.
        """
        weight = self.fuse.transform_dim_clip.weight
        pixels = pixels.float()
        features = self.identity(identity_crop(pixels, alignment).to(weight.device, weight.dtype))
        clip_input = released_pixels(pixels, input_size(self.vision)).to(weight.device, weight.dtype)
        return self.fuse.source_tokens(self.vision(pixel_values=clip_input).last_hidden_state, features)

    def modulate(self, tokens: Tensor, motion: Tensor, average: bool = True) -> Tensor:
        """Context of a clip: the source's tokens and the clip's motion, mixed by the post-fuse module.

        Args:
            tokens: [1, 1 + P, D] from `encode_source`, or [N, 1 + P, D] with one source for each frame.
            motion: [N, 261] of the clip's frames, see `motion_of`.
            average: as released, one context for the whole clip, the mean over its frames; False keeps each
                frame's own, on which the released weights were not trained.

        Returns:
            [1, 7 + P, D], or [N, 7 + P, D] without averaging, in the encoder's precision.

        Raises:
            ValueError: motion is not [N, 261], or the number of sources is neither 1 nor N.
        """
        check_sources(tokens, motion, MOTION_SIZE)
        motion = motion.to(tokens.device, tokens.dtype)
        context = self.fuse(tokens.expand(len(motion), -1, -1), motion)
        return context.mean(0, keepdim=True) if average else context


def released_pixels(crop: Tensor, size: int) -> Tensor:
    """Crops pre-processed as by transformers' `CLIPImageProcessor`: 8 bits before and after the resizing.

    Args:
        crop: [B, 3, S, S] in ±1, square.
        size: side of CLIP's input in pixels.

    Returns:
        [B, 3, size, size], normalised by CLIP's mean and standard deviation, float32 on the CPU.

    Raises:
        ValueError: the crop is not a batch of square RGB images.
    """
    from PIL import Image

    if crop.ndim != 4 or crop.shape[1] != 3 or crop.shape[2] != crop.shape[3]:
        raise ValueError(f"CLIP reads square RGB images [B, 3, S, S], not {list(crop.shape)}")
    levels = ((crop.detach().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    images = [Image.fromarray(image.numpy()) for image in rearrange(levels, "b c h w -> b h w c")]
    small = np.stack([np.asarray(image.resize((size, size), Image.Resampling.BICUBIC)) for image in images])
    pixels = rearrange(torch.from_numpy(small), "b h w c -> b c h w") / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (CLIP_MEAN, CLIP_STD))
    return (pixels - mean) / std


def vision_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The vision encoder's tensors of a CLIP checkpoint, under the keys of `clip.build_vision`.

    Args:
        state: a file of transformers' `CLIPVisionModel` or `CLIPModel`, of any generation.

    Returns:
        The tensors without the prefix `vision_model.`, without text, projections and position numbers.
    """
    other = ("text_model.", "text_projection.", "visual_projection.", "logit_scale")
    vision = {key.removeprefix("vision_model."): value for key, value in state.items() if not key.startswith(other)}
    vision.pop("embeddings.position_ids", None)
    return vision
