"""The authors' checkpoint files, read without running code, and the same weights as safetensors."""

from __future__ import annotations

import argparse
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..errors import InputError
from .generator import Generator
from .transformer import EXTRA_TOKENS, VARIANTS, WINDOW, MotionTransformer

REMEDY = "use a checkpoint of IF-MDM's stage 1 (gen, dis, args) or stage 2 (model, ema, args), or its safetensors"
SIZES = {8: 256, 9: 512, 10: 1024}  # image size by the number of the encoder's convolutions and blocks


def load_generator(path: str | Path) -> Generator:
    """Stage 1 from the authors' checkpoint (its `gen`) or from safetensors; size and dimensions are read off it.

    Raises:
        InputError: the file is missing, damaged, asks for code, or holds another network.
    """
    values = _state(path, ("gen",))
    if "dec.direction.weight" not in values or "enc.fc.4.weight" not in values:
        raise InputError(f"{path} holds no generator of IF-MDM; {REMEDY}.")
    if not any(".conv_gen." in key for key in values):
        raise InputError(
            f"{path} is a checkpoint of LIA, IF-MDM's parent, whose renderer has no fill (conv_gen); {REMEDY}."
        )
    blocks = len({key.split(".")[3] for key in values if key.startswith("enc.net_app.convs.")})
    if blocks not in SIZES:
        raise InputError(f"{path} is for images of a size that IF-MDM does not have; {REMEDY}.")
    generator = Generator(SIZES[blocks], values["dec.direction.weight"].shape[1])
    weights.fill(generator, values, Path(path), REMEDY)
    return generator.eval()


def load_transformer(path: str | Path) -> MotionTransformer:
    """Stage 2 from the authors' checkpoint (its `ema`, which sampling should use) or from safetensors.

    Raises:
        InputError: the file is missing, damaged, asks for code, or holds another network.
    """
    values = _state(path, ("ema", "model"))
    table = values.get("pos_embed")
    if table is None or "x_hint_embedder.mlp.0.weight" not in values or table.shape[1] != WINDOW + EXTRA_TOKENS:
        raise InputError(f"{path} holds no motion transformer of IF-MDM; {REMEDY}.")
    depth = len({key.split(".")[1] for key in values if key.startswith("blocks.")})
    name = next((n for n, v in VARIANTS.items() if (v.depth, v.width) == (depth, table.shape[2])), None)
    if name is None:
        raise InputError(f"{path} has {depth} blocks of {table.shape[2]}, which no variant of IF-MDM has; {REMEDY}.")
    network = MotionTransformer(name, values["x_hint_embedder.mlp.0.weight"].shape[1])
    weights.fill(network, values, Path(path), REMEDY)
    return network.eval()


def _state(path: str | Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The first of these state dicts in a checkpoint, or a file's own."""
    path = Path(path)
    if path.suffix in weights.SAFETENSORS_SUFFIXES or not path.is_file():
        return weights.read(path, REMEDY)
    content = _checkpoint(path)
    for name in names:
        if isinstance(content.get(name), Mapping):
            content = content[name]
            break
    values = {key: value for key, value in content.items() if isinstance(key, str) and isinstance(value, Tensor)}
    if not values:
        raise InputError(f"{path} holds no state dict; {REMEDY}.")
    return values


def _checkpoint(path: Path) -> Mapping[str, Any]:
    """A torch pickle of tensors, plain values and an argparse namespace; anything else in it is refused."""
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path) or None)
    except pickle.UnpicklingError as error:
        raise InputError(f"{path} cannot be read: it is damaged or asks for code to be run; {REMEDY}.") from error
    except weights.READ_ERRORS as error:
        raise InputError(f"{path} is damaged; {REMEDY}.") from error
    if not isinstance(content, Mapping):
        raise InputError(f"{path} holds no state dict; {REMEDY}.")
    return content
