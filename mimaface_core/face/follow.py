"""Follow one face through a clip; fill frames without a detection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..motion.track import FaceCoefficients, MotionTrack
from ..tensors import between
from .crop import to_uint8_array
from .detect import FaceTracker
from .search import MOST_OUTSIDE, bounding_square, share_outside, whole_faces

SEARCH_INTERVAL = 12  # frames between two closer searches, until the first face of a clip is found
LOST = ("interpolate", "previous", "empty")  # fills for frames without a face


def choose_face(faces: list[np.ndarray], index: int) -> np.ndarray:
    """One of several faces.

    Args:
        faces: landmarks [478, 3] of at least one face.
        index: counted from the left of the image; −1 for the largest face.

    Returns:
        Its landmarks [478, 3].

    Raises:
        InputError: there are fewer faces.
    """
    if index < 0:
        return max(faces, key=lambda face: bounding_square(face)[2])
    if index >= len(faces):
        raise InputError(
            f"Face {index} was asked for, but only {len(faces)} were found; "
            f"choose 0–{len(faces) - 1}, or −1 for the largest."
        )
    return sorted(faces, key=lambda face: bounding_square(face)[0])[index]


def still_landmarks(image: Tensor, tracker: FaceTracker, index: int = -1) -> Tensor:
    """Landmarks of one face of a still.

    Args:
        image: [H, W, 3], uint8 or float in 0–1.
        tracker: finds the faces.
        index: see `choose_face`.

    Returns:
        [478, 3] in pixels, the third is the depth.

    Raises:
        InputError: the image shows no face, or fewer than `index` asks for.
    """
    pixels = to_uint8_array(image)
    faces = tracker.still(pixels)
    if not faces:
        raise InputError(
            "No face was found in the image; use one where a face is seen from the front, at least 40 pixels high."
        )
    face = choose_face(faces, index)
    if share_outside(face, pixels) > MOST_OUTSIDE:
        raise InputError("A large part of the face lies outside the image; use one that shows the whole face.")
    return torch.from_numpy(face)


def follow(frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Landmarks of one face in every frame of a clip.

    The face is chosen in the first frame that has one and followed by its position. Where a large part of it lies
    outside the image, it counts as lost.

    Args:
        frames: images [H, W, 3], uint8 or float in 0–1.
        tracker: finds the faces.
        index: see `choose_face`.

    Yields:
        Each frame with the landmarks [478, 3] of the face, None where it is lost.

    Raises:
        InputError: the first frame with a face has fewer than `index` asks for.
    """
    tracker.start_clip()
    last: np.ndarray | None = None
    visible = False
    for number, frame in enumerate(frames):
        image = to_uint8_array(frame)
        faces = whole_faces(tracker.frame(image), image)
        if last is not None:
            face = _same_face(faces, last, visible)
        else:
            if not faces and number % SEARCH_INTERVAL == 0:
                faces = whole_faces(tracker.still(image), image)
            face = choose_face(faces, index) if faces else None
        visible = face is not None
        last = face if face is not None else last
        yield frame, None if face is None else torch.from_numpy(face)


def _same_face(faces: list[np.ndarray], last: np.ndarray, adjacent: bool) -> np.ndarray | None:
    """The face nearest to the last one; None where it jumped by more than its size between adjacent frames."""
    if not faces:
        return None
    *centre, size = bounding_square(last)

    def distance(face: np.ndarray) -> float:
        return float(np.hypot(*(bounding_square(face)[:2] - centre)))

    nearest = min(faces, key=distance)
    return nearest if not adjacent or distance(nearest) < size else None


def clip_landmarks(frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1) -> list[Tensor | None]:
    """The landmarks that `follow` finds in each frame."""
    return [landmarks for _, landmarks in follow(frames, tracker, index)]


def filled(track: MotionTrack, visible: Sequence[bool], lost: str = "interpolate") -> MotionTrack:
    """A track of the frames that show a face, extended to all frames of the clip.

    Args:
        track: the motion of the visible frames.
        visible: for every frame of the clip, whether the track holds it.
        lost: the fill for the others. `interpolate` is linear between the frames around, `previous` holds the last
            face, `empty` takes the pose of the first face (with relative motion from there: the still source).

    Returns:
        The track of the whole clip; its `visible` is False in filled frames.

    Raises:
        InputError: an unknown fill.
    """
    shown = torch.tensor(list(visible))
    at = shown.nonzero().flatten()
    frame = torch.arange(len(shown))
    after = torch.searchsorted(at, frame).clamp(max=len(at) - 1)
    before = (torch.searchsorted(at, frame, right=True) - 1).clamp(min=0)
    if lost == "previous":
        low = high = before
    elif lost == "interpolate":
        low, high = before, after
    elif lost == "empty":
        low = high = torch.where(shown, before, torch.zeros_like(before))
    else:
        raise InputError(f"Frames without a face can be {', '.join(LOST)}, not {lost!r}.")
    gap = (at[high] - at[low]).clamp(min=1)
    share = ((frame - at[low]) / gap).clamp(0, 1)
    values, gaze, alignment = (
        between(part[low], part[high], share) for part in (track.coefficients.values, track.gaze, track.alignment)
    )
    return track.replace(
        coefficients=FaceCoefficients(values), gaze=gaze, alignment=alignment, visible=shown, shot=track.shot[before]
    )
