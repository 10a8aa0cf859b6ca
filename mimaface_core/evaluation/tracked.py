"""An opened pair: its source, its audio, and output and driver side by side with their faces tracked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..face.crop import to_uint8_array
from ..face.detect import face_tracker
from ..face.follow import follow, still_landmarks
from ..media import AudioFile, Clip, read_image
from ..media.frames import STILL_SUFFIXES, Frames
from .meters.crops import FaceImage, TrackedFrame
from .pairs import Pair


class FramePair(NamedTuple):
    """Frames of one instant: the output's, and the driver's, None after its end or without a driver."""

    output: TrackedFrame
    driver: TrackedFrame | None


@dataclass(frozen=True)
class OpenPair:
    """A pair with its files opened.

    Attributes:
        name: title of the pair in reports.
        output: frames of the output.
        driver: frames of the driver, None without one.
        source: the source and its face, None without one.
        video: the output's file, where its mouth can be compared with audio.
        voice: file of the voice, None where the output's own audio is meant.
    """

    name: str
    output: Frames
    driver: Frames | None
    source: FaceImage | None
    video: Clip | None
    voice: Path | None

    @classmethod
    def open(cls, pair: Pair, same: bool) -> OpenPair:
        """Open the files of a pair and find the source's face.

        Args:
            pair: the pair.
            same: self-reenactment: the driver's first frame is the source, unless one is named.

        Raises:
            InputError: a file cannot be read, the source shows no face, or there is nothing to compare with.
        """
        output = _opened(pair.output)
        video = _video_with_audio(pair)
        driver = None if pair.driver is None else _opened(pair.driver)
        return cls(pair.name, output, driver, source_face(pair, driver, same), video, pair.audio)

    def frames(self, max_frames: int | None) -> Iterator[FramePair]:
        """Output and driver side by side.

        Where their rates differ, the driver's frame is the one on the screen in the middle of the output's.

        Args:
            max_frames: frames of the output, all when None.
        """
        outputs = islice(_tracked(self.output), max_frames)
        if self.driver is None:
            yield from (FramePair(output, None) for output in outputs)
            return
        drivers = _tracked(self.driver)
        if self.driver.fps != self.output.fps:
            drivers = _resampled(drivers, self.driver.fps / self.output.fps)
        for output in outputs:
            yield FramePair(output, next(drivers, None))


def source_face(pair: Pair, driver: Frames | None, same: bool) -> FaceImage | None:
    """The source and its face; None without a source.

    Args:
        pair: the pair.
        driver: frames of its driver.
        same: self-reenactment: the driver's first frame is the source, unless one is named.

    Raises:
        InputError: the source shows no face, or a self-reenactment has no driver.
    """
    if same and driver is None:
        raise InputError("A self-reenactment is compared with its driver; name the driver too.")
    if pair.source is not None:
        image = pair.source if isinstance(pair.source, Tensor) else read_image(pair.source)
    elif same and driver is not None:
        image = torch.from_numpy(to_uint8_array(next(iter(driver))))
    else:
        return None
    tracker = face_tracker()
    try:
        return FaceImage(to_uint8_array(image), still_landmarks(image, tracker))
    except InputError as error:
        raise InputError(f"The source of '{pair.name}': {error}") from error


def _opened(output: Path | Frames) -> Frames:
    return Frames.open(output) if isinstance(output, Path) else output


def _video_with_audio(pair: Pair) -> Clip | None:
    """The output's file where it has audio or a voice is named; None without.

    Raises:
        InputError: without it there is nothing to compare the output with.
    """
    file = pair.video_file
    video = None if file is None or file.suffix.lower() in STILL_SUFFIXES else Clip.open(file)
    if video is not None and pair.audio is not None:
        AudioFile.open(pair.audio)
    if video is not None and (pair.audio is not None or video.has_audio):
        return video
    if pair.source is None and pair.driver is None:
        name = pair.name if video is None or file is None else file.name
        raise InputError(f"'{name}' has no audio; name the voice with --audio, or a source or driver to compare with.")
    return None


def _tracked(frames: Frames) -> Iterator[TrackedFrame]:
    tracker = face_tracker()
    for found in follow(frames, tracker):
        yield TrackedFrame(found.pixels.numpy(), found.landmarks)


def _resampled(frames: Iterator[TrackedFrame], ratio: Fraction) -> Iterator[TrackedFrame]:
    """Frames repeated or left out for another rate; `ratio`: own rate over the other one."""
    index = 0
    for number, frame in enumerate(frames):
        while int((index + Fraction(1, 2)) * ratio) == number:
            yield frame
            index += 1
