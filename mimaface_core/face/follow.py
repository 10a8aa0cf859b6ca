"""Finding one face in pictures and following it through clips, and what stands in where it is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..motion.track import FaceCoefficients, MotionTrack
from .crop import to_uint8_array
from .detect import FaceTracker, _box

SEARCH_EVERY = 12  # frames between two closer searches for a clip's first face
LOST = ("interpolate", "previous", "empty")


def choose_face(faces: list[np.ndarray], index: int) -> np.ndarray:
    """Face number `index` counted from the left, or the largest for −1. Raises InputError when there are fewer."""
    if index < 0:
        return max(faces, key=lambda f: _box(f)[2])
    if index >= len(faces):
        raise InputError(
            f"Face {index} was asked for, but only {len(faces)} were found; choose 0–{len(faces) - 1}, or −1 for the largest."
        )
    return sorted(faces, key=lambda f: _box(f)[0])[index]


def still_landmarks(picture: Tensor, tracker: FaceTracker, index: int = -1) -> Tensor:
    """Landmarks [478, 3] of one face of a still picture [H, W, 3]. index: see `choose_face`.

    Raises InputError when there is no face.
    """
    faces = tracker.still(to_uint8_array(picture))
    if not faces:
        raise InputError(
            "No face was found in the picture; use one where a face is seen from the front, at least 40 pixels high."
        )
    return torch.from_numpy(choose_face(faces, index))


def follow(frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Every frame (uint8 or 0–1 float [H, W, 3]) with the landmarks [478, 3] of one face, None where it is not seen.

    The face is chosen in the first frame that has one and followed by its position.
    """
    tracker.start_clip()
    last: np.ndarray | None = None
    seen_before = False
    for number, frame in enumerate(frames):
        picture = to_uint8_array(frame)
        faces = tracker.frame(picture)
        if not faces and last is None and number % SEARCH_EVERY == 0:
            faces = tracker.still(picture)  # a closer search, until the first face turns up
        face = None
        if faces and last is None:
            face = choose_face(faces, index)
        elif faces:
            near = min(faces, key=lambda f: np.hypot(*(_box(f)[:2] - _box(last)[:2])))
            # another person is not this one: a face does not jump by its own size between two frames it is seen in
            if not seen_before or np.hypot(*(_box(near)[:2] - _box(last)[:2])) < _box(last)[2]:
                face = near
        last = face if face is not None else last
        seen_before = face is not None
        yield frame, None if face is None else torch.from_numpy(face)


def clip_landmarks(
    frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1, each: Callable[[], None] = lambda: None
) -> list[Tensor | None]:
    """What `follow` finds in all frames. each: called after every frame."""
    found = []
    for _, landmarks in follow(frames, tracker, index):
        found.append(landmarks)
        each()
    return found


def filled(track: MotionTrack, seen: Sequence[bool], lost: str = "interpolate") -> MotionTrack:
    """The track of the frames in which a face was seen, spread over the whole clip.

    seen: for every frame of the clip whether it is one of the track's. lost: what stands in for the others:
    `interpolate` between the frames around, `previous` holds the last face, `empty` takes the pose of the first face
    (with relative motion from there: the still source). visible is False in all three.
    """
    visible = torch.tensor(list(seen))
    at = visible.nonzero().flatten()
    frame = torch.arange(len(visible))
    after = torch.searchsorted(at, frame).clamp(max=len(at) - 1)
    before = (torch.searchsorted(at, frame, right=True) - 1).clamp(min=0)
    if lost == "previous":
        low = high = before
    elif lost == "interpolate":
        low, high = before, after
    elif lost == "empty":
        low = high = torch.where(visible, before, torch.zeros_like(before))
    else:
        raise InputError(f"Frames without a face can be {', '.join(LOST)}, not {lost!r}.")
    gap = (at[high] - at[low]).clamp(min=1)
    share = ((frame - at[low]) / gap).clamp(0, 1)

    def between(x: Tensor) -> Tensor:
        w = share.reshape(-1, *[1] * (x.ndim - 1))
        return x[low] * (1 - w) + x[high] * w

    return track.replace(
        coefficients=FaceCoefficients(between(track.coefficients.values)),
        gaze=between(track.gaze),
        alignment=between(track.alignment),
        visible=visible,
    )
