"""Videos below a folder, each with the label of the person in it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath

from ...errors import InputError
from ...media.frames import Frames

VIDEO_SUFFIXES = (".mp4", ".mov", ".webm", ".mkv", ".avi", ".m4v", ".mpg", ".mpeg", ".wmv")
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
FPS = 25  # of the samples; faster videos are thinned out
VOXCELEB_PERSON = re.compile(r"id\d{5}(?!\d)")
VFHQ_PERSON = re.compile(r"Clip\+(.+\+P\d+)\+C\d+")


@dataclass(frozen=True)
class PersonVideo:
    """One video of one person.

    Attributes:
        path: a file, or a folder of images that are its frames.
        name: path that begins with the name of the folder that was searched.
        person: label of the identity.
    """

    path: Path
    name: str
    person: str

    @property
    def stem(self) -> str:
        """Name for files that are made of it: readable, and no other's."""
        # no dots: readers of tar files take the part before the first one for the sample's name
        readable = re.sub(r"\W+", "-", self.name, flags=re.ASCII)[-80:].strip("-")
        return f"{readable}-{sha256(self.name.encode()).hexdigest()[:10]}"

    def state(self) -> list[int]:
        """Size and time of the last change (ns), by which a changed video is recognised; of a folder, its images."""
        if not self.path.exists():  # a broken link
            return []
        files = frame_files(self.path) if self.path.is_dir() else [self.path]
        size = len(files) if self.path.is_dir() else self.path.stat().st_size
        return [size, max((file.stat().st_mtime_ns for file in files), default=0)]

    def frames(self) -> Frames:
        """Frames uint8 [H, W, 3], streamed; of a file about 25 a second.

        A damaged video ends at the last good frame, with a logged warning.

        Raises:
            InputError: no frame can be read.
        """
        if self.path.is_dir():
            return Frames.of_stills(frame_files(self.path))
        return Frames.of_video(self.path).thinned(FPS)


def find_videos(folder: Path) -> list[PersonVideo]:
    """Every video below a folder, sorted by name; a folder of images without videos is a video itself.

    Raises:
        InputError: the folder is missing or holds no video.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the folder that holds the videos.")
    root, videos = PurePosixPath(folder.resolve().name), []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in files if name.lower().endswith(VIDEO_SUFFIXES) and name[0] != "."]
        for path in paths or ([Path(place)] if frame_files(Path(place)) else []):
            # a name that is no UTF-8 becomes readable
            below = PurePosixPath(path.relative_to(folder).as_posix().encode("utf-8", "replace").decode())
            videos.append(PersonVideo(path, str(root / below), person_of(below) if below.name else root.name))
    if not videos:
        raise InputError(
            f"{folder} holds no videos; put {', '.join(VIDEO_SUFFIXES[:4])} files or folders of PNG or JPEG frames "
            "there."
        )
    return sorted(videos, key=lambda video: video.name)


def frame_files(folder: Path) -> list[Path]:
    """Images directly in a folder, in natural order: 10 comes after 9."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
    return sorted(
        files, key=lambda file: [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file.name)]
    )


def person_of(path: PurePosixPath) -> str:
    """Label of the person in a video, from its path below the searched folder.

    VoxCeleb's identity (id00012) where a part of the path begins with one, VFHQ's video and person
    (Clip+VIDEO+P0+C1+…), else the first folder, else the file's own name.
    """
    for part in path.parts:
        if match := VOXCELEB_PERSON.match(part):
            return match.group()
    if match := VFHQ_PERSON.match(path.name):
        return match.group(1)
    return path.parts[0] if len(path.parts) > 1 else path.stem
