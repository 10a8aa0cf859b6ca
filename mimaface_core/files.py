"""Files that are whole or absent: write beside the target, then rename."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Temporary names are hidden and short, however long the final one is. Downloads that resume do without them: they
# need a name that the next run finds again.
_PREFIX = ".part-"
_LONGEST_SHOWN = 80  # letters of a name in a message


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that is too long for any file is no error."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def shortened(name: str | Path) -> str:
    """A name or path for a message, with its middle left out where it is long."""
    text = str(name)
    half = _LONGEST_SHOWN // 2
    return text if len(text) <= 3 * _LONGEST_SHOWN else f"{text[:half]}…{text[-half:]}"


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
