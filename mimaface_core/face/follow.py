"""Follow one face through a clip: by its place from frame to frame, by its likeness where that is not enough."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError
from ..tracker.face import Face
from .comfy_landmarks import ConnectedTracker
from .crop import to_uint8_array
from .cuts import with_shots
from .detect import FaceTracker
from .faces import MAX_FACES_CLIP, MOST_OUTSIDE, bounding_square, share_outside, whole_faces
from .likeness import Person, Signature, signature, unlikeness

SEARCH_INTERVAL, MAX_SEARCH_INTERVAL = 12, 96  # frames between closer searches, which double, until a face is found
STRANGER = 0.55  # unlikeness from which a face is somebody else: the same person's stays below
SURE = 0.45  # unlikeness below which a view is learned
JUMP = 0.45  # unlikeness of adjacent frames that no movement makes: 0.27 at 10 frames a second
STEADY = 0.08  # mean movement of landmarks, in sizes of the face, within which it is the same face in any light
NEAR = 1.5  # distance of another face, in sizes of the one followed, at which they may be confused
CROWD_FRAMES = 25  # that likeness is checked after another face was near
AS_LIKE = 0.12  # of faces whose unlikeness differs by less the nearer one is taken: a mirror shows the same person
AT_ONCE = 8  # frames that a tracker is told of
WINDOW = 2.0  # side of the window in which a face is looked for when the tracker loses it, over its size


class Followed(NamedTuple):
    """A frame of a clip with the face that is followed.

    Attributes:
        frame: image [H, W, 3], as it came.
        landmarks: [478, 3] in its pixels; None where the face is lost.
        shot: number of the frame's shot.
        face: the same with what the tracker knows of its errors; None where the face is lost.
        pixels: the frame in uint8.
    """

    frame: Tensor
    landmarks: Tensor | None
    shot: int
    face: Face | None
    pixels: Tensor


def choose_face(faces: list[Face], index: int) -> Face:
    """One of several faces.

    Args:
        faces: at least one.
        index: counted from the left of the image; −1 for the largest face.

    Raises:
        InputError: there are fewer faces.
    """
    if index < 0:
        return max(faces, key=lambda face: bounding_square(face.landmarks)[2])
    if index >= len(faces):
        raise InputError(
            f"Face {index} was asked for, but only {len(faces)} were found; "
            f"choose 0–{len(faces) - 1}, or −1 for the largest."
        )
    return sorted(faces, key=lambda face: bounding_square(face.landmarks)[0])[index]


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
    if share_outside(face.landmarks, pixels) > MOST_OUTSIDE:
        raise InputError("A large part of the face lies outside the image; use one that shows the whole face.")
    return torch.from_numpy(face.landmarks)


def follow(frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1) -> Iterator[Followed]:
    """Landmarks of one face in every frame of a clip.

    The face is chosen in the first frame that has one. It is followed by its place from frame to frame; where other
    faces are near, where it was lost, and after a cut, by its likeness. Where only somebody else is there, it is lost.

    Args:
        frames: images [H, W, 3], uint8 or float in 0–1; some are read ahead, see AT_ONCE and `cuts.with_shots`.
        tracker: finds the faces.
        index: see `choose_face`.

    Yields:
        Each frame with the landmarks of the face and the number of its shot.

    Raises:
        InputError: the first frame with a face has fewer than `index` asks for.
    """
    tracker.start_clip()
    chosen = ChosenFace(tracker, index)
    shown = with_shots(frames)
    waiting: deque[tuple[np.ndarray, Tensor, int]] = deque()
    while True:
        waiting.extend((to_uint8_array(frame), frame, shot) for frame, shot in islice(shown, AT_ONCE))
        if not waiting:
            return
        tracker.prepare([image for image, *_ in waiting])
        while waiting:
            image, frame, shot = waiting.popleft()
            face = chosen.find(image, shot)
            landmarks = None if face is None else torch.from_numpy(face.landmarks)
            yield Followed(frame, landmarks, shot, face, torch.from_numpy(image))


def clip_landmarks(frames: Iterable[Tensor], tracker: FaceTracker, index: int = -1) -> list[Tensor | None]:
    """The landmarks that `follow` finds in each frame."""
    return [followed.landmarks for followed in follow(frames, tracker, index)]


class ChosenFace:
    """The state of `follow`: who is followed, and where that face was last; also for frames that come one by one.

    Args:
        tracker: with a clip started.
        index: see `choose_face`.
    """

    def __init__(self, tracker: FaceTracker, index: int) -> None:
        self._tracker, self._index = tracker, index
        self._by_frame_number = isinstance(tracker, ConnectedTracker)  # which cannot start anew, nor search
        self._person = Person()
        self._last: Face | None = None
        self._view: Signature | None = None  # of the last frame; None where the face was lost in it
        self._shot = self._number = self._crowd = 0
        self._search_at, self._interval = 0, SEARCH_INTERVAL

    def find(self, image: np.ndarray, shot: int) -> Face | None:
        """The face in the clip's next frame uint8 [H, W, 3]; None where it is not there."""
        if shot != self._shot:
            self._shot, self._number, self._view, self._crowd = shot, 0, None, CROWD_FRAMES
            self._search_at, self._interval = 0, SEARCH_INTERVAL
            if not self._by_frame_number:
                self._tracker.start_clip()
        faces = whole_faces(self._tracker.frame(image), image)
        if self._last is None:
            face, view = self._first(faces, image), None
        else:
            face, view = self._again(faces, image)
            if face is None and self._search_due():
                face, view = self._likest(whole_faces(self._tracker.still(image), image), image)
        if face is not None:
            self._last, self._view = face, view or signature(image, face.landmarks)
            self._person.learn(self._view, SURE)
            self._search_at = -1  # found in this shot
        else:
            self._view = None
        self._number += 1
        return face

    def _search_due(self) -> bool:
        """Whether a closer search is due, in ever longer intervals until the face is found in this shot."""
        if self._number != self._search_at:
            return False
        self._search_at, self._interval = self._number + self._interval, min(2 * self._interval, MAX_SEARCH_INTERVAL)
        return True

    def _first(self, faces: list[Face], image: np.ndarray) -> Face | None:
        """The face to follow, in the first frame that has one."""
        few = self._index < len(faces) < MAX_FACES_CLIP
        if (faces and not few) or (not faces and self._search_due()):
            faces = whole_faces(self._tracker.still(image), image) or faces
        return choose_face(faces, self._index) if faces else None

    def _again(self, faces: list[Face], image: np.ndarray) -> tuple[Face | None, Signature | None]:
        """The face among those of the next frame, and its signature."""
        assert self._last is not None
        nearest = min(faces, key=self._distance, default=None)
        near = [face for face in faces if self._distance(face) < NEAR]
        self._crowd = CROWD_FRAMES if len(near) > 1 else max(0, self._crowd - 1)
        if self._view is None or nearest is None or self._crowd or self._distance(nearest) >= 1:
            face, view = self._likest(faces, image)
            if face is None and self._view is not None and not self._by_frame_number:
                face, view = self._likest(self._about_last(image), image)
            return face, view
        view = signature(image, nearest.landmarks)
        jumped = self._moved(nearest) > STEADY and unlikeness(view, self._view) > JUMP
        return (None, None) if jumped and self._person.unlikeness(view) > STRANGER else (nearest, view)

    def _likest(self, faces: list[Face], image: np.ndarray) -> tuple[Face | None, Signature | None]:
        """The face that looks most like the person, the nearest of several that do; None where all are strangers."""
        views = [signature(image, face.landmarks) for face in faces]
        scores = [self._person.unlikeness(view) for view in views]
        least = min(scores, default=STRANGER)
        if least >= STRANGER:
            return None, None
        alike = [i for i, score in enumerate(scores) if score < min(least + AS_LIKE, STRANGER)]
        best = min(alike, key=lambda i: self._distance(faces[i]))
        return faces[best], views[best]

    def _distance(self, face: Face) -> float:
        """Of a face from the last place of the one followed, in sizes of it."""
        assert self._last is not None
        *centre, size = bounding_square(self._last.landmarks)
        return float(np.hypot(*(bounding_square(face.landmarks)[:2] - centre)) / max(size, 1))

    def _moved(self, face: Face) -> float:
        """How far the landmarks are from the last ones, on average, in sizes of the face."""
        assert self._last is not None
        steps = np.linalg.norm((face.landmarks - self._last.landmarks)[:, :2], axis=1)
        return float(steps.mean() / max(bounding_square(self._last.landmarks)[2], 1))

    def _about_last(self, image: np.ndarray) -> list[Face]:
        """Faces in a window about the last place."""
        assert self._last is not None
        x, y, size = bounding_square(self._last.landmarks)
        half = WINDOW * size / 2
        left, top = (max(0, int(side - half)) for side in (x, y))
        window = image[top : int(y + half) + 1, left : int(x + half) + 1]
        if not window.size:
            return []
        faces = [face.shifted(left, top) for face in self._tracker.still(window)]
        return whole_faces(faces, image)
