"""The released U-Nets in diffusers' classes: image and video model, their key map and their combination."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from einops import rearrange
from torch import Tensor, nn

from ..errors import InputError
from .unet import build_unet, motion_modules, with_condition_channels

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

# Stable Diffusion 1.5 with 13 input channels, and AnimateDiff v3's motion modules (none in the middle block).
IMAGE_CONFIG = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
VIDEO_CONFIG = {
    "sample_size": 64,
    "cross_attention_dim": 768,
    "num_attention_heads": 8,
    "motion_num_attention_heads": 8,
    "motion_max_seq_length": 32,
    "use_motion_mid_block": False,
}
# Inside a motion module: released name → diffusers' name. The two attentions have a position table each (a fixed
# sinusoid, the same in both), where diffusers has one for the block.
WRAPPER = "temporal_transformer."
TABLES = ("attention_blocks.0.pos_encoder.pe", "attention_blocks.1.pos_encoder.pe")
TABLE = "pos_embed.pe"
NAMES = {
    "attention_blocks.0.": "attn1.",
    "attention_blocks.1.": "attn2.",
    "norms.0.": "norm1.",
    "norms.1.": "norm2.",
    "ff_norm.": "norm3.",
}
_MODULE = re.compile(r"(.*\bmotion_modules\.\d+\.)(.*)")
_BLOCK = re.compile(r"(transformer_blocks\.\d+\.)(.*)")
# Keys that the video checkpoint adds to the image U-Net, or replaces there.
VIDEO_PARTS = ("motion_modules.", "conv_in.")


class FrameNorm(nn.GroupNorm):
    """Group norm of each frame by itself, in [B, C, F, h, w], as AnimateDiff trains its motion modules.

    diffusers takes mean and variance over all frames of a clip there.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Features [B, C, F, h, w] → [B, C, F, h, w]."""
        normalised = super().forward(rearrange(x, "b c f h w -> (b f) c h w"))
        return rearrange(normalised, "(b f) c h w -> b c f h w", b=len(x))


def build_video_unet(config: dict[str, Any]) -> UNetMotionModel:
    """Build the video U-Net; its keys are diffusers' own, see `to_diffusers`.

    Args:
        config: differences from `VIDEO_CONFIG`, as arguments of diffusers' `UNetMotionModel`.

    Returns:
        The U-Net; sample [B, 13, F, h, w], context [B·F, T, 768] → [B, 4, F, h, w].

    Raises:
        ValueError, TypeError: as `unet.build_unet`.
    """
    unet = build_unet({**VIDEO_CONFIG, **config})
    for module in motion_modules(unet):
        norm = module.norm
        module.norm = FrameNorm(norm.num_groups, norm.num_channels, norm.eps)
    return unet


def build_image_unet(config: dict[str, Any]) -> UNet2DConditionModel:
    """Build the image model's U-Net, for single frames; the released keys are diffusers' own.

    Args:
        config: differences from `IMAGE_CONFIG`, as arguments of diffusers' `UNet2DConditionModel`.

    Returns:
        The U-Net; `unet.predict` folds the frames of [B, 13, F, h, w] into its batch.

    Raises:
        ValueError: the input channels are not 13 (for 4 latent channels), or the configuration contradicts itself.
        TypeError: the configuration names something that `UNet2DConditionModel` does not have.
    """
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    return UNet2DConditionModel(**with_condition_channels({**IMAGE_CONFIG, **config}))


def diffusers_key(key: str) -> str:
    """Name in diffusers of a released key; only names inside motion modules differ."""
    module = _MODULE.fullmatch(key)
    if not module or not module[2].startswith(WRAPPER):
        return key
    inside = module[2].removeprefix(WRAPPER)
    block = _BLOCK.fullmatch(inside)
    if not block:
        return module[1] + inside
    name = TABLE if block[2] in TABLES else _renamed(block[2], NAMES)
    return module[1] + block[1] + name


def released_keys(key: str) -> tuple[str, ...]:
    """Released names of a key of diffusers: one, or two for a block's position table."""
    module = _MODULE.fullmatch(key)
    if not module:
        return (key,)
    block = _BLOCK.fullmatch(module[2])
    if not block:
        return (module[1] + WRAPPER + module[2],)
    names = TABLES if block[2] == TABLE else (_renamed(block[2], {new: old for old, new in NAMES.items()}),)
    return tuple(module[1] + WRAPPER + block[1] + name for name in names)


def _renamed(name: str, names: Mapping[str, str]) -> str:
    """`name` with its prefix replaced, where it is one of `names`."""
    for old, new in names.items():
        if name.startswith(old):
            return new + name.removeprefix(old)
    return name


def to_diffusers(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the video U-Net under diffusers' keys; no tensor is copied.

    Args:
        state: released keys, all or some.

    Raises:
        InputError: two released tensors that are one in diffusers differ.
    """
    result: dict[str, Tensor] = {}
    for key, value in state.items():
        name = diffusers_key(key)
        known = result.setdefault(name, value)
        if known is not value and (known.shape != value.shape or not known.equal(value)):
            raise InputError(
                f"The U-Net's '{key}' differs from the other tensor that becomes '{name}'; "
                "use the released file, all of one training."
            )
    return result


def to_released(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the video U-Net under the released keys; no tensor is copied, position tables are shared."""
    return {name: value for key, value in state.items() for name in released_keys(key)}


def combine(image: Mapping[str, Tensor], video: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The video U-Net's released state dict, from the image model's U-Net and `3dunet.pth`.

    Args:
        image: all tensors of the image model's U-Net.
        video: `3dunet.pth`; only keys that contain `motion_modules.` or `conv_in.` are taken, as released.

    Returns:
        The image U-Net's tensors, with the motion modules added and the input layer replaced.

    Raises:
        InputError: the video file holds no motion module or no input layer.
    """
    taken = {key: value for key, value in video.items() if any(part in key for part in VIDEO_PARTS)}
    for part in VIDEO_PARTS:
        if not any(part in key for key in taken):
            raise InputError(f"The video checkpoint holds no '{part}' key; use the released 3dunet.pth.")
    return {**image, **taken}


def longest_clip(state: Mapping[str, Tensor]) -> int:
    """Length of a video U-Net's position tables, its `motion_max_seq_length` (32 in AnimateDiff v3, 24 in v1).

    Args:
        state: a state dict under either keys.

    Raises:
        InputError: there is no table, or tables of different lengths.
    """
    lengths = {value.shape[1] for key, value in state.items() if key.endswith((*TABLES, TABLE)) and value.ndim == 3}
    if len(lengths) != 1:
        raise InputError(
            f"The video U-Net's position tables have {len(lengths)} lengths instead of one; "
            "use the released 3dunet.pth."
        )
    return lengths.pop()
