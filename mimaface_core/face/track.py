"""From pictures and clips to SourceFace and MotionTrack: find the face, follow it, fit the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..morphable.fit import fit_landmarks
from ..morphable.procedural import ProceduralFace
from ..motion.track import MotionTrack
from .align import PICTURE, apply, crop_matrix, plane_alignment, to_numpy_picture, warp
from .detect import FaceTracker, _box
from .source import SourceFace

SEARCH_EVERY = 12  # frames between two closer searches for a clip's first face
LOST = ("interpolate", "previous", "empty")


def choose_face(faces: list[np.ndarray], index: int) -> np.ndarray:
    """Face number `index` counted from the left, or the largest for −1. Raises InputError when there are fewer."""
    if index < 0:
        return max(faces, key=lambda f: _box(f)[2])
    if index >= len(faces):
        raise InputError(f"Face {index} was asked for, but only {len(faces)} were found; choose 0–{len(faces) - 1}, or −1 for the largest.")
    return sorted(faces, key=lambda f: _box(f)[0])[index]


def source_face(picture: Tensor, tracker: FaceTracker, model: ProceduralFace, share: float, index: int = -1) -> SourceFace:
    """Measure the face of a still picture [H, W, 3] in 0–1.

    share: how much of the crop's side the face's box fills. index: see `choose_face`.
    Raises InputError when there is no face.
    """
    faces = tracker.still(to_numpy_picture(picture))
    if not faces:
        raise InputError("No face was found in the picture; use one where a face is seen from the front, at least 40 pixels high.")
    landmarks = torch.from_numpy(choose_face(faces, index))
    return source_from_landmarks(picture, landmarks, model, share)


def source_from_landmarks(picture: Tensor, landmarks: Tensor, model: ProceduralFace, share: float) -> SourceFace:
    """The same from landmarks [478, 3] (picture pixels) that are known already."""
    matrix = crop_matrix(landmarks, share)
    crop = warp(picture.permute(2, 0, 1) * 2 - 1, matrix)
    points = apply(matrix, landmarks)
    track = _fit(model, points[None], torch.ones(1, dtype=torch.bool), Fraction(25))
    return SourceFace(picture, crop, matrix, points, track)


def clip_landmarks(
    frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1, each: Callable[[], None] = lambda: None
) -> list[Tensor | None]:
    """Landmarks [478, 3] of one face in every frame (uint8 or 0–1 float [H, W, 3]), None where it is not seen.

    The face is chosen in the first frame that has one and followed by its position. each: called after every frame.
    """
    tracker.start_clip()
    found: list[Tensor | None] = []
    last: np.ndarray | None = None
    for frame in frames:
        picture = to_numpy_picture(frame)
        faces = tracker.frame(picture)
        if not faces and last is None and len(found) % SEARCH_EVERY == 0:
            faces = tracker.still(picture)  # a closer search, until the first face turns up
        face = None
        if faces and last is None:
            face = choose_face(faces, index)
        elif faces:
            near = min(faces, key=lambda f: np.hypot(*(_box(f)[:2] - _box(last)[:2])))
            # another person is not this one: a face does not jump by its own size between two frames it is seen in
            seen_before = found[-1] is not None
            if not seen_before or np.hypot(*(_box(near)[:2] - _box(last)[:2])) < _box(last)[2]:
                face = near
        last = face if face is not None else last
        found.append(None if face is None else torch.from_numpy(face))
        each()
    return found


def motion_track(landmarks: list[Tensor | None], fps: Fraction, model: ProceduralFace, share: float, lost: str = "interpolate") -> MotionTrack:
    """Fit the model to a clip's landmarks (picture pixels; None: no face there).

    lost: what stands in for frames without a face: `interpolate` between the frames around, `previous` holds the last
    face, `empty` takes the pose of the first face (with relative motion from there: the still source). visible is False in all three.
    Raises InputError when there are no frames, or no frame shows a face.
    """
    if not landmarks:
        raise InputError("The clip has no frames; use one with at least one.")
    seen = [i for i, points in enumerate(landmarks) if points is not None]
    if not seen:
        raise InputError(f"No face was found in any of the clip's {len(landmarks)} frames; use a clip that shows a face from the front.")
    visible = torch.tensor([points is not None for points in landmarks])
    matrix = crop_matrix(landmarks[seen[0]], share)
    cropped = torch.stack([apply(matrix, landmarks[i]) for i in seen])
    track = _fit(model, cropped, torch.ones(len(seen), dtype=torch.bool), fps)
    return _fill(track, torch.tensor(seen), visible, lost)


def _fit(model: ProceduralFace, points: Tensor, visible: Tensor, fps: Fraction) -> MotionTrack:
    """Track of crop landmarks [N, 478, 3]."""
    alignment = plane_alignment(len(points))
    coefficients, gaze = fit_landmarks(model, points * (256 / PICTURE))
    return MotionTrack(coefficients, gaze, alignment, visible, fps)


def _fill(track: MotionTrack, seen: Tensor, visible: Tensor, lost: str) -> MotionTrack:
    """Spread the tracked frames over the whole clip and fill the gaps."""
    frame = torch.arange(len(visible))
    after = torch.searchsorted(seen, frame).clamp(max=len(seen) - 1)
    before = (torch.searchsorted(seen, frame, right=True) - 1).clamp(min=0)
    if lost == "previous":
        low = high = before
    elif lost == "interpolate":
        low, high = before, after
    elif lost == "empty":
        low = high = torch.where(visible, before, torch.zeros_like(before))
    else:
        raise InputError(f"Frames without a face can be {', '.join(LOST)}, not {lost!r}.")
    gap = (seen[high] - seen[low]).clamp(min=1)
    share = ((frame - seen[low]) / gap).clamp(0, 1)

    def between(x: Tensor) -> Tensor:
        w = share.reshape(-1, *[1] * (x.ndim - 1))
        return x[low] * (1 - w) + x[high] * w

    coefficients = type(track.coefficients)(between(track.coefficients.values))
    return MotionTrack(coefficients, between(track.gaze), between(track.alignment), visible, track.fps)
