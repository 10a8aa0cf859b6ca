"""FaceTracker: faces of an image with 478 landmarks each, by the bundled networks or by mediapipe."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

import numpy as np

from .. import host
from ..errors import InputError
from ..tracker.face import Face

TRACKERS = ("bundled", "mediapipe")  # in the order of their measured quality, see docs/tracker.md


NO_MEDIAPIPE = (
    "mediapipe is not installed: choose the bundled tracker, or run `pip install mediapipe==0.10.21 --no-deps` (and "
    "`flatbuffers absl-py attrs matplotlib opencv-python-headless 'protobuf<5'`)."
)


class FaceTracker(Protocol):
    """Finds faces in images uint8 [H, W, 3]."""

    def still(self, image: np.ndarray) -> list[Face]:
        """All faces of one image, the largest first."""

    def start_clip(self) -> None:
        """Start a new clip: earlier frames no longer count."""

    def frame(self, image: np.ndarray) -> list[Face]:
        """All faces of the clip's next frame, in no fixed order; positions are tracked from frame to frame."""


def face_tracker(kind: str = TRACKERS[0]) -> FaceTracker:
    """A face tracker.

    Args:
        kind: `bundled`, which needs nothing but PyTorch, or `mediapipe`, whose newer releases read their model from the
            host's folders.

    Raises:
        InputError: there is no such tracker; or mediapipe, or its model file, is missing.
    """
    if kind == "bundled":
        from .bundled_tracker import BundledTracker

        return BundledTracker()
    if kind == "mediapipe":
        require_tracker(kind)
        from .mediapipe_tracker import mediapipe_tracker

        return mediapipe_tracker(host.current().models_folders())
    raise InputError(f"There is no face tracker '{kind}'; choose {' or '.join(TRACKERS)}.")


def require_tracker(kind: str) -> None:
    """Raises InputError when a tracker is `mediapipe` and that is not installed; it is not imported."""
    if kind == "mediapipe" and find_spec("mediapipe") is None:
        raise InputError(NO_MEDIAPIPE)
