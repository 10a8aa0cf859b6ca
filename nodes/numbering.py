"""Where the next file of a prefix goes: ComfyUI's `prefix_00001_` numbering, in its folders or the runner's."""

from __future__ import annotations

import re
import time
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from ..mimaface_core.errors import InputError

FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')  # in names on Windows: they become _ everywhere, so that graphs travel


class Place(NamedTuple):
    """A free place in a folder: `place.file(".mp4")` is `folder/name_00001_.mp4`."""

    folder: Path
    name: str
    counter: int
    subfolder: str

    def file(self, suffix: str, offset: int = 0) -> Path:
        """The path with the given suffix, `offset` numbers further on."""
        return self.folder / f"{self.name}_{self.counter + offset:05}_{suffix}"


def next_place(root: str | Path, prefix: str, width: int = 0, height: int = 0) -> Place:
    """The next free number of `prefix` (which may hold folders and %width%, %date% parts) below `root`.

    Folders may be parted by / or \\; they are made. Raises InputError where the prefix leaves `root` or a folder cannot
    be made.
    """
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
    prefix = FORBIDDEN.sub("_", prefix.replace("\\", "/"))
    root = Path(root).resolve()
    target = (root / prefix).resolve()
    folder, name = target.parent, target.name
    if drive or root not in target.parents:
        raise InputError(
            f"The file name prefix '{prefix}' leaves the output folder {root}; use a name inside it."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = [entry.name for entry in folder.iterdir()]
    except OSError as problem:
        raise InputError(
            f"The folder {folder} cannot be written ({problem.strerror}); choose another one."
        ) from problem
    numbered = re.compile(re.escape(name) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE)
    used = [int(match.group(1)) for match in map(numbered.match, present) if match]
    subfolder = folder.relative_to(root).as_posix()
    return Place(folder, name, max(used, default=0) + 1, "" if subfolder == "." else subfolder)
