"""What the manifests of all model packs have: parts with weights, files, notes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..files import is_file, read_json, shown

MANIFEST = "manifest.json"
HOME = "https://huggingface.co/MIMAFace/MIMAFace"  # of the released weights
FORMAT = 1  # the newest format of manifests that can be read
REMEDY = "correct it or install the pack again"
IMPLICIT = "implicit"  # entry `method` of a pack for implicit motion; packs of the face model have no such entry
IMPLICIT_NODES = "Encode Implicit, Speak Implicit, Drive Implicit and Render Implicit"


@dataclass(frozen=True, kw_only=True)
class PartEntry:
    """A part with weights.

    Attributes:
        file: name of its safetensors file in the pack's folder.
        config: arguments of its class, which refuses those that it does not have.
        class_name: key of `parts.BUILDERS[part]`; in the file `class`.
    """

    file: str
    config: dict[str, Any]
    class_name: str | None = field(default=None, metadata={"key": "class"})


@dataclass(frozen=True)
class FileRecord:
    """Hash (hexadecimal) and size of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PackNotes:
    """Free-form entries of a manifest, which nothing reads."""

    description: object = None
    author: object = None
    homepage: object = None
    license: object = None
    licence: object = None
    attribution: object = None
    training: object = None
    notes: object = None


@dataclass(frozen=True, kw_only=True)
class PackManifest(PackNotes, ABC):
    """The manifest of a pack, whatever its method.

    Attributes:
        sources: files that a converted pack was made from, by their places in the folder.
        files: the pack's own files, to be verified.
    """

    name: str
    version: str
    format: int = FORMAT
    sources: dict[str, FileRecord] | None = None
    files: dict[str, FileRecord] = field(default_factory=dict)

    @property
    @abstractmethod
    def remake(self) -> str:
        """How a converted pack is made again, from `FOLDER`."""

    @property
    def parts(self) -> dict[str, PartEntry]:
        """Entries of the parts with weights that the pack brings, by their names in the file."""
        named = {part.metadata.get("key", part.name): getattr(self, part.name) for part in fields(self)}
        return {name: entry for name, entry in named.items() if isinstance(entry, PartEntry)}

    @property
    def weight_files(self) -> dict[str, str]:
        """File names of the parts with weights."""
        return {name: entry.file for name, entry in self.parts.items()}

    def check_names(self) -> None:
        """Raises ValueError where the name of a file leads out of the pack's folder."""
        for name, file in self.weight_files.items():
            if Path(file).name != file:
                raise ValueError(f"'{name}.file' is not a file name")

    def check_files(self, folder: Path) -> None:
        """Refuse a pack whose files are not all there.

        Raises:
            InputError: the sentence names every missing file, where to get it and where to put it.
        """
        missing = [shown(file) for file in self.weight_files.values() if not is_file(folder / file)]
        if missing:
            raise InputError(
                f"The pack '{self.name}' is not whole: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not"
                f" there; {self._source(folder)}."
            )

    def _source(self, folder: Path) -> str:
        """Where to get the files of the pack, and where to put them."""
        if self.sources is not None:
            return f"make the pack again with {self.remake.replace('FOLDER', str(folder))}"
        if folder.parent == Path(__file__).parent:
            return f"install this project again: they belong into {folder}"
        return f"copy them from where the pack came from into {folder}"


def read_content(folder: Path) -> dict[str, Any]:
    """The content of the `manifest.json` in a folder.

    Raises:
        InputError: there is none, it cannot be read, or a newer version wrote it.
    """
    path = folder / MANIFEST
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no model pack: {MANIFEST} is missing; choose a pack's folder.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); install the pack again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object; install the pack again.")
    newest = content.get("format", FORMAT)
    if not isinstance(newest, int) or newest > FORMAT:
        raise InputError(f"{path} is of format {newest}, which a newer version of this project reads; update it.")
    return content
