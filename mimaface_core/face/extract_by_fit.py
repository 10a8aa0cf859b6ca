"""Extraction by fit: the bundled face model is fitted to tracked landmarks. The other way is `extract_by_d3dfr`."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.groups import expression_groups
from ..morphable.model import PLANE
from ..motion.track import MotionTrack
from ..tracker.face import Face
from .camera import CameraMotion
from .crop import CROP_SIZE, crop_matrix, plane_alignment, transform_points, warp
from .fit import fit_landmarks
from .gaze import seen_gaze
from .occlusion import REGIONS, Visibility, hold_hidden
from .source import SourceFace

USUAL_ERROR = 0.03  # of a landmark, over the distance of the eyes; from there on it is believed less


class FitExtractor:
    """Measures faces with the bundled face model, from landmarks (an `extract.Extractor`).

    Args:
        model: the face model.
        share: of the crop's side, filled by the face's box.
    """

    def __init__(self, model: BundledFace, share: float) -> None:
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

    def fit(self, points: Tensor, fps: Fraction, trust: Tensor | None = None) -> MotionTrack:
        """The motion of landmarks [N, 478, 3] in crop pixels, each believed by its share [N, 478] (all when None)."""
        coefficients, gaze = fit_landmarks(self.model, points * (PLANE / CROP_SIZE), trust)
        gaze = seen_gaze(gaze, self.model.openness(coefficients.identity, coefficients.expression))
        visible = torch.ones(len(points), dtype=torch.bool)
        return MotionTrack(coefficients, gaze, plane_alignment(len(points)), visible, fps)


class FitClip:
    """One clip, fitted as a whole (an `extract.ClipExtractor`).

    Each shot is cropped where it usually shows the face, in the view of the camera at its first frame: movements of
    the camera, as far as the surroundings tell them, are none of the head.
    """

    def __init__(self, extractor: FitExtractor) -> None:
        self._extractor = extractor
        self._shots: list[int] = []
        self._landmarks: list[Tensor] = []
        self._trust: list[Tensor] = []
        self._camera: CameraMotion  # of the shot, from its first frame on
        self._visibility: list[Visibility] = []  # of each shot

    def add(self, frame: Tensor | None, landmarks: Tensor, shot: int = 0, face: Face | None = None) -> None:
        """Add a frame with landmarks [478, 3], see `extract.ClipExtractor.add`.

        Without the frame, the camera counts as standing and everything as seen.
        """
        if not self._shots or shot != self._shots[-1]:
            self._camera = CameraMotion()
            self._visibility.append(Visibility())
        if frame is not None:
            self._visibility[-1].add(frame, landmarks, None if face is None else face.seen)
            landmarks = transform_points(self._camera.add(frame, landmarks), landmarks)
        self._landmarks.append(landmarks)
        trust = None if face is None else face.trust(USUAL_ERROR)
        self._trust.append(torch.ones(len(landmarks)) if trust is None else torch.from_numpy(trust))
        self._shots.append(shot)

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all added frames, at least one."""
        landmarks, shots = torch.stack(self._landmarks), torch.tensor(self._shots)
        points = torch.empty_like(landmarks)
        for shot in shots.unique():
            within = (shots == shot).nonzero().flatten()
            matrix = crop_matrix(landmarks[within].median(0).values, self._extractor.share)
            points[within] = torch.stack([transform_points(matrix, frame) for frame in landmarks[within]])
        track = self._extractor.fit(points, fps, torch.stack(self._trust)).replace(shot=shots)
        seen = torch.ones(len(track), len(REGIONS), dtype=torch.bool)
        for shot, visibility in zip(shots.unique(), self._visibility, strict=True):
            told = visibility.seen()
            if told is not None:
                seen[shots == shot] = told
        return hold_hidden(track, seen, expression_groups(track.basis))
