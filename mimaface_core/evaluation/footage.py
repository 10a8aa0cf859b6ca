"""What an evaluation looks at: frames of outputs, drivers and sources."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..media import Clip, read_picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
CLIPS = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".gif")


class Footage(NamedTuple):
    """Frames to go through as often as wanted, uint8 or 0–1 float [H, W, 3]; about how many; their exact rate."""

    pictures: Iterable[Tensor]
    count: int
    fps: Fraction

    @classmethod
    def open(cls, path: Path) -> Footage:
        """A clip, or a picture as a clip of one frame. Raises InputError when it cannot be read."""
        if path.suffix.lower() in PICTURES:
            return cls([read_picture(path)], 1, Fraction(25))
        clip = Clip.open(path)
        return cls(clip, clip.frames, clip.fps)
