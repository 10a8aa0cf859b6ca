"""From a picture or clip to the person in it and how they move, reading each frame once."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice

from torch import Tensor

from .. import host
from ..errors import InputError
from ..morphable.procedural import ProceduralFace
from ..motion.track import MotionTrack
from .detect import FaceTracker
from .source import SourceFace
from .track import clip_landmarks, motion_track, source_face, source_from_landmarks


def measure(
    frames: Iterable[Tensor],
    count: int,
    fps: Fraction,
    tracker: FaceTracker,
    model: ProceduralFace,
    share: float,
    index: int = -1,
    lost: str = "interpolate",
) -> tuple[SourceFace, MotionTrack]:
    """The face of the first frame that shows it, and its motion through all frames.

    frames: pictures [H, W, 3], uint8 or float in 0–1; gone through again, from the start, for the first face.
    count: how many there are, about. share, index, lost: see `track`. A single frame is looked at more closely.
    Raises InputError when no frame shows a face.
    """
    first = list(islice(frames, 2))
    if not first:
        raise InputError("The clip has no frames; use one with at least one.")
    if len(first) == 1:
        source = source_face(_floats(first[0]), tracker, model, share, index)
        return source, source.track.replace(fps=fps)
    with host.current().progress(count, "finding the face") as progress:
        landmarks = clip_landmarks(frames, tracker, index, progress.update)
    motion = motion_track(landmarks, fps, model, share, lost)
    at = next(i for i, points in enumerate(landmarks) if points is not None)
    picture = _floats(next(islice(frames, at, None)))
    return source_from_landmarks(picture, landmarks[at], model, share), motion


def _floats(picture: Tensor) -> Tensor:
    return picture.float() / 255 if not picture.is_floating_point() else picture.float()
