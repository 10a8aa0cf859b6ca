"""The denoiser: diffusers' motion U-Net (AnimateDiff) with channels for the render, the carried latents and their mask.

Its input channels are assembled by `ica.condition`; its cross-attention reads the context of `appearance/mia.py`
(equation 1 of the paper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from einops import rearrange
from torch import Tensor, nn

from .compiled import run_compiled

if TYPE_CHECKING:
    from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D, UNetMotionModel


@runtime_checkable
class MotionConfig(Protocol):
    """Configuration of a U-Net with motion modules, as opposed to one of single images."""

    motion_max_seq_length: int  # frames of a clip at most


def max_clip_frames(unet: nn.Module) -> int:
    """Frames of a clip at most; 1 for a U-Net of single images."""
    return unet.config.motion_max_seq_length if isinstance(unet.config, MotionConfig) else 1


def condition_channels(latent_channels: int) -> int:
    """Input channels of the U-Net: noisy, render, carried latents and a mask (13 for 4 latent channels)."""
    return 3 * latent_channels + 1


def with_condition_channels(config: dict[str, Any]) -> dict[str, Any]:
    """A U-Net's configuration with `in_channels` filled in.

    Raises:
        ValueError: `in_channels` is there and does not fit.
    """
    channels = condition_channels(config.get("out_channels", 4))
    if config.get("in_channels", channels) != channels:
        raise ValueError(f"in_channels is {config['in_channels']}; noisy, render, carried and mask need {channels}")
    return {**config, "in_channels": channels}


def build_unet(config: dict[str, Any]) -> UNetMotionModel:
    """Build a new motion U-Net, initialised to the identity.

    The motion modules' last layers are zero, so that every frame is first denoised by itself, as AnimateDiff
    initialises its own; the output layer is zero, so that a new `residual` model leaves the render as it is. Blocks
    whose `temporal_transformer_layers_per_block` is 0 have no motion modules.

    Args:
        config: arguments of diffusers' `UNetMotionModel`; `in_channels` is filled in when absent.

    Returns:
        The U-Net; sample [B, 13, F, h, w], context [B·F, T, D] → [B, 4, F, h, w].

    Raises:
        ValueError: the input channels do not hold noisy, render and carried latents and the mask.
        TypeError: the configuration names something that `UNetMotionModel` does not have.
    """
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    from .time_attention import make_fast

    unet = UNetMotionModel(**with_condition_channels(config))
    # A transformer over time adds to its input: with a zero projection it is the identity.
    for layer in [*(module.proj_out for module in motion_modules(unet)), unet.conv_out]:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    for module in motion_modules(unet):
        make_fast(module)
    for modules in motion_lists(unet):
        for place, transformer in enumerate(modules):
            if not transformer.transformer_blocks:
                modules[place] = PassThrough()
    return unet


class PassThrough(nn.Module):
    """In place of a motion module: its input, unchanged."""

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor:
        """The input [N, C, h, w], whatever else is given."""
        return hidden


def motion_lists(unet: nn.Module) -> list[nn.ModuleList]:
    """The motion modules of each block, whose elements may be replaced."""
    found = [module for name, module in unet.named_modules() if name.split(".")[-1] == "motion_modules"]
    return [module for module in found if isinstance(module, nn.ModuleList)]


def motion_modules(unet: nn.Module) -> list[AnimateDiffTransformer3D]:
    """The transformers over time, in the network's order (the video stage trains them and `conv_in`)."""
    from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

    return [module for module in unet.modules() if isinstance(module, AnimateDiffTransformer3D)]


def predict(unet: nn.Module, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
    """One evaluation of the U-Net, with a context for each frame.

    Args:
        unet: `UNetMotionModel`, or `UNet2DConditionModel`, which denoises every frame by itself.
        sample: [B, 13, F, h, w] from `ica.condition`, noisy latents already scaled by the scheduler.
        timestep: a number, or [B] where there are motion modules.
        context: [B, F, T, D]: each frame attends to its own tokens; frames meet only in the motion modules.

    Returns:
        [B, 4, F, h, w] in the sample's precision.
    """
    dtype = unet.dtype
    assert isinstance(dtype, torch.dtype)
    # diffusers folds frames into the batch and, from 0.31 on, expects the context folded likewise.
    folded = rearrange(context, "b f t d -> (b f) t d").to(dtype)
    frames = sample.to(dtype)
    # one number type for the whole and the fractional timesteps of all samplers, so that it is compiled once
    timestep = torch.as_tensor(timestep, dtype=torch.float32, device=frames.device)
    if isinstance(unet.config, MotionConfig):
        return run_compiled(unet, frames, timestep, encoder_hidden_states=folded).sample.to(sample.dtype)
    images = rearrange(frames, "b c f h w -> (b f) c h w")
    output = run_compiled(unet, images, timestep, encoder_hidden_states=folded).sample.to(sample.dtype)
    return rearrange(output, "(b f) c h w -> b c f h w", b=len(sample))
