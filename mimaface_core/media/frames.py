"""Frames of a video, of stills or of a batch of images, streamed any number of times."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..tensors import on_white, to_float, to_uint8
from .animation import is_animated_webp, open_clip
from .container import Source
from .image import LARGEST_MEGAPIXELS, read_cut_out, read_image
from .rate import exact_rate

STILL_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MOST_LIGHT = 16  # times white: more is no highlight of a picture in 0–1, but one in 0–255
STILL_FPS = Fraction(25)  # frames a second of images without a rate of their own

_log = logging.getLogger(__name__)


def check_image(image: Tensor) -> None:
    """Raise InputError for an image [H, W, C] of floats that are plainly in 0–255, and for one that is too large."""
    if image.shape[-3] * image.shape[-2] > LARGEST_MEGAPIXELS * 1_000_000:
        raise InputError(f"The image has too many pixels; scale it down to at most {LARGEST_MEGAPIXELS} megapixels.")
    if image.is_floating_point() and image.numel() and (highest := float(image.max())) > MOST_LIGHT:
        raise InputError(f"The image has values up to {highest:.0f}; give floats in 0–1, or uint8 in 0–255.")


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames [H, W, 3] of one size, uint8 or float in 0–1; each iteration starts at the first one.

    Where it is asked for, frames with transparency are [H, W, 4], see `tensors.on_white`.

    >>> for batch in Frames.open("video.mp4").batches(4):
    ...     draw(batch)  # float32 [n, H, W, 3]

    Attributes:
        images: any iterable that can be iterated repeatedly.
        count: number of frames, for a video file an estimate; 0 where it is unknown.
        fps: frames a second, exact.
    """

    images: Iterable[Tensor]
    count: int
    fps: Fraction

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.images)

    @classmethod
    def open(cls, path: str | Path, alpha: bool = False) -> Frames:
        """Frames of a file: an image (by its suffix, one of `STILL_SUFFIXES`) is a video of one frame, unless it moves.

        Args:
            path: of the file.
            alpha: whether the alpha of an image that is a cut-out is kept.

        Raises:
            InputError: the file is missing, damaged, or neither an image nor a video.
        """
        if Path(path).suffix.lower() in STILL_SUFFIXES and not is_animated_webp(path):
            if alpha and (cut_out := read_cut_out(path)) is not None:
                return cls([on_white(cut_out)], 1, STILL_FPS)
            return cls([read_image(path)], 1, STILL_FPS)
        return cls.of_video(path)

    @classmethod
    def of_video(cls, source: Source, alpha: bool = False) -> Frames:
        """Frames of a video file, uint8, decoded anew in each iteration.

        Args:
            source: path or bytes of the file.
            alpha: for a file of `VideoWriter`'s lossless format that was written with an alpha: whether it is kept.

        Raises:
            InputError: as `open_clip`.
        """
        clip = open_clip(source)
        clip.alpha = alpha
        return cls(clip, clip.frames, clip.fps)

    @classmethod
    def of_stills(cls, files: Sequence[Path], fps: Fraction = STILL_FPS) -> Frames:
        """Frames, uint8, that are one image file each, in the order given.

        An unreadable file ends the iteration with a logged warning; if it is the first one, with `InputError`.
        """
        return cls(_Restartable(lambda: _read_stills(files)), len(files), fps)

    @classmethod
    def of_batch(cls, images: Tensor, fps: Fraction | float = STILL_FPS, alpha: bool = False) -> Frames:
        """Frames of a batch, float32 in 0–1 in main memory; the batch is never copied as a whole.

        Args:
            images: [N, H, W, C] on any device, float in 0–1 or uint8. One channel is grey, a fourth one is ignored.
            fps: frames a second.
            alpha: whether a fourth channel is kept, as the alpha of the colours.

        Raises:
            InputError: another shape or an impossible rate.
        """
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
            raise InputError(
                f"A batch of images has the shape [images, height, width, 3], not {list(images.shape)};"
                " give an IMAGE, or a tensor of that shape."
            )
        images = images.detach()
        if len(images):
            check_image(images[0])
        numbers = range(len(images))
        if alpha and images.shape[-1] == 4:
            return cls(
                _Restartable(lambda: (on_white(to_float(images[i]).cpu()) for i in numbers)),
                len(images),
                exact_rate(fps),
            )
        rgb = _Restartable(lambda: (to_float(images[i, ..., :3]).cpu().expand(-1, -1, 3) for i in numbers))
        return cls(rgb, len(images), exact_rate(fps))

    def opaque(self) -> Frames:
        """The same frames without alpha."""
        return Frames(_Restartable(lambda: (image[..., :3] for image in self)), self.count, self.fps)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the first frame, which is decoded for it; (0, 0) if there is none."""
        first = next(iter(self), None)
        return (0, 0) if first is None else (first.shape[1], first.shape[0])

    def part(self, start: float, seconds: float) -> Frames:
        """The frames that begin within `seconds` from `start`, in seconds; 0 seconds for all from there on."""
        first, count = math.ceil(round(start * self.fps, 6)), self.count or sys.maxsize
        last = math.ceil(round((start + seconds) * self.fps, 6)) if seconds else sys.maxsize
        known = max(0, min(count, last) - first) if self.count else 0
        return Frames(_Restartable(lambda: islice(iter(self), first, last)), known, self.fps)

    def thinned(self, fps: Fraction | float) -> Frames:
        """Every k-th frame, with the whole k that comes closest to `fps` frames a second; never more than there are."""
        step = max(1, round(self.fps / fps))
        every = _Restartable(lambda: islice(iter(self), 0, None, step))
        return Frames(every, -(-self.count // step), self.fps / step)

    def batches(self, size: int) -> Iterator[Tensor]:
        """The frames in batches of `size`, the last one perhaps smaller: float32 [n, H, W, 3] in 0–1."""
        images = map(to_float, self)
        while batch := list(islice(images, size)):
            yield torch.stack(batch)


@dataclass(frozen=True, eq=False)
class _Restartable:
    """An iterable that starts a new iterator each time."""

    start: Callable[[], Iterator[Tensor]]

    def __iter__(self) -> Iterator[Tensor]:
        return self.start()


def _read_stills(files: Sequence[Path]) -> Iterator[Tensor]:
    for number, file in enumerate(files):
        try:
            image = read_image(file)
        except InputError as error:
            if not number:
                raise
            _log.warning("%s: only the %d frames before it are used; %s", file, number, error)
            return
        yield to_uint8(image)
