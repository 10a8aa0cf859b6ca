"""The lock of an output folder: one batch at a time, known by process and machine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import alive, read_json

_WRITING_SECONDS = 5  # a lock without content is being written, or was left so by a crash


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock while the block lasts. That of a process that is dead on this machine is taken over.

    Args:
        path: of the lock file; its folder exists.

    Raises:
        InputError: another process holds it.
    """
    if not _create(path):
        _take_over(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _create(path: Path) -> bool:
    """Write the lock where there is none; False where there is one."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
    except FileExistsError:
        return False
    return True


def _take_over(path: Path) -> None:
    """Replace the lock of a dead process. Raises InputError where its owner may be alive."""
    _refuse_living(path)
    new = path.with_name(f"{path.name}.new")  # made by one process alone, which then looks again
    if not _create(new):
        _refuse_living(new)
        new.unlink(missing_ok=True)
        if not _create(new):
            _refuse_living(new)
    try:
        _refuse_living(path)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _refuse_living(path: Path) -> None:
    """Raises InputError where the owner of a lock may be alive."""
    owner = _owner(path)
    if owner is None:
        if not _is_new(path):
            return
        who = "it has just begun"
    else:
        pid, host = owner
        if host == socket.gethostname() and (pid == os.getpid() or not alive(pid)):
            return
        who = f"process {pid} on {host}"
    raise InputError(
        f"Another batch works in {path.parent.parent} ({who}); wait for its end, or delete {path} if there is none."
    )


def _is_new(path: Path) -> bool:
    """Whether a file was written a moment ago, by the clock of its file system; False where there is none."""
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent) as now:
            return os.stat(now.name).st_mtime - path.stat().st_mtime < _WRITING_SECONDS
    except OSError:
        return False


def _owner(path: Path) -> tuple[int, str] | None:
    """Process and machine in a lock; None where it is gone or was never finished."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = read_json(path)
        return int(content["pid"]), str(content["host"])
    return None
