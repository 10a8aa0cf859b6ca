"""The denoiser: diffusers' motion U-Net with room for the render, the carried latents and their mask."""

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers import UNetMotionModel


def condition_channels(latent_channels: int) -> int:
    """Input channels of the U-Net: noisy, render, carried latents and a mask (13 for 4 latent channels)."""
    return 3 * latent_channels + 1


def build_unet(config: dict) -> "UNetMotionModel":
    """Build a new motion U-Net that starts still and silent.

    The motion modules' last layers are zero, so that every frame is first denoised by itself, as AnimateDiff
    starts its own; the output layer is zero, so that a new `residual` model leaves the render as it is.

    Args:
        config: arguments of diffusers' `UNetMotionModel`; `in_channels` is filled in when absent.

    Returns:
        The U-Net; sample [B, 13, F, h, w], context [B·F, T, D] → [B, 4, F, h, w].

    Raises:
        ValueError: the input channels do not hold noisy, render and carried latents and the mask.
        TypeError: the configuration names something that `UNetMotionModel` does not have.
    """
    from diffusers import UNetMotionModel

    channels = condition_channels(config.get("out_channels", 4))
    if config.get("in_channels", channels) != channels:
        raise ValueError(f"in_channels is {config['in_channels']}; noisy, render, carried and mask need {channels}")
    unet = UNetMotionModel(**{**config, "in_channels": channels})

    # A transformer over time adds to its input: with a zero projection it is the identity.
    for module in motion_modules(unet):
        nn.init.zeros_(module.proj_out.weight)
        nn.init.zeros_(module.proj_out.bias)
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def motion_modules(unet: nn.Module) -> list[nn.Module]:
    """The transformers over time, in the network's order (the video stage trains them and `conv_in`)."""
    return [module for name, module in unet.named_modules() if name.split(".")[-2:-1] == ["motion_modules"]]


def predict(unet: nn.Module, sample: Tensor, timestep: Tensor, context: Tensor) -> Tensor:
    """One evaluation of the U-Net with a context for each frame.

    A U-Net without motion modules (`UNet2DConditionModel`) denoises every frame by itself.

    Args:
        sample: [B, 13, F, h, w] from `ica.condition`, noisy latents already scaled by the scheduler.
        timestep: a number, or [B] where there are motion modules.
        context: [B, F, T, D]: each frame attends to its own tokens; frames meet only in the motion modules.

    Returns:
        [B, 4, F, h, w] in the sample's precision.
    """
    # diffusers folds frames into the batch and, from 0.31 on, expects the context folded likewise.
    folded = context.flatten(0, 1).to(unet.dtype)
    frames = sample.to(unet.dtype)
    if hasattr(unet.config, "motion_max_seq_length"):
        return unet(frames, timestep, encoder_hidden_states=folded).sample.to(sample.dtype)
    pictures = frames.transpose(1, 2).flatten(0, 1)
    output = unet(pictures, timestep, encoder_hidden_states=folded).sample.to(sample.dtype)
    return output.unflatten(0, (len(sample), -1)).transpose(1, 2)
