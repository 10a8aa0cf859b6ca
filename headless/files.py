"""Finding the files that a graph names and telling pictures, clips and sounds apart."""

from __future__ import annotations

import mimetypes
import tempfile
from pathlib import Path

from ..mimaface_core.errors import InputError

NOUNS = {"image": "a picture", "video": "a video", "audio": "a sound file"}
LOADERS = {"image": "LoadImage", "video": "LoadVideo", "audio": "LoadAudio"}
TAKES = {"image": {"image"}, "video": {"video"}, "audio": {"audio", "video"}}


def find_input(name: str, folders: list[Path]) -> Path | None:
    """The file of that path, or of that name in the first folder that has it; ` [input]` behind it is ignored."""
    name = name.removesuffix("[input]").strip()
    if not name:
        return None
    for folder in [Path(), *folders]:
        path = folder / Path(name).expanduser()
        if path.is_file():
            return path.absolute()
    return None


def kinds(path: Path) -> set[str]:
    """What a file can be taken for: of `image`, `video`, `audio`; empty where that is unknown."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            moving = getattr(picture, "is_animated", False)
            return {"image", "video"} if moving or picture.format == "GIF" else {"image"}
    except Image.DecompressionBombError:
        return {"image"}
    except (OSError, ValueError, SyntaxError):
        kind = (mimetypes.guess_type(path.name, strict=False)[0] or "").partition("/")[0]
        return {kind} & set(NOUNS)


def unsuited(path: Path, wanted: str) -> str | None:
    """Why a file cannot go into a node that takes `wanted`, with the remedy; None where it can."""
    found = kinds(path)
    if wanted not in TAKES or not found or found & TAKES[wanted]:
        return None
    kind = next(kind for kind in NOUNS if kind in found)
    return (
        f"'{path}' is {NOUNS[kind]}, but this node takes {NOUNS[wanted]}; give {NOUNS[wanted]}, or use a graph with"
        f" a {LOADERS[kind]} node here."
    )


def require_writable(folder: Path) -> None:
    """Raise InputError where files cannot be written in `folder` (which need not exist yet)."""
    existing = folder.absolute()
    while not existing.exists() and existing.parent != existing:
        existing = existing.parent
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as problem:
        raise InputError(
            f"The output folder {folder} cannot be written ({problem.strerror}); choose another with --output-dir."
        ) from problem


def free_path(path: Path) -> Path:
    """`path`, or where a file is there already, the first of `path-1`, `path-2`, … that is free."""
    free, number = path, 0
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def count_frames(paths: list[Path]) -> int:
    """Frames of the first video among `paths`; without one, the number of pictures."""
    import av

    for path in paths:
        if path.is_file() and "video" in kinds(path):
            try:
                with av.open(str(path)) as container:
                    if container.streams.video:
                        stream = container.streams.video[0]
                        return sum(1 for packet in container.demux(stream) if packet.size)
            except av.error.FFmpegError:
                continue
    pictures = [child for path in paths for child in (path.iterdir() if path.is_dir() else [path])]
    return sum(1 for path in pictures if "image" in kinds(path))
