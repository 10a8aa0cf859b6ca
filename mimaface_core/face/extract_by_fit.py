"""Extraction by fit: the bundled face model is fitted to tracked landmarks. The other way is `extract_by_d3dfr`."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import torch
from torch import Tensor

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import LANDMARK_COUNT
from ..morphable.model import PLANE
from ..motion.track import MotionTrack
from ..tracker.face import Face
from .camera import CameraMotion
from .crop import CROP_SIZE, crop_matrix, plane_alignment, transform_points, warp
from .fit import fit_landmarks
from .gaze import seen_gaze
from .occlusion import REGIONS, Holding, Visibility
from .slip import Slip
from .source import SourceFace

KNOWN = 16  # first frames of a live face, by which it is known who that is
LIVE_FPS = Fraction(25)  # that tracks of live faces state
USUAL_ERROR = 0.03  # of a landmark, over the distance of the eyes; from there on it is believed less


class FitExtractor:
    """Measures faces with the bundled face model, from landmarks (an `extract.Extractor`).

    Args:
        model: the face model.
        share: of the crop's side, filled by the face's box.
        size: S, side of a source's crop in pixels; tracks are those of a crop of 512 all the same.
    """

    def __init__(self, model: BundledFace, share: float, size: int = CROP_SIZE) -> None:
        self.model, self.share, self.size = model, share, size

    def still(self, image: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """Measure the face of a still, see `extract.Extractor.still`; source and driver have the same track."""
        matrix = crop_matrix(landmarks, self.share)
        points = transform_points(matrix, landmarks)
        track = self.fit(points[None], Fraction(25))
        larger = self.size / CROP_SIZE
        crop = warp(image.permute(2, 0, 1) * 2 - 1, matrix * larger, self.size)
        return SourceFace(image, crop, matrix * larger, points * larger, track), track

    def clip(self) -> FitClip:
        """A new clip, without frames yet."""
        return FitClip(self)

    def live(self) -> LiveFit:
        """A face whose frames come one by one, without frames yet."""
        return LiveFit(self)

    def fit(
        self, points: Tensor, fps: Fraction, trust: Tensor | None = None, identity: Tensor | None = None
    ) -> MotionTrack:
        """The motion of landmarks [N, 478, 3] in crop pixels.

        Each is believed by its share [N, 478] (all when None); identity [1, 80] is fitted, too, when None.
        """
        coefficients, gaze = fit_landmarks(self.model, points * (PLANE / CROP_SIZE), trust, identity)
        gaze = seen_gaze(gaze, self.model.openness(coefficients.identity, coefficients.expression))
        visible = torch.ones(len(points), dtype=torch.bool)
        return MotionTrack(coefficients, gaze, plane_alignment(len(points)), visible, fps)


class FitClip:
    """One clip, fitted passage by passage (an `extract.ClipExtractor`); the first one tells identity for all.

    Each shot is cropped where its first passage mostly shows the face, in the view of the camera at its first frame:
    movements of the camera, as far as the surroundings tell them, are none of the head. Landmarks are held to the skin.
    """

    def __init__(self, extractor: FitExtractor) -> None:
        self._extractor = extractor
        self._shot = -1  # the latest one, of which are:
        self._camera: CameraMotion
        self._visibility: Visibility
        self._slip: Slip
        self._matrix: Tensor | None = None  # to the crop, where an earlier passage has shown it
        self._identity: Tensor | None = None
        self._holding = Holding()
        self._passage: list[_Part] = []  # a shot each

    def add(self, frame: Tensor | None, landmarks: Tensor, shot: int = 0, face: Face | None = None) -> None:
        """Add a frame with landmarks [478, 3], see `extract.ClipExtractor.add`.

        Without the frame, the camera counts as standing and everything as seen.
        """
        if shot != self._shot:
            self._shot, self._matrix = shot, None
            self._camera, self._visibility, self._slip = CameraMotion(), Visibility(), Slip()
        if not self._passage or shot != self._passage[-1].shot:
            self._passage.append(_Part(shot, self._visibility, self._matrix))
        if frame is not None:
            self._visibility.add(frame, landmarks, None if face is None else face.seen)
            landmarks = transform_points(self._camera.add(frame, landmarks), self._slip.add(frame, landmarks))
        self._passage[-1].landmarks.append(landmarks)
        self._passage[-1].trust.append(_trust(face))

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of the frames added since the last call, at least one."""
        points, trust, shots, seen = [], [], [], []
        for part in self._passage:
            landmarks = torch.stack(part.landmarks)
            if part.matrix is None:
                part.matrix = crop_matrix(landmarks.median(0).values, self._extractor.share)
            points += [transform_points(part.matrix, frame) for frame in landmarks]
            trust += part.trust
            shots += [part.shot] * len(landmarks)
            told = part.visibility.seen()
            everything = torch.ones(len(landmarks), len(REGIONS), dtype=torch.bool)
            seen.append(everything if told is None else told[-len(landmarks) :])
            part.visibility.forget()
        self._matrix, self._passage = self._passage[-1].matrix, []
        track = self._extractor.fit(torch.stack(points), fps, torch.stack(trust), self._identity)
        self._identity = track.coefficients.identity[:1]
        return self._holding.add(track.replace(shot=torch.tensor(shots)), torch.cat(seen))


@dataclass
class _Part:
    """Frames of one shot that are fitted together."""

    shot: int
    visibility: Visibility
    matrix: Tensor | None  # to the crop
    landmarks: list[Tensor] = field(default_factory=list)
    trust: list[Tensor] = field(default_factory=list)


class LiveFit:
    """A face fitted frame by frame (an `extract.LiveExtractor`): the first KNOWN frames tell its identity for good."""

    def __init__(self, extractor: FitExtractor) -> None:
        self._extractor = extractor
        self._matrix: Tensor | None = None  # to the crop, where the face was first
        self._points: list[Tensor] = []
        self._trust: list[Tensor] = []
        self._rest: MotionTrack  # of the first frame, from it on
        self._slip = Slip()

    def add(self, frame: Tensor, face: Face) -> MotionTrack:
        """The first frame and this one, see `extract.LiveExtractor.add`."""
        landmarks = self._slip.add(frame, torch.from_numpy(face.landmarks))
        if self._matrix is None:
            self._matrix = crop_matrix(landmarks, self._extractor.share)
        points, trust = transform_points(self._matrix, landmarks), _trust(face)
        if len(self._points) < KNOWN:
            self._points.append(points)
            self._trust.append(trust)
            if len(self._points).bit_count() == 1:  # the first, second, fourth …: a fit of all takes long
                track = self._extractor.fit(torch.stack(self._points), LIVE_FPS, torch.stack(self._trust))
                self._rest = track[:1]
                return MotionTrack.concatenate([self._rest, track[-1:]])
        identity = self._rest.coefficients.identity
        return MotionTrack.concatenate([self._rest, self._extractor.fit(points[None], LIVE_FPS, trust[None], identity)])


def _trust(face: Face | None) -> Tensor:
    """How far each landmark is believed [478]: fully, where nothing is known of its error."""
    trust = None if face is None else face.trust(USUAL_ERROR)
    return torch.ones(LANDMARK_COUNT) if trust is None else torch.from_numpy(trust)
