"""Find model packs by name: the bundled ones and those in the models folders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .. import host
from ..errors import InputError
from ..files import is_file, shown
from .entries import IMPLICIT, MANIFEST, read_content
from .implicit_pack import BUNDLED_IMPLICIT, ImplicitPack
from .pack import BUNDLED_PACK, ModelPack

AnyPack = ModelPack | ImplicitPack


def list_packs(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """The bundled packs, then the sub-folders of the models folders that hold a manifest.

    Args:
        folders: models folders; the host's (`host.current().models_folders()`) when None.

    Returns:
        Name → folder, `bundled` and `bundled-implicit` first, others by their folder's name. Where two share a name
        the first one is kept.
    """
    candidates = [("bundled", BUNDLED_PACK), ("bundled-implicit", BUNDLED_IMPLICIT)]
    for models in host.current().models_folders() if folders is None else folders:
        if models.is_dir():
            candidates += sorted((path.name, path) for path in models.iterdir() if path.is_dir())
    packs: dict[str, Path] = {}
    for name, folder in candidates:
        if (folder / MANIFEST).is_file():
            packs.setdefault(name, folder)
    return packs


def open_pack(name: str, folders: Iterable[Path] | None = None) -> AnyPack:
    """Open a pack of either method.

    Args:
        name: its name in `list_packs`, or its folder.
        folders: models folders, as in `list_packs`.

    Raises:
        InputError: there is none of that name, or it is not usable.
    """
    folder = _folder(name, folders)
    implicit = read_content(folder).get("method") == IMPLICIT
    return ImplicitPack.load(folder) if implicit else ModelPack.load(folder)


def find_pack(name: str, folders: Iterable[Path] | None = None) -> ModelPack:
    """Open a pack with a face model; arguments as `open_pack`.

    Raises:
        InputError: there is none of that name, it is not usable, or it is for implicit motion.
    """
    return ModelPack.load(_folder(name, folders))


def find_implicit_pack(name: str, folders: Iterable[Path] | None = None) -> ImplicitPack:
    """Open a pack for implicit motion; arguments as `open_pack`.

    Raises:
        InputError: there is none of that name, it is not usable, or it has a face model.
    """
    return ImplicitPack.load(_folder(name, folders))


def _folder(name: str, folders: Iterable[Path] | None) -> Path:
    packs = list_packs(folders)
    if name in packs:
        return packs[name]
    if is_file(Path(name) / MANIFEST):
        return Path(name)
    known = ", ".join(packs) or "none"
    raise InputError(f"There is no model pack '{shown(name)}'; the packs found are: {known}.")
