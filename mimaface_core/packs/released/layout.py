"""The released folder: its files, their keys and shapes, and the sizes of the networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...appearance.clip import build_vision
from ...appearance.identity import FEATURES, CurricularFace
from ...appearance.tokens_released import CLIP_L, PostFuse, vision_state
from ...diffusion.unet_released import (
    TABLE,
    TABLES,
    VIDEO_PARTS,
    build_image_unet,
    build_video_unet,
    longest_clip,
    to_released,
)
from ...errors import InputError
from ...face.d3dfr import CoefficientNetwork
from ...files import read_json
from ...weights import Misfit, compare, read
from ..entries import HOME
from . import autoencoder
from .autoencoder import is_sdxl

REMEDY = f"download it again, in full, from {HOME}"
# Arguments of `CLIPVisionConfig` that keys and shapes leave open.
UNSHAPED_ARGUMENTS = ("hidden_act", "num_attention_heads", "layer_norm_eps")

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the networks; the released ones by default.

    Attributes:
        video: arguments of the video U-Net that differ from `unet_released.VIDEO_CONFIG`.
        image: arguments of the image U-Net that differ from `unet_released.IMAGE_CONFIG`.
        vision: arguments of `CLIPVisionConfig`.
        width: D of the tokens.
        vae: arguments of `AutoencoderKL`.
        vertices: of the face model.
    """

    video: dict[str, Any] = field(default_factory=dict)
    image: dict[str, Any] = field(default_factory=dict)
    vision: dict[str, Any] = field(default_factory=lambda: dict(CLIP_L))
    width: int = 768
    vae: dict[str, Any] = field(default_factory=lambda: dict(autoencoder.CONFIG))
    vertices: int = 35709


@dataclass(frozen=True)
class ReleasedFile:
    """One released file.

    Attributes:
        places: paths in the folder where it may be; the first one that is there counts.
        expected: its keys and shapes.
        tidy: from the file's tensors to those keys.
        image: True for files of the image model, which a pack can do without.
    """

    places: tuple[str, ...]
    expected: Callable[[Sizes], Shapes]
    tidy: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    image: bool = False

    def find(self, folder: Path) -> Path | None:
        """The file in a released folder; None where it is missing."""
        return next((folder / place for place in self.places if (folder / place).is_file()), None)

    def read(self, path: Path) -> dict[str, Tensor]:
        """Its tensors, memory-mapped. Raises InputError when it cannot be read."""
        return self.tidy(read(path, REMEDY))


def shapes(build: Callable[..., object], *arguments: object) -> Shapes:
    """Keys and shapes of a network, which is built on the device `meta`.

    Args:
        build: returns the network, an `nn.Module` (diffusers' models are some, which mypy does not recognise).
        *arguments: of `build`.
    """
    return {key: tuple(value.shape) for key, value in _meta_state(build, *arguments).items()}


def _meta_state(build: Callable[..., object], *arguments: object) -> dict[str, Tensor]:
    with torch.device("meta"):
        module = build(*arguments)
        assert isinstance(module, nn.Module)
        return module.state_dict()


def _video(sizes: Sizes) -> Shapes:
    released = to_released(_meta_state(build_video_unet, sizes.video))
    return {key: tuple(value.shape) for key, value in released.items()}


def _motion(sizes: Sizes) -> Shapes:
    return _of_video_checkpoint(_video(sizes))


def _of_video_checkpoint(unet: Shapes) -> Shapes:
    """The part of the video U-Net that is taken from the video checkpoint."""
    return {key: shape for key, shape in unet.items() if any(part in key for part in VIDEO_PARTS)}


def _vision(sizes: Sizes) -> Shapes:
    return shapes(build_vision, sizes.vision)


def _fuse(sizes: Sizes) -> Shapes:
    return shapes(PostFuse, sizes.width, sizes.vision["hidden_size"], FEATURES)


def _image(sizes: Sizes) -> Shapes:
    return shapes(build_image_unet, sizes.image)


def _regressor(_: Sizes) -> Shapes:
    return shapes(CoefficientNetwork)


def _identity(_: Sizes) -> Shapes:
    return shapes(CurricularFace)


_UNET = "checkpoints/image/pretrained_unet/"
_VISION = ("vision_encoder/model.safetensors", "vision_encoder/pytorch_model.bin")
_FLAT, _SAVED = "unet.pth", ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

# The spatial layers of the video U-Net come from the base. The reference code prefers the flat file for the base, and
# diffusers' own file for the image model.
RELEASED_FILES = {
    "base": ReleasedFile(tuple(_UNET + name for name in (_FLAT, *_SAVED)), _image),
    "motion": ReleasedFile(("checkpoints/video/3dunet.pth",), _motion),
    "fuse": ReleasedFile(("checkpoints/video/mim.pth",), _fuse),
    "vision": ReleasedFile(tuple(f"checkpoints/video/{name}" for name in _VISION), _vision, vision_state),
    "regressor": ReleasedFile(("models/D3DFR/netG_epoch_25.pth",), _regressor),
    "identity": ReleasedFile(("models/ArcFace/CurricularFace_Backbone.pth",), _identity),
    "image": ReleasedFile(tuple(_UNET + name for name in (*_SAVED, _FLAT)), _image, image=True),
    "image_fuse": ReleasedFile(("checkpoints/image/mim.pth",), _fuse, image=True),
    "image_vision": ReleasedFile(
        tuple(f"checkpoints/image/{name}" for name in _VISION), _vision, vision_state, image=True
    ),
}
BFM = "models/D3DFR/BFM09_model_info.mat"
# Files of the image model alone; its U-Net is needed for the video model, too.
IMAGE_MODEL = ("image_fuse", "image_vision")


def read_arguments(name: str, path: Path, state: Mapping[str, Tensor], sizes: Sizes) -> dict[str, Any]:
    """Arguments of a file's network that the manifest has to state.

    Of the video checkpoint the length of its position tables (AnimateDiff has several lengths); of a vision encoder
    the arguments of `CLIPVisionConfig` in the `config.json` beside it.

    Args:
        name: key of `RELEASED_FILES`.
        path: the file.
        state: its tensors.
        sizes: of the networks.

    Raises:
        InputError: the tables differ in length, or the configuration is missing or not readable.
    """
    if name == "motion" and any(key.endswith((*TABLES, TABLE)) for key in state):
        return {"motion_max_seq_length": longest_clip(state)}
    if not name.endswith("vision"):
        return {}
    config = path.with_name("config.json")
    try:
        content = read_json(config)
        content = content.get("vision_config", content)
        return {**sizes.vision, **{key: content[key] for key in UNSHAPED_ARGUMENTS if key in content}}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{config} cannot be read ({error}); {REMEDY}.") from error


def compare_released(name: str, state: Mapping[str, Tensor], config: dict[str, Any], sizes: Sizes) -> Misfit:
    """Differences between a file's tensors and the released ones.

    The video checkpoint may hold, or lack, those keys of the U-Net that are not taken from it.

    Args:
        name: key of `RELEASED_FILES`.
        state: the file's tensors.
        config: its `read_arguments`.
        sizes: of the networks.

    Raises:
        InputError: it is a file of SDXL.
    """
    if name in ("base", "image") and is_sdxl(state):
        raise InputError("it is of Stable Diffusion XL; the released one is of Stable Diffusion 1.5")
    if name != "motion":
        return compare(RELEASED_FILES[name].expected(sizes), state)
    unet = _video(replace(sizes, video={**sizes.video, **config}))
    return compare(_of_video_checkpoint(unet), state, unet)
