"""Which process works in a folder: a file with its number and machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from pathlib import Path

from .files import alive, parse_json, read_text

_WRITING_SECONDS = 5  # a mark without content is being written, or was left so by a crash


class ProcessMark:
    """A file that says which process works in a folder. One that a process of this machine left when it died is free.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def holder(self) -> str | None:
        """Who else may hold the mark, for a message; None where nobody does."""
        return _holder(self.path)

    def take(self) -> bool:
        """Put this process's mark there; of several that try at once, one succeeds.

        Returns:
            False where another one holds it.

        Raises:
            OSError: the file cannot be written.
        """
        return _create(self.path) or self._take_over()

    def release(self) -> None:
        """Remove the mark."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _take_over(self) -> bool:
        """Replace the mark of a dead process by a new one, which one process alone makes; it then looks again."""
        if _holder(self.path):
            return False
        new = self.path.with_name(f"{self.path.name}.new")
        if not _create(new):
            if _holder(new):
                return False
            new.unlink(missing_ok=True)
            if not _create(new):
                return False
        try:
            if _holder(self.path):
                return False
            os.replace(new, self.path)
        finally:
            new.unlink(missing_ok=True)
        return True


def own_mark() -> str:
    """What the mark of this process says."""
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname()})


def holder_in(mark: str) -> str | None:
    """Who else may hold a mark, by what it says; None where nobody does. Raises ValueError where it is none."""
    try:
        content = parse_json(mark)
        pid, host = int(content["pid"]), str(content["host"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"no mark of a process: {error}") from error
    free = pid == os.getpid() or not alive(pid)  # a container gives the number of a dead process again
    return None if host == socket.gethostname() and free else f"process {pid} on {host}"


def _create(path: Path) -> bool:
    """Write a mark where there is none; False where there is one."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(own_mark())
    except FileExistsError:
        return False
    return True


def _holder(path: Path) -> str | None:
    """Who else may hold a mark; None where nobody does."""
    try:
        return holder_in(read_text(path))
    except (OSError, ValueError):
        return "it has just begun" if _is_new(path) else None


def _is_new(path: Path) -> bool:
    """Whether a file was written a moment ago, by the clock of its file system; False where there is none."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent) as now:
            return os.stat(now.name).st_mtime - path.stat().st_mtime < _WRITING_SECONDS
    except OSError:
        return False
