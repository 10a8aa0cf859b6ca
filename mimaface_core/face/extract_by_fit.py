"""Extraction by fit: the bundled face model is fitted to tracked landmarks. The other way is `extract_by_d3dfr`."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from ..morphable.bundled.face import ProceduralFace
from ..morphable.model import PLANE
from ..motion.track import MotionTrack
from .crop import CROP_SIZE, crop_matrix, plane_alignment, transform_points, warp
from .fit import fit_landmarks
from .source import SourceFace


class FitExtractor:
    """Measures faces with the bundled face model, from landmarks (an `extract.Extractor`).

    Args:
        model: the face model.
        share: of the crop's side, filled by the face's box.
    """

    def __init__(self, model: ProceduralFace, share: float) -> None:
        self.model, self.share = model, share

    def still(self, image: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """Measure the face of a still, see `extract.Extractor.still`; source and driver have the same track."""
        matrix = crop_matrix(landmarks, self.share)
        points = transform_points(matrix, landmarks)
        track = self.fit(points[None], Fraction(25))
        crop = warp(image.permute(2, 0, 1) * 2 - 1, matrix)
        return SourceFace(image, crop, matrix, points, track), track

    def clip(self) -> FitClip:
        """A new clip, without frames yet."""
        return FitClip(self)

    def fit(self, points: Tensor, fps: Fraction) -> MotionTrack:
        """The motion of landmarks [N, 478, 3] in crop pixels."""
        coefficients, gaze = fit_landmarks(self.model, points * (PLANE / CROP_SIZE))
        visible = torch.ones(len(points), dtype=torch.bool)
        return MotionTrack(coefficients, gaze, plane_alignment(len(points)), visible, fps)


class FitClip:
    """One clip: cropped where the first frame shows the face, and fitted as a whole (an `extract.ClipExtractor`)."""

    def __init__(self, extractor: FitExtractor) -> None:
        self._extractor = extractor
        self._matrix: Tensor | None = None
        self._points: list[Tensor] = []

    def add(self, frame: Tensor | None, landmarks: Tensor) -> None:  # noqa: ARG002 - the protocol's; pixels are not used
        """Add a frame; only its landmarks [478, 3] count."""
        if self._matrix is None:
            self._matrix = crop_matrix(landmarks, self._extractor.share)
        self._points.append(transform_points(self._matrix, landmarks))

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all added frames, at least one."""
        return self._extractor.fit(torch.stack(self._points), fps)
