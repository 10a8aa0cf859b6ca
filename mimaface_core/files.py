"""File helpers: atomic writing, leftovers of killed runs, text and JSON reading."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Temporary names are hidden and short, however long the final one is, and tell their process: by its machine, its
# number, and when it began, since a container gives the same number to every process. Downloads that resume do without
# them: they need a name that the next run finds again.
_MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_BEGUN = f"{time.time_ns():x}"
_PART = re.compile(r"\.part-([0-9a-f]{8})-([0-9]{1,10})-([0-9a-f]+)-[0-9a-f]+(?:\..*)?")
_swept: set[str] = set()  # folders whose leftovers this process has removed
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
    replaced at once. Of a process that is killed, the next one that writes into the folder removes what it left. The
    folder must exist; errors of the file system (`OSError`) are the caller's to word.

    Args:
        path: the final file.

    Yields:
        The path to write to; nothing is there yet.
    """
    if os.path.exists(path) and not is_file(path):  # a device, say, which is written to but not replaced
        raise FileExistsError(errno.EEXIST, "it is there, and is no file", str(path))
    part = path.with_name(_temporary_name(path.parent) + path.suffix)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new hidden folder in `parent`, deleted with its content when the block ends, however it ends.

    For what takes several files or becomes a folder: `os.replace` moves the finished one out, within one file system.
    Of a process that is killed, the next one that makes a file or folder in `parent` removes it.

    Args:
        parent: an existing folder.

    Yields:
        The path of the new folder, which nobody else may read.
    """
    folder = parent / _temporary_name(parent)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def alive(pid: int) -> bool:
    """Whether a process runs on this machine."""
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _temporary_name(folder: Path) -> str:
    """A name that tells this process; what dead ones have left in the folder is removed when it is first asked for."""
    where = os.path.abspath(folder)
    if where not in _swept:
        _swept.add(where)
        with contextlib.suppress(OSError):
            _sweep(where)
    return f"{_own_prefix()}{uuid.uuid4().hex[:8]}"


def _own_prefix() -> str:
    return f".part-{_MACHINE}-{os.getpid()}-{_BEGUN}-"


def _sweep(folder: str) -> None:
    with os.scandir(folder) as entries:
        leftovers = [entry.path for entry in entries if _is_leftover(entry.name)]
    for path in leftovers:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(path)


def _is_leftover(name: str) -> bool:
    """Whether a name is a temporary one of a process of this machine that is dead."""
    match = _PART.fullmatch(name)
    if match is None or match[1] != _MACHINE:
        return False
    pid = int(match[2])
    return match[3] != _BEGUN if pid == os.getpid() else not alive(pid)
