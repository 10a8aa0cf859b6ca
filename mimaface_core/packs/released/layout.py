"""The published folder: which file is where, what it holds, and how large the networks are."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

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
from ...weights import Misfit, compare, read
from ..manifest import HOME
from . import autoencoder
from .autoencoder import is_sdxl

REMEDY = f"download it again, in full, from {HOME}"
Shapes = dict[str, tuple[int, ...]]
# Arguments of `CLIPVisionConfig` that no shape tells.
SHAPELESS = ("hidden_act", "num_attention_heads", "layer_norm_eps")


@dataclass(frozen=True)
class Sizes:
    """How large the networks are; as published unless said otherwise.

    video, picture: what differs from `unet_released`'s configurations. vision: arguments of `CLIPVisionConfig`.
    width: D of the tokens. vae: arguments of `AutoencoderKL`. vertices: of the face model.
    """

    video: dict = field(default_factory=dict)
    picture: dict = field(default_factory=dict)
    vision: dict = field(default_factory=lambda: dict(CLIP_L))
    width: int = 768
    vae: dict = field(default_factory=lambda: dict(autoencoder.CONFIG))
    vertices: int = 35709


@dataclass(frozen=True)
class Source:
    """One published file.

    places: where it may lie in the folder, the first one that is there counts. wanted: its keys and shapes.
    tidy: from the file's tensors to those keys. image: whether it is of the image stage, which a pack can do without.
    """

    places: tuple[str, ...]
    wanted: Callable[[Sizes], Shapes]
    tidy: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    image: bool = False

    def find(self, folder: Path) -> Path | None:
        """The file in a published folder; None without."""
        return next((folder / place for place in self.places if (folder / place).is_file()), None)

    def read(self, path: Path) -> dict[str, Tensor]:
        """Its tensors; raises InputError when it cannot be read."""
        return self.tidy(read(path, REMEDY))


def shapes(build: Callable[..., nn.Module], *arguments) -> Shapes:
    """Keys and shapes of a network, which is built without memory."""
    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in build(*arguments).state_dict().items()}


def _video(sizes: Sizes) -> Shapes:
    with torch.device("meta"):
        state = to_released(build_video_unet(sizes.video).state_dict())
    return {key: tuple(value.shape) for key, value in state.items()}


def _motion(sizes: Sizes) -> Shapes:
    return {key: shape for key, shape in _video(sizes).items() if any(part in key for part in VIDEO_PARTS)}


def _vision(sizes: Sizes) -> Shapes:
    return shapes(build_vision, sizes.vision)


def _fuse(sizes: Sizes) -> Shapes:
    return shapes(PostFuse, sizes.width, sizes.vision["hidden_size"], FEATURES)


def _picture(sizes: Sizes) -> Shapes:
    return shapes(build_image_unet, sizes.picture)


_UNET = "checkpoints/image/pretrained_unet/"
_VISION = ("vision_encoder/model.safetensors", "vision_encoder/pytorch_model.bin")
_FLAT, _SAVED = "unet.pth", ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

# The base is what the video U-Net's layers over space are taken from: the reference prefers the flat file there,
# and diffusers' own file for single pictures.
SOURCES = {
    "base": Source(tuple(_UNET + name for name in (_FLAT, *_SAVED)), _picture),
    "motion": Source(("checkpoints/video/3dunet.pth",), _motion),
    "fuse": Source(("checkpoints/video/mim.pth",), _fuse),
    "vision": Source(tuple(f"checkpoints/video/{name}" for name in _VISION), _vision, vision_state),
    "regressor": Source(("models/D3DFR/netG_epoch_25.pth",), lambda sizes: shapes(CoefficientNetwork)),
    "identity": Source(("models/ArcFace/CurricularFace_Backbone.pth",), lambda sizes: shapes(CurricularFace)),
    "picture": Source(tuple(_UNET + name for name in (*_SAVED, _FLAT)), _picture, image=True),
    "picture_fuse": Source(("checkpoints/image/mim.pth",), _fuse, image=True),
    "picture_vision": Source(tuple(f"checkpoints/image/{name}" for name in _VISION), _vision, vision_state, image=True),
}
BFM = "models/D3DFR/BFM09_model_info.mat"
# Without these two there is no image stage; its U-Net is needed anyway.
IMAGE_STAGE = ("picture_fuse", "picture_vision")


def found_config(name: str, path: Path, state: Mapping[str, Tensor], sizes: Sizes) -> dict:
    """What a file tells of its network besides keys and shapes: arguments for the manifest.

    Of the video checkpoint the length of its tables of positions (AnimateDiff's come in several); of a vision
    encoder the arguments of `CLIPVisionConfig` in the `config.json` beside it.

    Raises:
        InputError: the tables differ in length, or the configuration is missing or none.
    """
    if name == "motion" and any(key.endswith((*TABLES, TABLE)) for key in state):
        return {"motion_max_seq_length": longest_clip(state)}
    if not name.endswith("vision"):
        return {}
    config = path.with_name("config.json")
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        content = content.get("vision_config", content)
        return {**sizes.vision, **{key: content[key] for key in SHAPELESS if key in content}}
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{config} cannot be read ({error}); {REMEDY}.") from error


def misfit_of(name: str, state: Mapping[str, Tensor], config: dict, sizes: Sizes) -> Misfit:
    """How the tensors of a file differ from what is published.

    The video checkpoint may hold, or lack, whatever of the U-Net is not taken from it.

    Args:
        name: in `SOURCES`.
        state: its tensors. config: what `found_config` says of it.

    Raises:
        InputError: it is of SDXL.
    """
    if name in ("base", "picture") and is_sdxl(state):
        raise InputError("it is of Stable Diffusion XL; the published one is of Stable Diffusion 1.5")
    if name != "motion":
        return compare(SOURCES[name].wanted(sizes), state)
    whole = _video(replace(sizes, video={**sizes.video, **config}))
    wanted = {key: shape for key, shape in whole.items() if any(part in key for part in VIDEO_PARTS)}
    return compare(wanted, state, whole)
