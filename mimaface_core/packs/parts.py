"""The networks that a pack can be made of: how each part is built from its entry in the manifest, and in what precision."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from .. import host
from ..appearance.mia import AppearanceEncoder
from ..appearance.tokens_released import ReleasedAppearance
from ..audio.voice.net import VoiceNet
from ..diffusion.latents import AUTOENCODERS, build_vae
from ..diffusion.unet import build_unet
from ..diffusion.unet_released import build_image_unet, build_video_unet
from ..face.d3dfr import CoefficientNetwork

Builder = Callable[[dict], nn.Module]

_APPEARANCE: Mapping[str | None, Builder] = {
    None: lambda config: AppearanceEncoder(**config),
    "released": lambda config: ReleasedAppearance(**config),
}
_UNET: Mapping[str | None, Builder] = {
    None: build_unet,
    "video": build_video_unet,
    "picture": build_image_unet,
}
# Part → class of its entry (None where it names none, as in the bundled pack) → what builds it from its configuration.
BUILDERS: dict[str, Mapping[str | None, Builder]] = {
    "vae": {name: lambda config, name=name: build_vae(name, config) for name in AUTOENCODERS},
    "appearance": _APPEARANCE,
    "unet": _UNET,
    "picture_appearance": _APPEARANCE,
    "picture_unet": _UNET,
    "regressor": {None: lambda config: CoefficientNetwork(**config)},
    "audio": {None: lambda config: VoiceNet(**config)},
}
# Classes large enough to run in the host's precision; all others keep float32.
LARGE = ("AutoencoderKL", "video", "picture")


def build_part(part: str, entry: dict) -> nn.Module:
    """Build a part without memory, to be filled from its file.

    Args:
        part: its name in the manifest.
        entry: `class` where there are several, and `config`, the arguments of that class.

    Raises:
        InputError: the class is not known.
        TypeError, ValueError, KeyError: the class refuses the configuration.
    """
    name = entry.get("class")
    build = BUILDERS[part].get(name) or (lambda config: build_vae(name, config))
    with torch.device("meta"):
        return build(entry["config"])


def precision(entry: dict) -> torch.dtype:
    """The number type that a part runs in."""
    return host.current().dtype if entry.get("class") in LARGE else torch.float32
