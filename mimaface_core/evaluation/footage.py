"""What an evaluation looks at: outputs, drivers and sources, opened one pair at a time and read frame by frame."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import host
from ..errors import InputError
from ..face.crop import to_uint8_array
from ..face.detect import face_tracker
from ..face.follow import follow, still_landmarks
from ..media import Clip, read_image

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
            return cls([read_image(path)], 1, Fraction(25))
        clip = Clip.open(path)
        return cls(clip, clip.frames, clip.fps)


@dataclass(frozen=True)
class Pair:
    """An output and what it was made from; files, or what a node was given.

    source: picture [H, W, 3] in 0–1 or its file. audio: the voice, where the output has none or another one.
    """

    name: str
    output: Path | Footage
    source: Path | Tensor | None = None
    driver: Path | Footage | None = None
    audio: Path | None = None
    film: Path | None = None  # the output's file, which may have sound

    @classmethod
    def of(
        cls, output: Path, source: Path | None = None, driver: Path | None = None, audio: Path | None = None
    ) -> Pair:
        """A pair of files, called by its output's name."""
        return cls(output.stem, output, source, driver, audio, output)


class Seen(NamedTuple):
    """A picture uint8 [H, W, 3] and the landmarks [478, 3] of its face; None where there is no face."""

    picture: np.ndarray
    landmarks: Tensor | None


class Moment(NamedTuple):
    """One instant: the output, and the driver while it lasts."""

    output: Seen
    driver: Seen | None


def opened(given: Path | Footage) -> Footage:
    """Footage of a file, or as it was given."""
    return given if isinstance(given, Footage) else Footage.open(given)


def source_of(pair: Pair, driver: Footage | None, same: bool) -> Seen | None:
    """The source and its face; in a self-reenactment the driver's first frame, where none is named.

    Raises InputError where it shows no face.
    """
    if same and driver is None:
        raise InputError("A self-reenactment is compared with its driver; name the driver too.")
    if pair.source is not None:
        picture = pair.source if isinstance(pair.source, Tensor) else read_image(pair.source)
    elif same:
        picture = torch.from_numpy(to_uint8_array(next(iter(driver.pictures))))
    else:
        return None
    tracker = face_tracker(host.current().models_folders())
    try:
        return Seen(to_uint8_array(picture), still_landmarks(picture, tracker))
    except InputError as error:
        raise InputError(f"The source of '{pair.name}': {error}") from error


def moments(output: Footage, driver: Footage | None, most: int | None) -> Iterator[Moment]:
    """Output and driver side by side, at most `most` frames of the output.

    Where their rates differ, the driver's frame is the one on the screen in the middle of the output's.
    """
    shown = _followed(output)
    if driver is None:
        yield from (Moment(seen, None) for seen in islice(shown, most))
        return
    other = _followed(driver) if driver.fps == output.fps else _at_rate(_followed(driver), driver.fps / output.fps)
    for seen in islice(shown, most):
        yield Moment(seen, next(other, None))


def _followed(footage: Footage) -> Iterator[Seen]:
    tracker = face_tracker(host.current().models_folders())
    for picture, landmarks in follow(footage.pictures, tracker):
        yield Seen(to_uint8_array(picture), landmarks)


def _at_rate(seen: Iterator[Seen], ratio: Fraction) -> Iterator[Seen]:
    """Every frame as often as it is on the screen at another rate; ratio: own rate over the other one."""
    wanted = 0
    for number, frame in enumerate(seen):
        while int((wanted + Fraction(1, 2)) * ratio) == number:
            yield frame
            wanted += 1
