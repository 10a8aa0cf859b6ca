"""SHA-256 of files and folders; each file is read once, until it changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

_BLOCK_BYTES = 1 << 20


def digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, that of the names and hashes of its files.

    Raises:
        OSError: it cannot be read.
    """
    if path.is_dir():
        return digest_of((file.relative_to(path).as_posix(), digest(file)) for file in files_of(path))
    summed = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            summed.update(block)
    return summed.hexdigest()


def digest_of(values: Iterable[object]) -> str:
    """SHA-256 of values that are JSON."""
    return hashlib.sha256(json.dumps(list(values), sort_keys=True).encode()).hexdigest()


def files_of(path: Path) -> list[Path]:
    """The files of a folder in order; a file itself."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]


def size_of(path: Path) -> int:
    """Bytes of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in files_of(path))


class FileHashes:
    """SHA-256 of files, kept until their size or time of writing changes."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[int, int], str]] = {}

    def of(self, path: Path) -> str:
        """SHA-256 of a file. Raises OSError where it cannot be read."""
        stat = path.stat()
        stamp = (stat.st_size, stat.st_mtime_ns)
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            known = self._known[path] = (stamp, digest(path))
        return known[1]
