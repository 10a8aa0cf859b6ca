"""FaceTracker: faces of an image with 478 landmarks each, by the bundled networks or by mediapipe."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from .. import host
from ..errors import InputError
from ..tracker.face import Face

TRACKERS = ("auto", "bundled", "mediapipe")
# what mediapipe raises where it is missing, lacks its model, or finds versions of its requirements that it cannot use
BROKEN = (InputError, ImportError, AttributeError, TypeError, ValueError, RuntimeError, OSError)


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

    def prepare(self, images: Sequence[np.ndarray]) -> None:
        """Be told the clip's next frames; a tracker may look at them at once."""

    def frame(self, image: np.ndarray) -> list[Face]:
        """All faces of the clip's next frame, in no fixed order; positions are tracked from frame to frame."""


def face_tracker(kind: str = TRACKERS[0]) -> FaceTracker:
    """A face tracker.

    Args:
        kind: `bundled`, which needs nothing but PyTorch; `mediapipe`, whose newer releases read their model from the
            host's folders; or `auto`: mediapipe where it works, since drivers are followed a little closer with it
            (docs/tracker.md), else the bundled one.

    Raises:
        InputError: there is no such tracker; or mediapipe, or its model file, is missing.
    """
    if kind == "auto":
        return _best_tracker()
    if kind == "bundled":
        from .bundled_tracker import BundledTracker

        return BundledTracker()
    if kind == "mediapipe":
        require_tracker(kind)
        from .mediapipe_tracker import mediapipe_tracker

        return mediapipe_tracker(host.current().models_folders())
    raise InputError(f"There is no face tracker '{kind}'; choose {', '.join(TRACKERS[:-1])} or {TRACKERS[-1]}.")


def _best_tracker() -> FaceTracker:
    """Mediapipe where it is installed and works, else the bundled tracker."""
    try:
        return face_tracker("mediapipe")
    except BROKEN:
        return face_tracker("bundled")


def require_tracker(kind: str) -> None:
    """Raises InputError when a tracker is `mediapipe` and that is not installed; it is not imported."""
    if kind == "mediapipe" and find_spec("mediapipe") is None:
        raise InputError(NO_MEDIAPIPE)
