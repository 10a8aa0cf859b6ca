"""Where the next file of a prefix goes: ComfyUI's `prefix_00001_` numbering, in its folders or the runner's."""

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
    """A free place in a folder: `place.file(".mp4")` is `folder/name_00001_.mp4`."""

    folder: Path
    name: str
    counter: int
    subfolder: str

    def file(self, suffix: str, offset: int = 0) -> Path:
        """The path with the given suffix, `offset` numbers further on."""
        return self.folder / f"{self.name}_{self.counter + offset:05}_{suffix}"


def next_output_path(root: str | Path, prefix: str, width: int = 0, height: int = 0) -> OutputPath:
    """The next free number of `prefix` (which may hold folders and %width%, %date% parts) below `root`.

    Folders may be parted by / or \\; they are made. Raises InputError where the prefix leaves `root` or a folder cannot
    be made.
    """
    root = Path(root).resolve()
    target = _below(root, prefix, width, height)
    folder, name = target.parent, target.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = [entry.name for entry in folder.iterdir()]
    except OSError as problem:
        raise _unwritable(folder, problem.strerror) from problem
    numbered = re.compile(re.escape(name) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE)
    used = [int(match.group(1)) for match in map(numbered.match, present) if match]
    subfolder = folder.relative_to(root).as_posix()
    return OutputPath(folder, name, max(used, default=0) + 1, "" if subfolder == "." else subfolder)


def check_output_path(prefix: str) -> None:
    """Raises InputError where `next_output_path` would refuse a prefix below the output folder; nothing is made yet."""
    folder = _below(host.current().output_folder().resolve(), prefix).parent
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise _unwritable(folder, f"{there} is a file")
    if not os.access(there, os.W_OK):
        raise _unwritable(folder, f"{there} is read-only")


def _below(root: Path, prefix: str, width: int = 0, height: int = 0) -> Path:
    """`root`/`prefix` with its %parts% filled in. Raises InputError where that is not inside `root`."""
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


def _unwritable(folder: Path, why: str) -> InputError:
    return InputError(f"The folder {folder} cannot be written ({why}); choose another one.")
