"""Next free output path (`prefix_00001_`), as ComfyUI numbers files."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from .. import host
from ..errors import InputError

FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')  # in names on Windows: they become _ everywhere, so that graphs travel


class OutputPath(NamedTuple):
    """A free number in a folder: `output.file(".mp4")` is `folder/name_00001_.mp4`.

    Attributes:
        folder: absolute path, which exists.
        name: file name in front of the number.
        counter: the free number.
        subfolder: the folder's path below the output folder, with /; empty for the output folder itself.
    """

    folder: Path
    name: str
    counter: int
    subfolder: str

    def file(self, suffix: str, offset: int = 0) -> Path:
        """The path with the given suffix and a number greater by `offset`."""
        return self.folder / f"{self.name}_{self.counter + offset:05}_{suffix}"


def next_output_path(root: str | Path, prefix: str, width: int = 0, height: int = 0) -> OutputPath:
    r"""The next free number of `prefix` below `root`; its folders are made.

    Args:
        root: the output folder.
        prefix: file name, with folders in front of it that are separated by / or \; may hold %width%, %height%, %year%,
            %month%, %day%, %hour%, %minute% and %second%.
        width: of the images, in pixels.
        height: likewise.

    Raises:
        InputError: the prefix leaves `root`, or a folder cannot be made or read.
    """
    root = Path(root).resolve()
    target = _below(root, prefix, width, height)
    folder, name = target.parent, target.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    numbered = re.compile(re.escape(name) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE)
    used = [int(match.group(1)) for match in map(numbered.match, present) if match]
    subfolder = folder.relative_to(root).as_posix()
    return OutputPath(folder, name, max(used, default=0) + 1, "" if subfolder == "." else subfolder)


def check_output_path(prefix: str) -> None:
    """Check a prefix against the host's output folder, without making anything.

    Raises:
        InputError: `next_output_path` would refuse it, or its folder is read-only.
    """
    folder = _below(host.current().output_folder().resolve(), prefix).parent
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise _unwritable(folder, f"{existing} is a file")
    if not os.access(existing, os.W_OK):
        raise _unwritable(folder, f"{existing} is read-only")


def _below(root: Path, prefix: str, width: int = 0, height: int = 0) -> Path:
    """`root`/`prefix` with its %words% filled in; raises `InputError` if that is not inside `root`."""
    now = time.localtime()
    words = {
        "width": str(width),
        "height": str(height),
        "year": str(now.tm_year),
        "month": f"{now.tm_mon:02}",
        "day": f"{now.tm_mday:02}",
        "hour": f"{now.tm_hour:02}",
        "minute": f"{now.tm_min:02}",
        "second": f"{now.tm_sec:02}",
    }
    for word, value in words.items():
        prefix = prefix.replace(f"%{word}%", value)
    drive = PureWindowsPath(prefix).drive
    target = (root / FORBIDDEN.sub("_", prefix.replace("\\", "/"))).resolve()
    if drive or root not in target.parents:
        raise InputError(f"The file name prefix '{prefix}' leaves the output folder {root}; use a name inside it.")
    return target


def _unwritable(folder: Path, reason: str) -> InputError:
    return InputError(f"The folder {folder} cannot be written ({reason}); choose another one.")
