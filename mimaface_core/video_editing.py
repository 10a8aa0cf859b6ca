"""A clip edited by hand, without a driver: each frame keeps its own motion and is redrawn from its own pixels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from . import checks, host
from .arguments import MOTION, PACK, SOURCE
from .editing import mix
from .errors import InputError
from .face.crop import crop_matrix, transform_points, warp
from .face.detect import FaceTracker, face_tracker
from .face.extract_by_fit import FitExtractor
from .face.follow import clip_landmarks
from .face.paste import Paster
from .face.source import SourceFace
from .media.frames import Frames
from .motion.track import MotionTrack
from .packs.pack import ModelPack
from .pipeline import MOST_FACES
from .tensors import to_float


@checks.checked(pack=PACK, source=SOURCE, hand=MOTION, face=checks.whole(-1, MOST_FACES))
def edit_video(
    pack: ModelPack,
    frames: str | Path | Frames,
    source: SourceFace,
    hand: MotionTrack,
    *,
    face: int = -1,
    tracker: FaceTracker | None = None,
) -> Iterator[Tensor]:
    """The clip with the hand's change in every frame, on top of its own motion; the crop follows the face.

    Args:
        pack: one that measures by the bundled face model.
        frames: the clip; its path, or `Frames`, which are read twice.
        source: the person, from `measure` with the same clip, from whom the hand's change counts.
        hand: of `edit` or `keyframe` with that source; one frame holds throughout.
        face: which one, as in `measure`.
        tracker: finds the faces; see `face.detect.face_tracker`; `auto` when None.

    Yields:
        Each frame [1, H, W, 3] in 0–1; those without a face, and where the hand rests, as they are.

    Raises:
        InputError: a pack of another face model, or a clip without a face.
    """
    extractor = pack.measurer(None)
    if not isinstance(extractor, FitExtractor):
        raise InputError("Clips are edited with the bundled face model only; load the pack bundled.")
    clip = frames if isinstance(frames, Frames) else Frames.open(frames)
    clip = clip.opaque()
    tracker = tracker or face_tracker()
    found = clip_landmarks(clip, tracker, face)
    shown = {number: landmarks for number, landmarks in enumerate(found) if landmarks is not None}
    if not shown:
        raise InputError("No face was found in any of the clip's frames; use a clip that shows a face from the front.")
    return _redrawn(clip, shown, extractor, source, hand)


def _redrawn(
    clip: Frames, found: dict[int, Tensor], extractor: FitExtractor, source: SourceFace, hand: MotionTrack
) -> Iterator[Tensor]:
    from .reprojection.renderer import ReprojectionRenderer

    matrices = {number: crop_matrix(landmarks, extractor.share) for number, landmarks in found.items()}
    points = {number: transform_points(matrices[number], landmarks) for number, landmarks in found.items()}
    own = extractor.fit(torch.stack(list(points.values())), clip.fps)
    moved = mix(own, _of_frames(hand, list(found), own), source)
    place = {number: k for k, number in enumerate(found)}
    for number, frame in enumerate(clip):
        host.current().check_cancelled()
        image, k = to_float(frame), place.get(number)
        if k is None or torch.equal(moved[k].motion, own[k].motion) and _same_place(moved[k], own[k]):
            yield image[None]
            continue
        crop = warp(image.permute(2, 0, 1) * 2 - 1, matrices[number])
        shown = SourceFace(image, crop, matrices[number], points[number], own[k])
        renderer = ReprojectionRenderer(extractor.model, crop, points[number], own[k])
        drawn = renderer.draw_posed(renderer.pose(moved[k]), freedom=False)
        yield Paster(shown, max(image.shape[:2]))((drawn + 1) / 2)


def _same_place(a: MotionTrack, b: MotionTrack) -> bool:
    return torch.equal(a.coefficients.translation, b.coefficients.translation)


def _of_frames(hand: MotionTrack, numbers: list[int], own: MotionTrack) -> MotionTrack:
    """The hand in the frames that show the face; the last one holds."""
    if len(hand) == 1:
        return hand
    hand = hand if hand.fps == own.fps else hand.resample(own.fps)
    return hand[[min(number, len(hand) - 1) for number in numbers]]
