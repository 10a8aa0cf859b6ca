"""Weights of others that a training starts from: Stable Diffusion 1.5, AnimateDiff's motion modules, CLIP, an autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import weights
from ...appearance.tokens_released import vision_state
from ...errors import InputError
from ...packs.released.autoencoder import read_vae

FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.bin", "pytorch_model.bin")
MOTION = "motion_modules."
INPUT = "conv_in.weight"


@dataclass(frozen=True)
class Home:
    """Where weights are published: the repository's name on huggingface.co, and the folder in it."""

    repository: str
    folder: str = ""


HOMES = {
    "unet": Home("stable-diffusion-v1-5/stable-diffusion-v1-5", "unet"),
    "motion": Home("guoyww/animatediff-motion-adapter-v1-5-3"),
    "vision": Home("openai/clip-vit-large-patch14"),
    "vae": Home("stabilityai/sd-vae-ft-mse"),
}


def start_file(name: str, place: str) -> Path:
    """The file of weights in a folder of diffusers' or transformers'.

    Raises InputError when there is none, saying which is needed, where it is published and where to put it.
    """
    found = next((Path(place) / file for file in FILES if (Path(place) / file).is_file()), None)
    if found is None:
        home = HOMES[name]
        folder = f", folder {home.folder}" if home.folder else ""
        raise InputError(
            f"{Path(place) / (FILES[1] if name == 'vision' else FILES[0])} is missing, from which the training starts "
            f"(start.{name}): download it from https://huggingface.co/{home.repository}{folder} to {place}."
        )
    return found


def check_start(config: dict) -> None:
    """Refuse, before anything is made, a configuration whose weights to start from are not all there."""
    for name, place in config.get("start", {}).items():
        if name not in HOMES:
            raise InputError(f"start.{name} is not known; the configuration may name {', '.join(HOMES)}.")
        start_file(name, place)


def fill_vae(vae: nn.Module, place: str) -> None:
    """Give an autoencoder its weights from a folder of diffusers'."""
    file = start_file("vae", place)
    weights.fill(vae, read_vae(Path(place)), file, "use the file of the autoencoder that the configuration describes")


def fill_start(config: dict, unet: nn.Module, appearance: nn.Module) -> None:
    """Give a new U-Net and appearance encoder the weights that the configuration names under `start`.

    Everything is carried over exactly; the U-Net's input layer grows by zeros for render, carried latents and mask, so
    that it first sees what it saw before. Without `start.motion` the motion modules stay as they were built.
    """
    places = config.get("start", {})
    if "unet" in places:
        files = [start_file(name, places[name]) for name in ("unet", "motion") if name in places]
        states = [weights.read(file, "download it again") for file in files]
        state = unet_state(unet.state_dict(), *states)
        weights.fill(unet, state, files[0], "the configuration's unet must be that of the weights to start from")
    if "vision" in places:
        file = start_file("vision", places["vision"])
        state = vision_state(weights.read(file, "download it again"))
        weights.fill(appearance.vision, state, file, "the configuration's appearance.vision must be that of the file")


def unet_state(
    wanted: Mapping[str, Tensor], picture: Mapping[str, Tensor], motion: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """The state of the motion U-Net from those of a picture U-Net and of a motion adapter, under diffusers' keys.

    wanted: the motion U-Net's own state, which gives the input layer its shape and, where there is no adapter, the
    motion modules. Nothing of `picture` and `motion` is left out or changed but the input layer, which grows by zeros.
    """
    if motion is None:
        motion = {key: value for key, value in wanted.items() if MOTION in key}
    state = {**picture, **motion}
    state[INPUT] = grown(picture[INPUT], wanted[INPUT].shape[1])
    return state


def grown(weight: Tensor, channels: int) -> Tensor:
    """An input layer's weight [O, I, h, w] with zeros for further channels: [O, channels, h, w]."""
    more = weight.new_zeros(weight.shape[0], channels - weight.shape[1], *weight.shape[2:])
    return torch.cat([weight, more], 1)
