"""Footage: the frames of a video or an image, read as often as needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from torch import Tensor

from ..media import Clip, read_picture

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")


@dataclass(frozen=True)
class Footage:
    """Frames [H, W, 3], uint8 or float in 0–1; iterating again starts again.

    Attributes:
        frames: source of the frames.
        count: estimated number of frames, 0 where unknown.
        fps: exact rate in frames a second.
    """

    frames: Iterable[Tensor]
    count: int
    fps: Fraction

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.frames)

    @classmethod
    def open(cls, path: Path) -> Footage:
        """A video, or an image as a video of one frame.

        Raises:
            InputError: the file is missing or cannot be read.
        """
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return cls([read_picture(path)], 1, Fraction(25))
        video = Clip.open(path)
        return cls(video, video.frames, video.fps)
