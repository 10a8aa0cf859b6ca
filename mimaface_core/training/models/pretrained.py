"""Initialisation from pretrained checkpoints: Stable Diffusion 1.5, AnimateDiff, CLIP, an autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import weights
from ...appearance.mia import AppearanceEncoder
from ...appearance.tokens_released import vision_state
from ...errors import InputError
from ...packs.released.autoencoder import read_vae
from ..config import StartConfig

FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.bin", "pytorch_model.bin")
MOTION_PREFIX = "motion_modules."
INPUT_LAYER = "conv_in.weight"


@dataclass(frozen=True)
class Repository:
    """Where weights are released: the repository's name on huggingface.co, and the folder in it."""

    name: str
    folder: str = ""


REPOSITORIES = {
    "unet": Repository("stable-diffusion-v1-5/stable-diffusion-v1-5", "unet"),
    "motion": Repository("guoyww/animatediff-motion-adapter-v1-5-3"),
    "vision": Repository("openai/clip-vit-large-patch14"),
    "vae": Repository("stabilityai/sd-vae-ft-mse"),
}


def start_file(name: str, folder: str) -> Path:
    """The file of weights in a folder of diffusers or transformers.

    Args:
        name: of the setting in `config.StartConfig`.
        folder: its value.

    Raises:
        InputError: there is none; the sentence names the file, where it is released and where to put it.
    """
    path = next((Path(folder) / file for file in FILES if (Path(folder) / file).is_file()), None)
    if path is None:
        repository = REPOSITORIES[name]
        inside = f", folder {repository.folder}" if repository.folder else ""
        raise InputError(
            f"{Path(folder) / (FILES[1] if name == 'vision' else FILES[0])} is missing, from which the training starts "
            f"(start.{name}): download it from https://huggingface.co/{repository.name}{inside} to {folder}."
        )
    return path


def check_start(start: StartConfig) -> None:
    """Refuse, before any work, folders without their weights.

    Raises:
        InputError: a file is missing.
    """
    for name, folder in asdict(start).items():
        if folder is not None:
            start_file(name, folder)


def fill_vae(vae: nn.Module, folder: str) -> None:
    """Fill an autoencoder with the weights in a folder of diffusers.

    Raises:
        InputError: the file is missing or does not fit.
    """
    file = start_file("vae", folder)
    weights.fill(vae, read_vae(Path(folder)), file, "use the file of the autoencoder that the configuration describes")


def fill_start(start: StartConfig, unet: nn.Module, appearance: AppearanceEncoder) -> None:
    """Fill a new U-Net and appearance encoder with pretrained weights.

    All values are carried over exactly; the U-Net's input layer grows by zeros for render, carried latents and mask, so
    that it first computes what it did before. Without `start.motion` the motion modules stay as they were built.

    Args:
        start: folders of the weights; what is None stays as it was built.
        unet: the motion U-Net.
        appearance: the encoder, of which `vision` is filled.

    Raises:
        InputError: a file is missing or does not fit.
    """
    if start.unet is not None:
        files = [start_file("unet", start.unet)]
        files += [] if start.motion is None else [start_file("motion", start.motion)]
        states = [weights.read(file, "download it again") for file in files]
        state = unet_state(unet.state_dict(), *states)
        weights.fill(unet, state, files[0], "the configuration's unet must be that of the weights to start from")
    if start.vision is not None:
        file = start_file("vision", start.vision)
        vision = vision_state(weights.read(file, "download it again"))
        weights.fill(appearance.vision, vision, file, "the configuration's appearance.vision must be that of the file")


def unet_state(
    own: Mapping[str, Tensor], image: Mapping[str, Tensor], motion: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The state of the motion U-Net, under diffusers' keys; only the input layer changes, it grows by zeros.

    Args:
        own: the motion U-Net's state as built: the input layer's shape, and the motion modules without an adapter.
        image: the state of an image U-Net.
        motion: the state of a motion adapter.
    """
    if motion is None:
        motion = {key: value for key, value in own.items() if MOTION_PREFIX in key}
    state = {**image, **motion}
    state[INPUT_LAYER] = grown(image[INPUT_LAYER], own[INPUT_LAYER].shape[1])
    return state


def grown(weight: Tensor, channels: int) -> Tensor:
    """An input layer's weight with zeros for further channels.

    Args:
        weight: [O, I, h, w].
        channels: at least I.

    Returns:
        [O, channels, h, w].
    """
    zeros = weight.new_zeros(weight.shape[0], channels - weight.shape[1], *weight.shape[2:])
    return torch.cat([weight, zeros], 1)
