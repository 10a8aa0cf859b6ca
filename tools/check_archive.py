"""Refuses wheels and archives with files outside of their own folders: `python tools/check_archive.py dist/*`.

Absolute paths, drives, `..`, backslashes, links and devices (zip slip), and in a wheel everything but the package and
its dist-info. Exit status 1, with a line for each fault.
"""

from __future__ import annotations

import stat
import sys
import tarfile
import zipfile
from pathlib import Path

WHEEL = ("mimaface", ".dist-info")


def faults(path: Path) -> list[str]:
    """A line for each entry of an archive that has no place in it.

    Raises:
        OSError, zipfile.BadZipFile, tarfile.TarError: it cannot be read.
    """
    if path.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(path) as archive:
            # Some tools write no file type at all: that is a plain file.
            entries = [(one.filename, stat.S_IFMT(one.external_attr >> 16)) for one in archive.infolist()]
        found = [(name, kind in (0, stat.S_IFREG, stat.S_IFDIR)) for name, kind in entries]
    else:
        with tarfile.open(path) as archive:
            found = [(one.name, one.isreg() or one.isdir()) for one in archive.getmembers()]
    lines = [f"{path.name}: {name!r} is a link or device" for name, plain in found if not plain]
    lines += [f"{path.name}: {name!r} lies outside" for name, _ in found if _outside(name)]
    if path.suffix == ".whl":
        tops = {name.split("/")[0] for name, _ in found}
        lines += [f"{path.name}: {top!r} is not the package's" for top in sorted(tops) if not _own(top)]
    return lines


def _outside(name: str) -> bool:
    return name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")


def _own(top: str) -> bool:
    return top == WHEEL[0] or (top.startswith(f"{WHEEL[0]}-") and top.endswith(WHEEL[1]))


def main(paths: list[str]) -> int:
    """Check every archive; at least one has to be given."""
    if not paths:
        print("Name the wheels and archives to check.", file=sys.stderr)
        return 2
    found = [line for path in paths for line in faults(Path(path))]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
