"""The lock of a batch's own folder: one at a time works there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..mimaface_core.errors import InputError
from ..mimaface_core.process_mark import ProcessMark


@contextmanager
def writable(place: str) -> Iterator[None]:
    """Raises InputError where the batch's own files, in a folder or below an address, cannot be written any more."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{place} cannot be written any more ({error.strerror or error}); make room, and give the same command"
            " again: what is finished is kept."
        ) from error


@contextmanager
def locked(state: Path, option: str) -> Iterator[None]:
    """Hold a folder for this process while the block lasts; the folder is made.

    Args:
        state: the folder.
        option: that named the folder which it belongs to, with its value, for messages.

    Raises:
        InputError: another process holds it, or it cannot be written.
    """
    mark = ProcessMark(state / "lock")
    try:
        state.mkdir(parents=True, exist_ok=True)
        taken = mark.take()
    except OSError as error:
        raise InputError(f"{option} cannot be written ({error.strerror}); choose another.") from error
    if not taken:
        raise InputError(
            f"Another batch works in {option.partition(' ')[2]} ({mark.holder() or 'it has just begun'}); wait for its"
            f" end, or delete {mark.path} if there is none."
        )
    try:
        yield
    finally:
        mark.release()
