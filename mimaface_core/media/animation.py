"""Animated WebP images as videos, which FFmpeg does not read; of other files, `Clip` as it is."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import torch

from ..errors import InputError
from .container import LONGEST_PAUSE_SECONDS, Source, name_of
from .image import open_image, rgb_pixels
from .rate import exact_rate
from .read import Clip

# As browsers, and FFmpeg for GIF, take them: so short a duration means that the file leaves it to the player.
_UNSTATED_MS, _USUAL_MS = 10, 100

_log = logging.getLogger(__name__)


def open_clip(source: Source) -> Clip:
    """A video file, or an animated WebP, as a clip. Raises as `Clip.open`."""
    durations = _durations(source)
    return AnimatedWebp.of_durations(source, durations) if len(durations) > 1 else Clip.open(source)


def is_animated_webp(source: Source) -> bool:
    """True for a WebP of several frames."""
    return len(_durations(source)) > 1


class AnimatedWebp(Clip):
    """An animated WebP, decoded one frame at a time; transparency goes on white. Made by `open_clip`.

    Frames come at a constant rate, as of any `Clip`: the one that all durations agree with to a millisecond, or else
    their average. A damaged file ends, with a logged warning, at the last good frame.
    """

    ticks: list[int]  # the first tick of the constant clock of each frame, and the end of the last one

    @classmethod
    def of_durations(cls, source: Source, milliseconds: list[int]) -> AnimatedWebp:
        """Open a file whose frames have these durations, and decode the first one as a check.

        Raises:
            InputError: it is damaged or too large.
        """
        longest = LONGEST_PAUSE_SECONDS * 1000
        ends = list(accumulate(min(ms, longest) if ms > _UNSTATED_MS else _USUAL_MS for ms in milliseconds))
        fps = _rate(ends)
        with open_image(source) as image:
            height, width = rgb_pixels(image).shape[:2]
        clip = cls(source, width, height, fps, 0, has_audio=False)
        clip.ticks = [0, *(round(Fraction(end, 1000) * fps) for end in ends)]
        clip.ticks[-1] = clip.frames = max(1, clip.ticks[-2] + 1, clip.ticks[-1])
        return clip

    def __iter__(self) -> Iterator[torch.Tensor]:
        good = 0
        try:
            with open_image(self.source) as image:
                for number in range(len(self.ticks) - 1):
                    image.seek(number)
                    pixels = rgb_pixels(image)
                    good += 1
                    for _ in range(self.ticks[number + 1] - self.ticks[number]):
                        yield pixels
        except (InputError, EOFError) as error:
            if not good:
                raise
            name = name_of(self.source, "the video")
            _log.warning("%s is damaged after %d frames; only those are used (%s).", name, good, error)


def _rate(ends: list[int]) -> Fraction:
    """The constant rate of frames that end at these milliseconds."""
    average = Fraction(len(ends) * 1000, ends[-1])
    meant = Fraction(max(1, round(average)))
    if all(abs(number / meant * 1000 - end) <= 1 for number, end in enumerate(ends, 1)):
        return meant
    return exact_rate(float(average))


def _durations(source: Source) -> list[int]:
    """Durations of a WebP's frames in milliseconds, from the heads of its chunks; empty for other files."""
    if isinstance(source, io.BytesIO):
        return list(_frame_durations(io.BytesIO(source.getvalue())))
    try:
        with Path(source).open("rb") as file:
            return list(_frame_durations(file))
    except (OSError, ValueError):  # which the reader of the file will word
        return []


def _frame_durations(file: BinaryIO) -> Iterator[int]:
    head = file.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"WEBP":
        return
    while len(chunk := file.read(8)) == 8:
        size = int.from_bytes(chunk[4:], "little")
        end = file.tell() + size + size % 2
        if chunk[:4] == b"ANMF":
            yield int.from_bytes(file.read(16)[12:15], "little")
        file.seek(end)
