"""A user's videos for training: which there are in a folder, who is in them, and their frames."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from torch import Tensor

from ...errors import InputError
from ...media.read import Clip, read_image

VIDEOS = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv")
PICTURES = (".png", ".jpg", ".jpeg")
RATE = 25  # frames a second that are wanted; faster videos are thinned out
VOXCELEB = re.compile(r"id\d{5}(?!\d)")
VFHQ = re.compile(r"Clip\+(.+\+P\d+)\+C\d+")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Footage:
    """One video: a file, or a folder whose pictures are its frames in the order of their names.

    name: the path from the folder that was given, which is its first part. person: who is in it.
    """

    path: Path
    name: str
    person: str

    def state(self) -> list[int]:
        """What changes when the video does: bytes (of a folder, frames) and time of the last change."""
        if not self.path.exists():  # a link that leads nowhere
            return []
        files = frame_files(self.path) if self.path.is_dir() else [self.path]
        size = len(files) if self.path.is_dir() else self.path.stat().st_size
        return [size, max((file.stat().st_mtime_ns for file in files), default=0)]

    def frames(self) -> Iterator[Tensor]:
        """Its frames, uint8 [H, W, 3], one at a time, of a file about 25 a second.

        What is damaged ends, with a logged warning, at the last good frame. Raises InputError when there is none.
        """
        if self.path.is_dir():
            return self._pictures()
        clip = Clip.open(self.path)
        return islice(clip, 0, None, max(1, round(clip.fps / RATE)))

    def _pictures(self) -> Iterator[Tensor]:
        for number, file in enumerate(frame_files(self.path)):
            try:
                picture = read_image(file)
            except InputError as error:
                if not number:
                    raise
                _log.warning("%s: only the %d frames before are used; %s", self.name, number, error)
                return
            yield (picture * 255).round().byte()


def find_footage(folder: Path) -> list[Footage]:
    """Every video below a folder, in the order of their names.

    A folder that holds pictures and no video is a video itself. Raises InputError when the folder is missing or has
    none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the videos.")
    root, found = PurePosixPath(folder.resolve().name), []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        videos = [Path(place, name) for name in files if name.lower().endswith(VIDEOS) and not name.startswith(".")]
        for path in videos or ([Path(place)] if frame_files(Path(place)) else []):
            # names that are no UTF-8 become readable
            below = PurePosixPath(path.relative_to(folder).as_posix().encode("utf-8", "replace").decode())
            found.append(Footage(path, str(root / below), person_of(below) if below.name else root.name))
    if not found:
        raise InputError(
            f"{folder} holds no videos; put {', '.join(VIDEOS[:4])} files or folders of PNG or JPEG frames there."
        )
    return sorted(found, key=lambda footage: footage.name)


def frame_files(folder: Path) -> list[Path]:
    """The pictures right in a folder, by name, where 10 comes after 9."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in PICTURES and not file.name.startswith(".")]
    return sorted(
        files, key=lambda file: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file.name)]
    )


def person_of(path: PurePosixPath) -> str:
    """Who is in a video, by its path below the data folder.

    VoxCeleb's identity (id00012) where a part of the path begins with one, VFHQ's video and person (Clip+VIDEO+P0+C1+…),
    else the first folder, else the file's own name.
    """
    for part in path.parts:
        if known := VOXCELEB.match(part):
            return known.group()
    if known := VFHQ.match(path.name):
        return known.group(1)
    return path.parts[0] if len(path.parts) > 1 else path.stem
