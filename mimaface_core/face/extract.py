"""Extract a source face and a motion track from an image or a clip, reading each frame once.

Finding and following the face is the same for every model pack. The measurement itself is the pack's: an `Extractor`,
either `extract_by_fit.FitExtractor` (fits the bundled face model to landmarks) or `extract_by_d3dfr.D3DFRExtractor`
(regresses BFM09 coefficients from pixels, as released).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import islice
from typing import Protocol

from torch import Tensor

from .. import host
from ..errors import InputError
from ..motion.track import MotionTrack
from ..tensors import to_float
from ..tracker.face import Face
from .detect import FaceTracker
from .follow import follow, still_landmarks
from .lost import filled
from .source import SourceFace


class ClipExtractor(Protocol):
    """The measurement of one clip, frame by frame."""

    def add(self, frame: Tensor, landmarks: Tensor, shot: int = 0, face: Face | None = None) -> None:
        """Add a frame that shows the face.

        Args:
            frame: [H, W, 3], uint8 or float in 0–1.
            landmarks: [478, 3] in pixels of the frame.
            shot: number of the frame's shot, which rises at a cut.
            face: the same with what the tracker knows of its errors; nothing when None.
        """

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all added frames, at least one."""


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


def measure(
    frames: Iterable[Tensor],
    count: int,
    fps: Fraction,
    tracker: FaceTracker,
    extractor: Extractor,
    index: int = -1,
    lost: str = "rest",
) -> tuple[SourceFace, MotionTrack]:
    """The face of the first frame that shows it, and its motion through all frames.

    A single frame is treated as a still, which is searched more closely.

    Args:
        frames: images [H, W, 3], uint8 or float in 0–1; iterated twice, the first time for two frames at most.
        count: their number, about, for the progress bar.
        fps: frames per second of the result.
        tracker: finds the faces.
        extractor: measures them, see `ModelPack.measurer`.
        index: the face to choose, see `follow.choose_face`.
        lost: the fill for frames without a face, see `lost.filled`.

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
    person: tuple[Tensor, Tensor] | None = None
    clip = extractor.clip()
    visible, shots = [], []
    with host.current().progress(count, "finding the face") as progress:
        for frame, landmarks, shot, face in follow(frames, tracker, index):
            shots.append(shot)
            visible.append(landmarks is not None)
            if landmarks is not None and face is not None:
                person = person or (to_float(frame), landmarks)
                clip.add(frame, landmarks, shot, face)
            progress.update()
    if person is None:
        raise InputError(
            f"No face was found in any of the clip's {len(visible)} frames; "
            "use a clip that shows a face from the front."
        )
    motion = filled(clip.track(fps), visible, lost, shots)
    return extractor.still(*person)[0], motion
