"""The weights of a pack: strict loading into a part, writing and verifying a pack."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import nn

from .. import weights
from ..errors import InputError
from ..files import is_file, replacing, shown
from .entries import MANIFEST, PackManifest

REMEDY = "install the pack again, all files of one version"


def fill(module: nn.Module, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Load a pack's file into a module, strictly.

    Values that have the right precision already stay mapped to the file and are read when they are used.

    Args:
        module: its tensors are exchanged; it may be on the device `meta`.
        path: the file, with exactly the module's keys and shapes.
        dtype: precision that floating-point values get.

    Raises:
        InputError: the file cannot be read, or a key is missing, unknown or of another shape.
    """
    weights.fill(module, weights.read(path, REMEDY), path, REMEDY, dtype)


def require_whole(folder: Path, manifest: PackManifest) -> None:
    """Open every file that a manifest names; their values stay on disk.

    Args:
        folder: the pack's.
        manifest: its manifest.

    Raises:
        InputError: one is missing, cut short or no file of weights.
    """
    for file in manifest.weight_files.values():
        weights.read(folder / file, REMEDY)


def write_pack(folder: Path, manifest: dict, parts: dict[str, nn.Module], dtype: torch.dtype = torch.float16) -> None:
    """Write a pack: each part's weights, then the manifest.

    Every file appears under its name only when complete.

    Args:
        folder: created when absent.
        manifest: content of `manifest.json`; `manifest[part]["file"]` names each part's file.
        parts: name → module; parts of the manifest that are left out are not written.
        dtype: precision of floating-point values in the files.

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
    """Write `manifest.json`.

    Args:
        folder: the pack's, which exists.
        manifest: content of the file.

    Raises:
        OSError: it cannot be written.
    """
    with replacing(folder / MANIFEST) as part:
        part.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def stamp(file: Path) -> str:
    """Name, bytes and time of writing of a file, in nanoseconds: changes with it."""
    stat = file.stat()
    return f"{file.name} {stat.st_size} {stat.st_mtime_ns}"


def verify_files(folder: Path, manifest: PackManifest) -> None:
    """Check a pack's files against the sizes and hashes in its manifest, where it states any.

    Args:
        folder: the pack's.
        manifest: its manifest.

    Raises:
        InputError: a file is missing, or not the one that was written.
    """
    for name, record in manifest.files.items():
        path = folder / name
        whole = is_file(path) and path.stat().st_size == record.bytes
        if not whole or weights.sha256(path) != record.sha256:
            raise InputError(
                f"{folder / shown(name)} is missing, cut short or damaged; copy or convert the pack again."
            )
