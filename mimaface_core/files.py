"""File helpers: atomic writing, text and JSON reading, names in messages."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Temporary names are hidden and short, however long the final one is. Downloads that resume do without them: they
# need a name that the next run finds again.
_PREFIX = ".part-"
_LARGEST_TEXT_BYTES = 64 << 20  # a graph, manifest or list is far smaller
_DEEPEST = 100  # brackets in each other; what we read needs about ten
_LONGEST_SHOWN = 80  # letters of a name in a message


def is_file(path: str | Path) -> bool:
    """Whether a file is there; also False for a name that no file can have, such as one of 260 letters."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):
        return False


def shown(name: object) -> str:
    """A name for a message: its middle is left out where it is too long to read."""
    text, half = str(name), _LONGEST_SHOWN // 2
    return text if len(text) <= 3 * _LONGEST_SHOWN else f"{text[:half]}…{text[-half:]}"


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark, as editors save them.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text, or far too long.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > _LARGEST_TEXT_BYTES:
            raise ValueError(f"it is longer than {_LARGEST_TEXT_BYTES >> 20} MiB")
        content = file.read()
    return content.decode(json.detect_encoding(content))


def read_json(path: str | Path) -> Any:
    """The content of a JSON file in any of the encodings of `read_text`.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no text or no JSON (`json.JSONDecodeError`), or its brackets are nested too deeply.
    """
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """The content of a JSON text. Raises ValueError as `read_json`."""
    try:
        content = json.loads(text)
    except RecursionError as error:
        raise ValueError("its brackets are nested too deeply") from error
    level = [content]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return content
    raise ValueError("its brackets are nested too deeply")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix; what is written there replaces `path` when the block ends well.

    Whatever ends the block, no temporary file is left behind, and a `path` that was there stays whole until it is
    replaced at once. The folder must exist; errors of the file system (`OSError`) are the caller's to word.

    Args:
        path: the final file.

    Yields:
        The path to write to; nothing is there yet.
    """
    part = path.with_name(f"{_PREFIX}{uuid.uuid4().hex[:12]}{path.suffix}")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new hidden folder in `parent`, deleted with its content when the block ends, however it ends.

    For what takes several files or becomes a folder: `os.replace` moves the finished one out, within one file system.

    Args:
        parent: an existing folder.

    Yields:
        The path of the new folder.
    """
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
