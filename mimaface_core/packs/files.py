"""The weights of a pack: strict loading into a part, and writing a pack."""

import json
import os
from pathlib import Path

import torch
from torch import nn

from .. import weights
from ..errors import InputError

REMEDY = "install the pack again, all files of one version"


def fill(module: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Give a module the values of a pack's file, strictly.

    Values that have the right precision already stay mapped to the file and are read when they are used.

    Args:
        module: its tensors are exchanged; it may have been built without memory (on the device `meta`).
        path: the file, with exactly the module's keys and shapes.
        dtype: precision that floating-point values get.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or of another shape.
    """
    weights.fill(module, weights.read(path, REMEDY), path, REMEDY, dtype)


def require_whole(folder: Path, manifest: dict) -> None:
    """Open every file that a manifest names; their values stay on disk.

    Raises:
        InputError: one is missing, cut short or no file of weights.
    """
    for part in manifest.values():
        if isinstance(part, dict) and "file" in part:
            weights.read(folder / part["file"], REMEDY)


def write_pack(folder: Path, manifest: dict, parts: dict[str, nn.Module], dtype: torch.dtype = torch.float16) -> None:
    """Write a pack: each part's weights, then the manifest.

    Every file appears under its name only when complete.

    Args:
        folder: made when absent.
        manifest: as `ModelPack` reads it; `manifest[part]["file"]` names each part's file.
        parts: name → module; those that the manifest lists.
        dtype: precision of the files; half keeps a pack small.

    Raises:
        InputError: the folder cannot be written.
    """

    def precision(value: torch.Tensor) -> torch.dtype:
        return dtype if value.is_floating_point() else value.dtype

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part, module in parts.items():
            weights.write(folder / manifest[part]["file"], module.state_dict(), precision=precision)
        write_manifest(folder, manifest)
    except OSError as error:
        raise InputError(f"The pack cannot be written to {folder} ({error}); choose another folder.") from error


def write_manifest(folder: Path, manifest: dict) -> None:
    """Write `manifest.json`: beside the final name, then in its place; nothing half-written stays.

    Raises:
        OSError: it cannot be written.
    """
    path = folder / "manifest.json"
    part = path.with_name(path.name + weights.PART)
    try:
        part.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def verify_files(folder: Path, manifest: dict) -> None:
    """Hold a pack's files against the sizes and hashes in its manifest, where it states any.

    Raises:
        InputError: a file is missing, or not the one that was written.
    """
    for name, written in manifest.get("files", {}).items():
        path = folder / name
        whole = path.is_file() and path.stat().st_size == written["bytes"]
        if not whole or weights.sha256(path) != written["sha256"]:
            raise InputError(f"{path} is missing, cut short or damaged; copy or convert the pack again.")
