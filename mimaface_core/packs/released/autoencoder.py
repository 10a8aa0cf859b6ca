"""Find and read Stable Diffusion 1.5's autoencoder: a folder of diffusers or a single file, under all its names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ...errors import InputError
from ...files import read_json
from ...weights import read

NAME = "sd-vae-ft-mse"
HOME = f"https://huggingface.co/stabilityai/{NAME}"
CLASS = "AutoencoderKL"  # of diffusers
SCALING_FACTOR = 0.18215
CONFIG: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": SCALING_FACTOR,
}
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
# Places in the released folder: put there by hand, or by the reference's own download.
PLACES = (NAME, "vae", f"hub/models--stabilityai--{NAME}/snapshots/*")
# ComfyUI's folders beside the models folder of the packs.
COMFYUI_FOLDERS = ("vae", "checkpoints")
# Prefixes of the autoencoder's keys in a whole checkpoint, and the beginnings of the keys without them.
PREFIXES = ("first_stage_model.", "vae.")
HALVES = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
# The attention's layers before diffusers 0.15, which the released folder still has, and their present names.
RENAMED_LAYERS = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
# SDXL's autoencoder has the same keys and shapes: the rest of its checkpoint, or the file's name, gives it away.
SDXL_KEYS = re.compile(r"conditioner\.|.*\blabel_emb\.|add_embedding\.")
SDXL_NAME = re.compile(r"sd[-_ ]?xl|xl[-_ ]?vae", re.IGNORECASE)
REMEDY = f"use {NAME}, or Stable Diffusion 1.5's own, as .safetensors"


def is_sdxl(keys: Iterable[str]) -> bool:
    """True where a checkpoint's keys are of Stable Diffusion XL."""
    return any(SDXL_KEYS.match(key) for key in keys)


def find_vae(named: str | Path | None, folder: Path, models: Iterable[Path]) -> Path | None:
    """Find the autoencoder's folder or file.

    Args:
        named: the user's choice: a path, or the name of a file in ComfyUI's `models/vae` or `models/checkpoints`; None
            to look for `sd-vae-ft-mse`.
        folder: the released folder, which is searched first.
        models: the models folders of the packs; ComfyUI's other folders lie beside them.

    Returns:
        The folder or file; None where none is named and none is there.

    Raises:
        InputError: the named one is not there.
    """
    beside = [Path(place).parent / name for place in models for name in COMFYUI_FOLDERS]
    if named is not None:
        for place in (Path(named), *(folder / named for folder in beside)):
            if place.exists():
                return place
        known = ", ".join(path.name for place in beside for path in _autoencoders(place)) or "none"
        raise InputError(f"There is no autoencoder {named}; name a file or folder. In ComfyUI's folders: {known}.")
    candidates = [path for pattern in PLACES for path in sorted(folder.glob(pattern)) if _weights_in(path)]
    candidates += [path for place in beside for path in _autoencoders(place) if "ft-mse" in path.name.lower()]
    return candidates[0] if candidates else None


def vae_file(place: Path) -> Path:
    """The file of weights of an autoencoder.

    Args:
        place: the file itself; or a folder of diffusers (the autoencoder's, or a whole Stable Diffusion 1.5).

    Raises:
        InputError: the folder holds none.
    """
    if place.is_file():
        return place
    file = _weights_in(place) or _weights_in(place / "vae")
    if file is None:
        raise InputError(f"There is no autoencoder in {place}: it lacks {FILES[0]}; {REMEDY}.")
    return file


def read_vae(place: Path) -> dict[str, Tensor]:
    """Read an autoencoder under the keys of diffusers' `AutoencoderKL`.

    Args:
        place: a folder of diffusers (the autoencoder's, or a whole Stable Diffusion 1.5), or a single file: the
            autoencoder alone or a whole checkpoint, under diffusers' or the original names.

    Returns:
        Key → tensor, memory-mapped.

    Raises:
        InputError: it cannot be read, holds no autoencoder, or belongs to SDXL.
    """
    file = vae_file(place)
    if place.is_dir():
        _check_scaling(file.parent / "config.json")
    state = read(file, REMEDY)
    if is_sdxl(state) or (place.is_file() and SDXL_NAME.search(place.stem)):
        raise InputError(f"{file} is of Stable Diffusion XL, whose latents are others; {REMEDY}.")
    for prefix in PREFIXES:
        if any(key.startswith(prefix) for key in state):
            state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    state = {key: value for key, value in state.items() if key.startswith(HALVES)}
    if not state:
        raise InputError(f"{file} holds no autoencoder; {REMEDY}.")
    if any(key.startswith(("encoder.down.", "decoder.up.")) for key in state):
        return _from_original(state)
    return {_renamed(key): value for key, value in state.items()}


def _from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """From the keys of Stable Diffusion's original release to those of diffusers."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return convert_ldm_vae_checkpoint(dict(state), CONFIG)


def _renamed(key: str) -> str:
    """The present key in diffusers."""
    if ".attentions." in key:
        for old, new in RENAMED_LAYERS.items():
            key = key.replace(old, new)
    return key


def _check_scaling(config: Path) -> None:
    """Refuse the autoencoder of another model, whose latents have another scale."""
    try:
        content = read_json(config)
        scale = float(content.get("scaling_factor", SCALING_FACTOR))
    except (OSError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError(f"{config} cannot be read ({error}); download {HOME} again.") from error
    if abs(scale - SCALING_FACTOR) > 1e-4:
        raise InputError(
            f"{config.parent} is the autoencoder of another model (SDXL's, say): it scales latents by {scale}, "
            f"Stable Diffusion 1.5's by {SCALING_FACTOR}; {REMEDY}."
        )


def _weights_in(folder: Path) -> Path | None:
    """The file of weights in an autoencoder's folder of diffusers."""
    files = (folder / name for name in FILES)
    return next((file for file in files if file.is_file() and (folder / "config.json").is_file()), None)


def _autoencoders(folder: Path) -> list[Path]:
    """Files and folders in one of ComfyUI's folders that may hold an autoencoder."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES or _weights_in(path)]
