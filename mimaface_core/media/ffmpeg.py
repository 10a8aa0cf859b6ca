"""ffmpeg as a child process that is fed through a pipe, cancelled with the run, and asked why it failed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from .. import host
from ..errors import InputError

if TYPE_CHECKING:
    from typing_extensions import Self

_POLL_SECONDS = 0.2  # between two looks at whether the user has cancelled
_LOG = "log.txt"
# In a process group of its own: Ctrl-C then reaches only us, and we decide what happens to the file.
if sys.platform == "win32":
    _CREATION_FLAGS = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
else:
    _CREATION_FLAGS = 0


class EncoderFailed(OSError):
    """ffmpeg ended with an error."""


class Ffmpeg:
    """One running ffmpeg; a context manager that kills it if it has not finished.

    Args:
        folder: working folder, which the paths among the arguments start from; ffmpeg's messages are logged there.
        arguments: of the command line, between the general ones and the end; `pipe:0` is what `feed` is given.

    Raises:
        InputError: ffmpeg was not found.
    """

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        with open(folder / _LOG, "wb") as log:
            self._process = subprocess.Popen(
                [_program(), "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=folder,
                start_new_session=sys.platform != "win32",
                creationflags=_CREATION_FLAGS,
            )

    @property
    def _pipe(self) -> IO[bytes]:
        assert self._process.stdin is not None  # since it is a PIPE
        return self._process.stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        with suppress(OSError):  # The pipe may still hold bytes for the process that is gone.
            self._pipe.close()

    def feed(self, data: bytes | memoryview) -> None:
        """Write to ffmpeg's standard input; raises `OSError` if ffmpeg has ended."""
        self._pipe.write(data)

    def finish(self) -> None:
        """End the input and wait for ffmpeg.

        Raises:
            EncoderFailed: ffmpeg ended with an error.
            Cancelled: the user has asked to stop.
        """
        self._pipe.close()
        while True:
            host.current().check_cancelled()
            try:
                status = self._process.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                continue
        if status != 0:
            raise EncoderFailed(f"ffmpeg ended with status {status}")


def run(folder: Path, arguments: list[str]) -> None:
    """Run ffmpeg in `folder` on files alone; raises as `Ffmpeg` and its `finish`."""
    with Ffmpeg(folder, arguments) as process:
        process.finish()


def last_message(folder: Path) -> str:
    """The last line that the latest ffmpeg in `folder` logged; empty if there is none."""
    log = folder / _LOG
    lines = log.read_text("utf-8", "replace").strip().splitlines() if log.exists() else []
    return lines[-1] if lines else ""


def write_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Write `metadata` as an input file of ffmpeg's: a workflow can be longer than a command line may be."""
    escape = str.maketrans({char: "\\" + char for char in "=;#\\\n"})
    lines = [f"{key.translate(escape)}={value.translate(escape)}\n" for key, value in metadata.items()]
    path.write_text(";FFMETADATA1\n" + "".join(lines), encoding="utf-8", newline="\n")


def _program() -> str:
    import imageio_ffmpeg

    try:
        program = imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise InputError("ffmpeg was not found; reinstall imageio-ffmpeg, which contains it.") from error
    return os.path.abspath(shutil.which(program) or program)
