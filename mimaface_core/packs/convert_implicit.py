"""Convert the checkpoints of IF-MDM's authors' scripts to a pack for implicit motion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import weights
from ..errors import InputError
from ..files import is_file
from ..implicit.checkpoint import load_generator, load_transformer
from .entries import IMPLICIT, MANIFEST
from .files import write_pack
from .implicit_pack import ImplicitPack


def convert_implicit(
    stage1: Path, out: Path, stage2: Path | None = None, speech: str | None = None, half: bool = False
) -> ImplicitPack:
    """Write a pack; nothing in the checkpoints is run.

    Args:
        stage1: the generator's checkpoint (`gen`), or its safetensors.
        out: the pack's folder: new, empty, or a pack that was converted before.
        stage2: the transformer's checkpoint (`ema`), or its safetensors; without it only clips drive.
        speech: name of the folder of the speech encoder that stage 2 was trained with: a wav2vec 2.0 or HuBERT of
            transformers, in the pack's folder or beside it.
        half: store in half precision.

    Returns:
        The pack, opened.

    Raises:
        InputError: a file is damaged, asks for code, is of another network (LIA, too), the two stages do not belong
            together, or the pack cannot be written.
    """
    if out.is_dir() and any(out.iterdir()) and not is_file(out / MANIFEST):
        raise InputError(f"{out} is a folder with other files; name a new one for the pack.")
    if stage2 is not None and speech is None:
        raise InputError(
            "Stage 2 hears by a speech encoder, which its checkpoint does not name; give the name of the folder of the"
            " wav2vec 2.0 or HuBERT that it was trained with, by --speech."
        )
    generator = load_generator(stage1)
    parts: dict[str, nn.Module] = {"generator": generator}
    sizes = {"size": generator.size, "dimensions": generator.dimensions}
    manifest: dict[str, Any] = {
        "method": IMPLICIT,
        "name": out.name,
        "version": "1",
        "generator": {"file": "generator.safetensors", "config": sizes},
    }
    if stage2 is not None:
        transformer = load_transformer(stage2)
        if transformer.dimensions != generator.dimensions:
            raise InputError(
                f"Stage 1 has {generator.dimensions} dimensions of motion, stage 2 {transformer.dimensions};"
                " use checkpoints of one model."
            )
        parts["transformer"] = transformer
        config = {"variant": transformer.variant, "dimensions": transformer.dimensions}
        manifest["transformer"] = {"file": "transformer.safetensors", "config": config}
        manifest["speech"] = speech
    manifest["sources"] = {path.name: _record(path) for path in (stage1, stage2) if path is not None}
    write_pack(out, manifest, parts, torch.float16 if half else torch.float32)
    return ImplicitPack.load(out)


def _record(path: Path) -> dict[str, Any]:
    return {"sha256": weights.sha256(path), "bytes": path.stat().st_size}
