"""Measuring by fit: the bundled face model, fitted to the landmarks that the tracker finds."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from ..morphable.bundled.face import ProceduralFace
from ..motion.track import MotionTrack
from .crop import CROP_SIZE, PLANE, crop_matrix, plane_alignment, transform_points, warp
from .fit import fit_landmarks
from .source import SourceFace


class FitExtractor:
    """How a pack with the bundled face model measures faces (a `extract.Extractor`).

    model: the face model. share: how much of the crop's side the face's box fills.
    """

    def __init__(self, model: ProceduralFace, share: float) -> None:
        self.model, self.share = model, share

    def still(self, picture: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """The person in a picture [H, W, 3] in 0–1 with landmarks [478, 3]; the motion is the person's own."""
        clip = self.clip()
        clip.add(picture, landmarks)
        track, matrix = clip.track(Fraction(25)), clip.matrix
        crop = warp(picture.permute(2, 0, 1) * 2 - 1, matrix)
        return SourceFace(picture, crop, matrix, transform_points(matrix, landmarks), track), track

    def clip(self) -> FitClip:
        """A new clip to be measured."""
        return FitClip(self)


class FitClip:
    """The frames of one clip: cropped where the first one shows the face, and fitted together."""

    def __init__(self, how: FitExtractor) -> None:
        self._how = how
        self._points: list[Tensor] = []
        self.matrix: Tensor | None = None

    def add(self, frame: Tensor, landmarks: Tensor) -> None:
        """Add a frame [H, W, 3] with landmarks [478, 3] in its pixels."""
        if self.matrix is None:
            self.matrix = crop_matrix(landmarks, self._how.share)
        self._points.append(transform_points(self.matrix, landmarks))

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all frames that were added."""
        points = torch.stack(self._points)
        coefficients, gaze = fit_landmarks(self._how.model, points * (PLANE / CROP_SIZE))
        visible = torch.ones(len(points), dtype=torch.bool)
        return MotionTrack(coefficients, gaze, plane_alignment(len(points)), visible, fps)
