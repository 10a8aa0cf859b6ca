"""Weights in safetensors: strict loading into a module, and writing a pack."""

import json
import os
from pathlib import Path

import torch
from torch import nn

from ..errors import InputError


def fill(module: nn.Module, path: Path) -> None:
    """Load a safetensors file into a module, strictly; half precision becomes the module's own.

    Args:
        module: takes the values in place.
        path: the file, with exactly the module's keys and shapes.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or of another shape.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        values = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read ({error}); install the pack again.") from error
    wanted = module.state_dict()
    problems = [f"'{key}' is missing" for key in wanted if key not in values]
    problems += [f"'{key}' is unknown" for key in values if key not in wanted]
    problems += [
        f"'{key}' has shape {list(values[key].shape)} instead of {list(wanted[key].shape)}"
        for key in wanted
        if key in values and values[key].shape != wanted[key].shape
    ]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise InputError(
            f"{path} does not fit its configuration: {problems[0]}{more}; "
            "install the pack again, all files of one version."
        )
    module.load_state_dict(values, strict=True)


def write_pack(
    folder: Path, manifest: dict, parts: dict[str, nn.Module], dtype: torch.dtype = torch.float16
) -> None:
    """Write a pack: each part's weights, then the manifest.

    Every file appears under its name only when complete.

    Args:
        folder: made when absent.
        manifest: as `ModelPack` reads it; `manifest[part]["file"]` names each part's file.
        parts: `vae`, `appearance`, `unet` → module.
        dtype: precision of the files; half keeps a pack small.

    Raises:
        InputError: the folder cannot be written.
    """
    from safetensors.torch import save

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, module in parts.items():
            values = {
                key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
                for key, value in module.state_dict().items()
            }
            _replace(folder / manifest[part]["file"], save(values))
        _replace(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    except OSError as error:
        raise InputError(
            f"The pack cannot be written to {folder} ({error}); choose another folder."
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """Write beside the final name, then take its place; nothing half-written stays."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
