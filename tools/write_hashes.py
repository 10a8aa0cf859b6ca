"""Writes SHA256SUMS: the hash of every bundled file that nobody can read as text.

`python tools/write_hashes.py`, in a clone; `sha256sum --check SHA256SUMS` compares a copy with it.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "SHA256SUMS"
KINDS = (".safetensors", ".mp4", ".ogg", ".jpg", ".png")


def bundled(root: Path = ROOT) -> list[Path]:
    """The files that the repository carries, sorted."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True).stdout
    files = (root / name for name in listed.split("\0") if name.endswith(KINDS) and not name.startswith("tests/"))
    return sorted(file for file in files if file.is_file())


def sums(files: list[Path], root: Path = ROOT) -> str:
    """Lines as sha256sum writes them."""
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(root).as_posix()}\n" for file in files
    )


if __name__ == "__main__":
    RECORD.write_text(sums(bundled()), encoding="utf-8")
