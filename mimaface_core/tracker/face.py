"""A tracked face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .regions import eye_distance


class Face(NamedTuple):
    """A face in an image.

    Attributes:
        landmarks: [478, 3] float32, x and y in pixels of the image, the depth in the same unit (smaller = nearer).
        deviation: [478] float32, expected error of each, pixels; None where the tracker cannot tell.
        seen: [478] float32, probability that nothing hides it; None where the tracker cannot tell.
        score: probability that it is a face.
    """

    landmarks: np.ndarray
    deviation: np.ndarray | None = None
    seen: np.ndarray | None = None
    score: float = 1.0

    @property
    def doubt(self) -> float:
        """Expected error of most landmarks, over the distance of the eyes; 0 where the tracker cannot tell."""
        return 0.0 if self.deviation is None else float(np.median(self.deviation)) / eye_distance(self.landmarks)

    def trust(self, unit: float) -> np.ndarray | None:
        """How far each landmark is to be believed [478], 0–1; None where the tracker cannot tell.

        Args:
            unit: expected error that counts as usual, over the distance of the eyes.
        """
        if self.deviation is None or self.seen is None:
            return None
        usual = unit * eye_distance(self.landmarks)
        return np.asarray(self.seen * np.minimum(np.square(usual / self.deviation), 1), np.float32)

    def shifted(self, x: float, y: float) -> Face:
        """The face elsewhere in the image."""
        return self._replace(landmarks=self.landmarks + np.array([x, y, 0], np.float32))
