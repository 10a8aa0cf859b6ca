"""Next free output path (`prefix_00001_`), as ComfyUI numbers files."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from .. import host
from ..errors import InputError
from ..files import shown

FORBIDDEN = re.compile(
    r'[<>:"|?*\x00-\x1f\ud800-\udfff]'
)  # in names on Windows: they become _ everywhere, so that graphs travel

_DATE = re.compile(r"%date:([^%]*)%")
_DATE_PART = re.compile("dd?|MM?|hh?|mm?|ss?|yyyy|yyy|yy")  # as ComfyUI's page reads them
_LONGEST_NAME_BYTES, _LONGEST_PATH_BYTES = 255, 4000  # of the usual file systems
_WIDEST = 99999  # pixels, for the length of names whose images are not known yet


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


def _real(path: str | Path) -> Path:
    """The absolute path without links; `Path.resolve` ends in RuntimeError where links form a loop."""
    return Path(os.path.realpath(path))


def next_output_path(root: str | Path, prefix: str, width: int = 0, height: int = 0) -> OutputPath:
    r"""The next free number of `prefix` below `root`; its folders are made.

    Args:
        root: the output folder.
        prefix: file name, with folders in front of it that are separated by / or \; may hold %width%, %height%, %year%,
            %month%, %day%, %hour%, %minute%, %second% and %date:yyyy-MM-dd hh-mm-ss%.
        width: of the images, in pixels.
        height: likewise.

    Raises:
        InputError: the prefix leaves `root`, or a folder cannot be made or read.
    """
    root = _real(root)
    target = _below(root, prefix, width, height)
    folder, name = target.parent, target.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_length(target, "")
        present = [entry.name for entry in folder.iterdir()]
    except OSError as error:
        raise _unwritable(folder, error.strerror or str(error)) from error
    numbered = re.compile(re.escape(name) + r"_(\d+)(?:_|\.|$)", re.IGNORECASE)
    used = [int(match.group(1)) for match in map(numbered.match, present) if match]
    subfolder = folder.relative_to(root).as_posix()
    return OutputPath(folder, name, max(used, default=0) + 1, "" if subfolder == "." else subfolder)


def check_output_path(prefix: str, suffix: str = "") -> None:
    """Check a prefix against the host's output folder, without making anything.

    Args:
        prefix: as for `next_output_path`.
        suffix: the longest one that `OutputPath.file` will be asked for.

    Raises:
        InputError: `next_output_path` would refuse it, its folder is read-only, or the name is too long.
    """
    target = _below(_real(host.current().output_folder()), prefix, _WIDEST, _WIDEST)
    _check_length(target, suffix)
    folder = target.parent
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise _unwritable(folder, f"{existing} is {'a link to nothing' if existing.is_symlink() else 'a file'}")
    if not os.access(existing, os.W_OK):
        raise _unwritable(folder, f"{existing} is read-only")


def _check_length(target: Path, suffix: str) -> None:
    """Refuse a path of which a name, or the whole, is longer in bytes than file systems take."""
    path = target.with_name(f"{target.name}_00001_{suffix}")
    longest = max(path.parts, key=lambda part: len(os.fsencode(part)))
    excess = max(len(os.fsencode(longest)) - _LONGEST_NAME_BYTES, len(os.fsencode(path)) - _LONGEST_PATH_BYTES)
    if excess > 0:
        raise InputError(
            f"The file name '{shown(longest)}' is too long by {excess} bytes (letters beyond a to z take several);"
            " shorten the prefix."
        )


def _formatted(pattern: str, now: time.struct_time) -> str:
    """A date by a pattern such as yyyy-MM-dd; what is no part of it stays."""
    values = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def part(match: re.Match[str]) -> str:
        letters = match.group()
        if letters[0] == "y":
            return {"yy": str(now.tm_year)[2:], "yyyy": str(now.tm_year)}.get(letters, letters)
        return str(values[letters[0]]).zfill(len(letters))

    return _DATE_PART.sub(part, pattern)


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
    prefix = _DATE.sub(lambda match: _formatted(match[1], now), prefix)
    for word, value in words.items():
        prefix = prefix.replace(f"%{word}%", value)
    drive = PureWindowsPath(prefix).drive
    target = _real(root / FORBIDDEN.sub("_", prefix.replace("\\", "/")))
    if drive or root not in target.parents:
        raise InputError(f"The file name prefix '{prefix}' leaves the output folder {root}; use a name inside it.")
    return target


def _unwritable(folder: Path, reason: str) -> InputError:
    return InputError(f"The folder {folder} cannot be written ({reason}); choose another one.")
