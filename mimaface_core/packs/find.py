"""Find model packs by name: the bundled one and those in the models folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .. import host
from ..errors import InputError
from ..files import is_file, shown
from .manifest import MANIFEST
from .pack import BUNDLED_PACK, ModelPack


def list_packs(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """The bundled pack, then the sub-folders of the models folders that hold a manifest.

    Args:
        folders: models folders; the host's (`host.current().models_folders()`) when None.

    Returns:
        Folder name → folder, `bundled` first. Where two share a name the first one is kept.
    """
    candidates = [BUNDLED_PACK]
    for models in host.current().models_folders() if folders is None else folders:
        if models.is_dir():
            candidates += sorted(path for path in models.iterdir() if path.is_dir())
    packs: dict[str, Path] = {}
    for folder in candidates:
        if (folder / MANIFEST).is_file():
            packs.setdefault(folder.name, folder)
    return packs


def find_pack(name: str, folders: Iterable[Path] | None = None) -> ModelPack:
    """Open a pack.

    Args:
        name: its name in `list_packs`, or its folder.
        folders: models folders, as in `list_packs`.

    Raises:
        InputError: there is none of that name, or it is not usable.
    """
    packs = list_packs(folders)
    if name in packs:
        return ModelPack.load(packs[name])
    if is_file(Path(name) / MANIFEST):
        return ModelPack.load(name)
    known = ", ".join(packs) or "none"
    raise InputError(f"There is no model pack '{shown(name)}'; the packs found are: {known}.")
