"""Input and output files of a run: finding, kinds, free names, frame counts."""

from __future__ import annotations

import mimetypes
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import is_file, shown
from ..mimaface_core.media.container import open_container

NOUNS = {"image": "an image", "video": "a video", "audio": "an audio file"}
LOADERS = {"image": "LoadImage", "video": "LoadVideo", "audio": "LoadAudio"}
ACCEPTED_KINDS = {"image": {"image"}, "video": {"video"}, "audio": {"audio", "video"}}  # by kind of upload button


def find_input(name: str, folders: Sequence[Path]) -> Path | None:
    """Find an input file.

    Args:
        name: a path, or a name in one of the folders; ` [input]` behind it, as ComfyUI writes it, is ignored.
        folders: searched in their order.

    Returns:
        The absolute path; None where there is no such file.
    """
    name = name.removesuffix("[input]").strip()
    if not name:
        return None
    for folder in [Path(), *folders]:
        path = folder / os.path.expanduser(name)
        if is_file(path):
            return path.absolute()
    return None


def kinds(path: Path) -> set[str]:
    """The kinds that a file can be taken for, of `image`, `video` and `audio`; empty where that is unknown."""
    from PIL import Image

    from ..mimaface_core.media.image import DAMAGED, open_lazily

    try:
        with open_lazily(path) as image:
            moving = getattr(image, "is_animated", False)
            return {"image", "video"} if moving or image.format == "GIF" else {"image"}
    except Image.DecompressionBombError:
        return {"image"}
    except DAMAGED:
        kind = (mimetypes.guess_type(path.name, strict=False)[0] or "").partition("/")[0]
        return {kind} & set(NOUNS)


def file_fault(path: Path, kind: str) -> str | None:
    """The reason why a file does not fit an input, with the remedy.

    Args:
        path: the file.
        kind: of the input's upload button: `image`, `video`, `audio` or `file`.

    Returns:
        None where the file fits, or its kind is unknown.
    """
    present = kinds(path)
    if kind not in ACCEPTED_KINDS or not present or present & ACCEPTED_KINDS[kind]:
        return None
    other = next(other for other in NOUNS if other in present)
    return (
        f"'{path}' is {NOUNS[other]}, but this node takes {NOUNS[kind]}; give {NOUNS[kind]}, or use a graph with"
        f" a {LOADERS[other]} node here."
    )


def require_writable(folder: Path) -> None:
    """Check that files can be written in a folder, which need not exist yet.

    Raises:
        InputError: they cannot.
    """
    existing = folder.absolute()
    try:
        while not existing.exists() and existing.parent != existing:
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
        os.stat(folder)
    except FileNotFoundError:
        return  # it can be made
    except OSError as problem:
        raise InputError(
            f"The output folder {shown(folder)} cannot be written ({problem.strerror});"
            " choose another with --output-dir."
        ) from problem


def free_path(path: Path) -> Path:
    """`path`, or where a file is there already, the first of `path-1`, `path-2`, … that is free."""
    free, number = path, 0
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def shown_files(shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The files in a node's `ui`, in ComfyUI's notation: `filename`, `subfolder`, `type`."""
    return [
        entry
        for entries in shown.values()
        if isinstance(entries, (list, tuple))
        for entry in entries
        if isinstance(entry, dict) and "filename" in entry
    ]


def count_frames(paths: Sequence[Path]) -> int:
    """Frames of the first video among `paths`; without one, the number of images."""
    import av

    for path in paths:
        if path.is_file() and "video" in kinds(path):
            try:
                with open_container(path, path.name) as container:
                    if container.streams.video:
                        stream = container.streams.video[0]
                        return sum(1 for packet in container.demux(stream) if packet.size)
            except (av.FFmpegError, InputError):
                continue
    images = [child for path in paths for child in (path.iterdir() if path.is_dir() else [path])]
    return sum(1 for path in images if "image" in kinds(path))
