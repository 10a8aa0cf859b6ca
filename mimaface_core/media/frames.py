"""Frames: images in order, read again as often as wanted, with their number and exact rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..tensors import to_float
from .container import Source
from .rate import exact_rate
from .read import Clip, read_picture


@dataclass(frozen=True)
class Frames:
    """Frames [H, W, 3], uint8 or float in 0–1; iterating begins with the first one every time.

    Attributes:
        images: what yields the frames.
        count: how many there are; of a video, as its container says.
        fps: frames a second.
    """

    images: Iterable[Tensor]
    count: int
    fps: Fraction

    @classmethod
    def of(cls, frames: Frames | Tensor | str | Path, fps: float = 25.0) -> Frames:
        """Frames of an image [H, W, 3], a batch [N, H, W, 3] in 0–1, or an image or video file.

        Args:
            frames: the images; `Frames` stay as they are.
            fps: frames a second where `frames` have no rate of their own.

        Raises:
            InputError: a batch of another shape, or a file that cannot be read.
        """
        if isinstance(frames, Frames):
            return frames
        if isinstance(frames, Tensor):
            return cls.batch(frames[None] if frames.ndim == 3 else frames, fps)
        if _is_image(Path(frames)):
            return cls.of(read_picture(frames), fps)
        return cls.open(frames)

    @classmethod
    def batch(cls, images: Tensor, fps: float) -> Frames:
        """Frames of a batch of images. Raises InputError where its shape is not [N, H, W, 1, 3 or 4]."""
        return cls(ImageBatch(images), len(images), exact_rate(fps))

    @classmethod
    def open(cls, source: Source) -> Frames:
        """Frames of a video, streamed. Raises InputError where it cannot be read."""
        video = Clip.open(source)
        return cls(video, video.frames, video.fps)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.images)

    def batches(self, size: int) -> Iterator[Tensor]:
        """The frames in batches [n, H, W, 3] of float in 0–1, n ≤ size."""
        batch: list[Tensor] = []
        for image in self.images:
            batch.append(to_float(image))
            if len(batch) == size:
                yield torch.stack(batch)
                batch = []
        if batch:
            yield torch.stack(batch)


class ImageBatch:
    """A batch of images, one by one: [H, W, 3] in float32 in main memory, without transparency."""

    def __init__(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
            raise InputError(
                f"A batch of pictures has the shape [pictures, height, width, 3], not {list(images.shape)};"
                " connect an IMAGE."
            )
        self._images = images.detach()

    def __iter__(self) -> Iterator[Tensor]:
        for number in range(len(self._images)):
            yield self._images[number, ..., :3].float().cpu().expand(-1, -1, 3)


def _is_image(path: Path) -> bool:
    """Whether a file is a still image."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return not getattr(image, "is_animated", False)
    except Image.DecompressionBombError:
        return True
    except (OSError, ValueError, SyntaxError):
        return False
