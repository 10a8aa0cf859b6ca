"""Extract a source face and a motion track from an image or a clip, reading each frame once.

Finding and following the face is the same for every model pack. The measurement itself is the pack's: an `Extractor`,
either `extract_by_fit.FitExtractor` (fits the bundled face model to landmarks) or `extract_by_d3dfr.D3DFRExtractor`
(regresses BFM09 coefficients from pixels, as released).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import chain, islice
from typing import NamedTuple, Protocol

from torch import Tensor

from .. import host
from ..ahead import ahead
from ..errors import InputError
from ..motion.stream import MotionStream
from ..motion.track import MotionTrack
from ..tensors import to_float
from ..tracker.face import Face
from .detect import FaceTracker
from .follow import Followed, follow, still_landmarks
from .lost import Filling
from .source import SourceFace

FIRST_FRAMES, NEXT_FRAMES = 80, 16  # that are measured together: the first ones tell who it is
FOLLOWED_AHEAD = 2  # frames in which the face is found while others are measured


class ClipExtractor(Protocol):
    """The measurement of one clip, frame by frame."""

    def add(self, frame: Tensor, landmarks: Tensor, shot: int = 0, face: Face | None = None) -> None:
        """Add a frame that shows the face.

        Args:
            frame: uint8 [H, W, 3].
            landmarks: [478, 3] in pixels of the frame.
            shot: number of the frame's shot, which rises at a cut.
            face: the same with what the tracker knows of its errors; nothing when None.
        """

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of the frames added since the last call, at least one; the first call tells who it is."""


class LiveExtractor(Protocol):
    """The measurement of a face whose frames come one by one; memory is constant."""

    def add(self, frame: Tensor, face: Face) -> MotionTrack:
        """The motion of the next frame that shows the face.

        Args:
            frame: [H, W, 3], uint8 or float in 0–1.
            face: in its pixels.

        Returns:
            Two frames: the first one that was added, as far as it is known by now, and this one.
        """


class Extractor(Protocol):
    """Measures detected faces, in the coefficients of one face model."""

    def still(self, image: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """Measure the face of a still.

        Args:
            image: [H, W, 3] in 0–1.
            landmarks: [478, 3] in pixels of the image.

        Returns:
            The person as a source, and the same image as a driver: one frame at 25 frames per second.
        """

    def clip(self) -> ClipExtractor:
        """A new clip, without frames yet."""

    def live(self) -> LiveExtractor:
        """A face whose frames come one by one, without frames yet."""


class Passage(NamedTuple):
    """Frames of a clip that are measured together.

    Attributes:
        person: from the clip's first frame that shows the face.
        motion: of these frames.
        last: whether the clip ends with them.
    """

    person: SourceFace
    motion: MotionTrack
    last: bool


def measure(
    frames: Iterable[Tensor],
    count: int,
    fps: Fraction,
    tracker: FaceTracker,
    extractor: Extractor,
    index: int = -1,
    lost: str = "rest",
) -> tuple[SourceFace, MotionTrack]:
    """The face of the first frame that shows it, and its motion through all frames; see `measure_stream`."""
    source, motion = measure_stream(frames, count, fps, tracker, extractor, index, lost, whole=True)
    assert isinstance(motion, MotionTrack)
    return source, motion


def measure_stream(
    frames: Iterable[Tensor],
    count: int,
    fps: Fraction,
    tracker: FaceTracker,
    extractor: Extractor,
    index: int = -1,
    lost: str = "rest",
    *,
    whole: bool = False,
) -> tuple[SourceFace, MotionTrack | MotionStream]:
    """The same, but where a clip is longer than FIRST_FRAMES: further frames are measured when they are asked for.

    A single frame is treated as a still, which is searched more closely.

    Args:
        frames: images [H, W, 3], uint8 or float in 0–1; iterated twice, the first time for two frames at most, and
            again where a stream was interrupted.
        count: their number, about, for the progress bar.
        fps: frames per second of the result.
        tracker: finds the faces.
        extractor: measures them, see `ModelPack.measurer`.
        index: the face to choose, see `follow.choose_face`.
        lost: the fill for frames without a face, see `lost.filled`.
        whole: whether all frames are measured now, and the motion is a track.

    Raises:
        InputError: there is no frame, no frame shows a face, or there are fewer faces than `index` asks for.
    """
    first = list(islice(frames, 2))
    if not first:
        raise InputError("The clip has no frames; use one with at least one.")
    if len(first) == 1:
        image = to_float(first[0])
        source, motion = extractor.still(image, still_landmarks(image, tracker, index))
        return source, motion.replace(fps=fps)

    def start(step: Callable[[], object]) -> Iterator[Passage]:
        return _passages(ahead(follow(frames, tracker, index), FOLLOWED_AHEAD), extractor, fps, lost, step)

    current = host.current()
    with current.progress(count if whole else min(count, FIRST_FRAMES), "finding the face") as progress:
        begun = start(lambda: current.check_cancelled() if progress.closed else progress.update())
        known = list(islice(begun, None if whole else 1))
    person, motions = known[0].person, [passage.motion for passage in known]
    if known[-1].last:
        return person, MotionTrack.concatenate(motions)
    return person, MotionStream(
        lambda: (passage.motion for passage in start(current.check_cancelled)),
        count,
        begun=chain(motions, (passage.motion for passage in begun)),
    )


def _passages(
    clip: Generator[Followed, None, None], extractor: Extractor, fps: Fraction, lost: str, step: Callable[[], object]
) -> Iterator[Passage]:
    """The passages of a clip, which end where the face is seen, so that a gap is filled knowing both its ends.

    Args:
        clip: its frames; closed at the end.
        extractor: measures them.
        fps: frames per second of the result.
        lost: see `measure`.
        step: called after each frame.
    """
    first: tuple[Tensor, Tensor] | None = None
    person: SourceFace | None = None
    measured, filling = extractor.clip(), Filling(lost)
    visible: list[bool] = []
    shots: list[int] = []

    def passage(last: bool) -> Passage:
        nonlocal person
        motion = filling.add(measured.track(fps) if any(visible) else None, visible, shots)
        if person is None:
            assert first is not None
            person = extractor.still(*first)[0]
        return Passage(person, motion, last)

    most = FIRST_FRAMES
    with closing(clip):
        for frame, landmarks, shot, face, pixels in clip:
            if len(visible) >= most and visible[-1]:
                yield passage(last=False)
                visible, shots, most = [], [], NEXT_FRAMES
            visible.append(landmarks is not None)
            shots.append(shot)
            if landmarks is not None:
                first = first or (to_float(frame), landmarks)
                measured.add(pixels, landmarks, shot, face)
            step()
    if first is None:
        raise InputError(
            f"No face was found in any of the clip's {len(visible)} frames; "
            "use a clip that shows a face from the front."
        )
    yield passage(last=True)
