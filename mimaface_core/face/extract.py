"""From a picture or clip to the person in it and how they move, reading each frame once."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import Protocol

from torch import Tensor

from .. import host
from ..errors import InputError
from ..motion.track import MotionTrack
from .detect import FaceTracker
from .follow import filled, follow, still_landmarks
from .source import SourceFace


class ClipExtractor(Protocol):
    """One clip being measured."""

    def add(self, frame: Tensor, landmarks: Tensor) -> None:
        """Add a frame [H, W, 3], uint8 or float in 0–1, that shows the face: landmarks [478, 3] in its pixels."""

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all frames that were added, at least one."""


class Extractor(Protocol):
    """How a model pack measures faces that have been found; each pack brings its own."""

    def still(self, picture: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """The person in a picture [H, W, 3] in 0–1, and the picture as a driver, one frame at 25 a second."""

    def clip(self) -> ClipExtractor:
        """A new clip."""


def measure(
    frames: Iterable[Tensor],
    count: int,
    fps: Fraction,
    tracker: FaceTracker,
    measurer: Extractor,
    index: int = -1,
    lost: str = "interpolate",
) -> tuple[SourceFace, MotionTrack]:
    """The face of the first frame that shows it, and its motion through all frames.

    frames: pictures [H, W, 3], uint8 or float in 0–1; begun again from the start once the first two are known.
    count: how many there are, about. measurer: the pack's. index, lost: see `track`. A single frame is looked at more
    closely. Raises InputError when no frame shows a face.
    """
    first = list(islice(frames, 2))
    if not first:
        raise InputError("The clip has no frames; use one with at least one.")
    if len(first) == 1:
        picture = _floats(first[0])
        source, motion = measurer.still(picture, still_landmarks(picture, tracker, index))
        return source, motion.replace(fps=fps)
    person, clip, seen = None, measurer.clip(), []
    with host.current().progress(count, "finding the face") as progress:
        for frame, landmarks in follow(frames, tracker, index):
            seen.append(landmarks is not None)
            if landmarks is not None:
                person = person or (_floats(frame), landmarks)
                clip.add(frame, landmarks)
            progress.update()
    if person is None:
        raise InputError(
            f"No face was found in any of the clip's {len(seen)} frames; use a clip that shows a face from the front."
        )
    motion = filled(clip.track(fps), seen, lost)
    return measurer.still(*person)[0], motion


def _floats(picture: Tensor) -> Tensor:
    return picture.float() / 255 if not picture.is_floating_point() else picture.float()
