"""TAESD, the tiny autoencoder of Stable Diffusion 1.5: a file of diffusers, or the original pair."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from .. import weights
from ..files import is_file
from .latents import build_vae

TAESD = "taesd"
HOME = "https://huggingface.co/madebyollin/taesd"
FILE = "diffusion_pytorch_model.safetensors"  # of diffusers, in a folder `taesd`
HALVES = ("encoder", "decoder")
SUFFIXES = (".safetensors", ".pth")
REMEDY = f"download it again from {HOME}"


def find_taesd(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Find its files: `taesd/diffusion_pytorch_model.safetensors`, or `taesd_encoder` and `taesd_decoder`.

    Args:
        folders: those to look in, one after another.

    Returns:
        The single file, or the encoder's and the decoder's; empty where they are in none of the folders.
    """
    for folder in folders:
        whole = folder / TAESD / FILE
        if is_file(whole):
            return (whole,)
        found = [[path for s in SUFFIXES if is_file(path := folder / f"{TAESD}_{half}{s}")] for half in HALVES]
        if all(found):
            return tuple(half[0] for half in found)
    return ()


def load_taesd(files: Sequence[Path], dtype: torch.dtype) -> nn.Module:
    """Build it from its files.

    Args:
        files: as `find_taesd` returns them.
        dtype: precision that its weights get.

    Returns:
        diffusers' `AutoencoderTiny`, whose latents are scaled as the U-Net takes them.

    Raises:
        InputError: a file cannot be read, or is another one.
    """
    with torch.device("meta"):
        vae = build_vae("AutoencoderTiny", {})
    if len(files) == 1:
        state = weights.read(files[0], REMEDY)
    else:
        encoder, decoder = (weights.read(file, REMEDY) for file in files)
        state = _renamed("encoder", encoder) | _renamed("decoder", decoder, -1)
    weights.fill(vae, state, files[-1], REMEDY, dtype)
    return vae.eval().requires_grad_(False)


def _renamed(half: str, state: dict[str, Tensor], shift: int = 0) -> dict[str, Tensor]:
    """From original keys, which begin with a layer's number, to those of diffusers.

    The original decoder's layer 0 limits the latents, which in diffusers is no layer: others are shifted by −1.
    """
    renamed = {}
    for key, value in state.items():
        number, _, rest = key.partition(".")
        layer = f"layers.{int(number) + shift}" if number.isdecimal() else number
        renamed[f"{half}.{layer}.{rest}"] = value
    return renamed
