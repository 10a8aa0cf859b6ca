"""The networks that a pack can be made of: how each part is built from its entry, and its precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from .. import host
from ..appearance.mia import AppearanceEncoder
from ..appearance.tokens_released import ReleasedAppearance
from ..audio.voice.net import VoiceNet
from ..diffusion.latents import AUTOENCODERS, build_vae
from ..diffusion.unet import build_unet
from ..diffusion.unet_released import build_image_unet, build_video_unet
from ..errors import InputError
from ..face.d3dfr import CoefficientNetwork

Builder = Callable[[dict[str, Any]], nn.Module]


def _autoencoder(name: str) -> Builder:
    return lambda config: build_vae(name, config)


def _diffusers(build: Callable[[dict[str, Any]], object]) -> Builder:
    """A builder of a diffusers model, which mypy does not recognise as an `nn.Module`."""

    def build_module(config: dict[str, Any]) -> nn.Module:
        module = build(config)
        assert isinstance(module, nn.Module)
        return module

    return build_module


_APPEARANCE: Mapping[str | None, Builder] = {
    None: lambda config: AppearanceEncoder(**config),
    "released": lambda config: ReleasedAppearance(**config),
}
_UNET: Mapping[str | None, Builder] = {
    None: _diffusers(build_unet),
    "video": _diffusers(build_video_unet),
    "picture": _diffusers(build_image_unet),
}
# Part → class of its entry (None where the manifest states none, as in the bundled pack) → builder.
BUILDERS: Mapping[str, Mapping[str | None, Builder]] = {
    "vae": {name: _autoencoder(name) for name in AUTOENCODERS},
    "appearance": _APPEARANCE,
    "unet": _UNET,
    "picture_appearance": _APPEARANCE,
    "picture_unet": _UNET,
    "regressor": {None: lambda config: CoefficientNetwork(**config)},
    "audio": {None: lambda config: VoiceNet(**config)},
}
# Classes large enough to run in the host's precision; all others keep float32.
LARGE = ("AutoencoderKL", "video", "picture")


def build_part(part: str, config: dict[str, Any], class_name: str | None = None) -> nn.Module:
    """Build a part on the device `meta`, to be filled from its file.

    Args:
        part: its name in the manifest, one of `BUILDERS`.
        config: arguments of its class.
        class_name: the class, where the part has several.

    Raises:
        InputError: the class is unknown.
        ValueError: the class refuses the configuration.
    """
    known = BUILDERS[part]
    if class_name not in known:
        raise InputError(f"{part}.class '{class_name}' is not one of {', '.join(filter(None, known))}.")
    try:
        with torch.device("meta"):
            return known[class_name](config)
    except InputError:
        raise
    except Exception as error:  # the libraries refuse values in many ways
        raise ValueError(" ".join(f"{type(error).__name__}: {error}".split())) from error


def precision(part: str, class_name: str | None) -> torch.dtype:
    """The number type that a part of this class runs in."""
    if part == "unet" and class_name is None:
        return host.current().small_dtype
    return host.current().dtype if class_name in LARGE else torch.float32
