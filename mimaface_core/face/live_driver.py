"""A driver's face in frames that come one by one, as from a camera."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .. import checks
from ..errors import InputError
from ..media.frames import check_image
from ..tracker.face import Face
from .crop import to_uint8_array
from .detect import FaceTracker, face_tracker
from .follow import ChosenFace


class DriverFace:
    """Follows one face; memory is constant.

    Args:
        index: which one of several in a frame: −1 the largest, else counted from the left, 0 the leftmost.
        tracker: finds the face; or the name of one, see `detect.face_tracker`.

    Attributes:
        found: whether the last frame showed the face.
    """

    def __init__(self, index: int, tracker: FaceTracker | str) -> None:
        self._index = index
        self._tracker = face_tracker(tracker) if isinstance(tracker, str) else tracker
        self._size: torch.Size | None = None
        self.start()

    def start(self) -> None:
        """Forget whom earlier frames have shown."""
        self._tracker.start_clip()
        self._chosen = ChosenFace(self._tracker, self._index)
        self.found = False

    def is_new_view(self, frame: Tensor) -> bool:
        """Whether a frame has another size than the one before: another camera's, or a turned one's."""
        new, self._size = frame.shape != self._size, frame.shape
        return new

    def find(self, frame: Tensor) -> Face | None:
        """The face in the next frame, as `checked_frame` returns it; None where it is not there."""
        face = self._chosen.find(to_uint8_array(frame), 0)
        self.found = face is not None
        return face


def checked_frame(frame: Tensor | np.ndarray) -> Tensor:
    """A driver's frame [H, W, 3], uint8 or float in 0–1. Raises InputError for what is none."""
    checks.kind(Tensor, np.ndarray, remedy="give an image [H, W, 3]")("frame", frame)
    frame = torch.as_tensor(frame)
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.numel():
        raise InputError(f"A frame must have shape [H, W, 3], not {list(frame.shape)}.")
    if frame.dtype != torch.uint8 and not frame.is_floating_point() or not frame.isfinite().all():
        raise InputError("A frame must be uint8, or finite floats in 0–1.")
    check_image(frame)
    return frame
