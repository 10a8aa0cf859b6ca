"""Stable Diffusion 1.5's autoencoder, from wherever the user has it: diffusers' folder or a single file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from ...errors import InputError
from ...weights import read

NAME = "sd-vae-ft-mse"
HOME = f"https://huggingface.co/stabilityai/{NAME}"
CLASS = "AutoencoderKL"  # of diffusers, and its arguments
CONFIG = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}
FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
# Where it may lie in the published folder: put there by hand, or by the reference's own download.
PLACES = (NAME, "vae", f"hub/models--stabilityai--{NAME}/snapshots/*")
# ComfyUI's folders beside the one where packs live.
BESIDE = ("vae", "checkpoints")
# What stands before the autoencoder's keys in a whole checkpoint, and what its keys begin with.
PREFIXES = ("first_stage_model.", "vae.")
HALVES = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
# The attention's layers before diffusers 0.15, which the published folder still has.
OLDER = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}
# SDXL's autoencoder has the same keys and shapes: these tell it by what is round it, or by the file's name.
SDXL_KEYS = re.compile(r"conditioner\.|.*\blabel_emb\.|add_embedding\.")
SDXL_NAME = re.compile(r"sd[-_ ]?xl|xl[-_ ]?vae", re.IGNORECASE)
REMEDY = f"use {NAME}, or Stable Diffusion 1.5's own, as .safetensors"


def is_sdxl(keys: Iterable[str]) -> bool:
    """Whether a checkpoint's keys show that it is of Stable Diffusion XL."""
    return any(SDXL_KEYS.match(key) for key in keys)


def find_vae(given: str | Path | None, folder: Path, models: Iterable[Path]) -> Path | None:
    """Where the autoencoder is: a folder or a file.

    Args:
        given: what the user names: a path, or the name of a file in ComfyUI's `models/vae` or
            `models/checkpoints`; None to look for `sd-vae-ft-mse`.
        folder: the published folder, in which it is looked for first.
        models: the folders where packs live; ComfyUI's others lie beside them.

    Returns:
        The place, or None where nothing was named and nothing found.

    Raises:
        InputError: what is named is not there.
    """
    beside = [Path(place).parent / name for place in models for name in BESIDE]
    if given is not None:
        for place in (Path(given), *(folder / given for folder in beside)):
            if place.exists():
                return place
        known = ", ".join(path.name for place in beside for path in _autoencoders(place)) or "none"
        raise InputError(f"There is no autoencoder {given}; name a file or folder. In ComfyUI's folders: {known}.")
    found = [path for pattern in PLACES for path in sorted(folder.glob(pattern)) if _weights_in(path)]
    found += [path for place in beside for path in _autoencoders(place) if "ft-mse" in path.name.lower()]
    return found[0] if found else None


def vae_file(place: Path) -> Path:
    """The file of weights of an autoencoder: `place` itself, or in a folder of diffusers'; InputError if none."""
    if place.is_file():
        return place
    file = _weights_in(place) or _weights_in(place / "vae")
    if file is None:
        raise InputError(f"There is no autoencoder in {place}: it lacks {FILES[0]}; {REMEDY}.")
    return file


def read_vae(place: Path) -> dict[str, Tensor]:
    """Read an autoencoder under the keys of diffusers' `AutoencoderKL`; nothing is copied.

    Args:
        place: a folder of diffusers' (the autoencoder's, or a whole Stable Diffusion 1.5), or a single file: the
            autoencoder alone or a whole checkpoint, under diffusers' or the original names.

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
    return {_newer(key): value for key, value in state.items()}


def _from_original(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys as Stable Diffusion was first published under, to diffusers'."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    return convert_ldm_vae_checkpoint(dict(state), CONFIG)


def _newer(key: str) -> str:
    """diffusers' present name of a key."""
    if ".attentions." in key:
        for old, new in OLDER.items():
            key = key.replace(old, new)
    return key


def _check_scaling(config: Path) -> None:
    """Refuse the autoencoder of another model, whose latents are scaled otherwise."""
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        scale = float(content.get("scaling_factor", CONFIG["scaling_factor"]))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{config} cannot be read ({error}); download {HOME} again.") from error
    if abs(scale - CONFIG["scaling_factor"]) > 1e-4:
        raise InputError(
            f"{config.parent} is the autoencoder of another model (SDXL's, say): it scales latents by {scale}, "
            f"Stable Diffusion 1.5's by {CONFIG['scaling_factor']}; {REMEDY}."
        )


def _weights_in(folder: Path) -> Path | None:
    """The file of weights in an autoencoder's folder of diffusers'."""
    there = (folder / name for name in FILES)
    return next((file for file in there if file.is_file() and (folder / "config.json").is_file()), None)


def _autoencoders(folder: Path) -> list[Path]:
    """What may hold an autoencoder in one of ComfyUI's folders."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES or _weights_in(path)]
