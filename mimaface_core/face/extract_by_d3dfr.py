"""Extraction as released: D3DFR regresses coefficients from aligned faces. The other way is `extract_by_fit`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import host
from ..motion.alignment import aligned
from ..motion.track import BFM, FaceCoefficients, MotionTrack
from ..tensors import from_whole_centres, to_float
from ..tracker.face import Face
from .crop import CROP_SIZE, to_uint8_array, transform_points
from .d3dfr import CoefficientNetwork, regress
from .five_points import box_crop, face_box, five_points, similarity
from .source import SourceFace

BATCH = 8  # faces that go through the network at once
RELEASED, ASPECT = "as released", "keep aspect"
FRAMINGS = (RELEASED, ASPECT)
FULL_FRAME = torch.eye(2, 3, dtype=torch.float64)  # crop matrix of a frame that is its own crop


class D3DFRExtractor:
    """Measures faces with D3DFR's network, from pixels (an `extract.Extractor`).

    Args:
        network: the coefficient network.
        framing: how a driver's frames are cropped. `as released` squeezes them to 512 × 512 pixels, whatever their
            shape, and crops about the first frame's face; a still of 512 × 512 pixels is not cropped at all.
            `keep aspect` scales frames to 512 pixels on the shorter side, and always crops.
    """

    def __init__(self, network: CoefficientNetwork, framing: str = RELEASED) -> None:
        self.network, self.framing = network, framing

    def still(self, image: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """Measure the face of a still, see `extract.Extractor.still`; source and driver are cropped differently."""
        points = five_points(landmarks[None])[0]
        matrix = box_crop(face_box(points))
        crop = cut(image, matrix)
        clip = D3DFRClip(self, matrix)
        clip.add_crop(crop, transform_points(matrix, points))
        crop_matrix = from_whole_centres(matrix).float()
        placed = transform_points(crop_matrix, landmarks)
        source = SourceFace(image, crop, crop_matrix, placed, clip.track(Fraction(25)))

        full = self.framing == RELEASED and tuple(image.shape[:2]) == (CROP_SIZE, CROP_SIZE)
        driver = D3DFRClip(self, FULL_FRAME if full else None)
        driver.add(image, landmarks)
        return source, driver.track(Fraction(25))

    def clip(self) -> D3DFRClip:
        """A new clip, without frames yet."""
        return D3DFRClip(self)

    def live(self) -> LiveD3DFR:
        """A face whose frames come one by one, without frames yet."""
        return LiveD3DFR(self)


class D3DFRClip:
    """One clip: all frames cropped alike, and regressed in batches (an `extract.ClipExtractor`).

    Args:
        extractor: network and framing.
        matrix: [2, 3], pixels of the scaled frames to crop pixels, with whole-number pixel centres; from the face of
            the first frame when None.

    Attributes:
        matrix: the same, known from the first frame on.
    """

    def __init__(self, extractor: D3DFRExtractor, matrix: Tensor | None = None) -> None:
        self._extractor, self.matrix = extractor, matrix
        self._waiting: list[Tensor] = []
        self._alignment: list[Tensor] = []
        self._coefficients: list[Tensor] = []
        self._eyes: list[Tensor] = []
        self._shots: list[int] = []
        self._shot = 0  # the latest one

    def add(
        self,
        frame: Tensor,
        landmarks: Tensor,
        shot: int = 0,
        face: Face | None = None,  # noqa: ARG002  # five points place the crop, the network measures its pixels
    ) -> None:
        """Add a frame [H, W, 3] with landmarks [478, 3] in its pixels; `keep aspect` crops each shot anew."""
        keep_aspect = self._extractor.framing == ASPECT
        scaled = resized(frame, keep_aspect)
        if keep_aspect and shot != self._shot:
            self.matrix = None
        self._shot = shot
        ratio = torch.tensor([scaled.shape[1] / frame.shape[1], scaled.shape[0] / frame.shape[0]])
        points = five_points(landmarks[None, :, :2] * ratio)[0]
        if self.matrix is None:
            self.matrix = box_crop(face_box(points))
        self.add_crop(cut(scaled, self.matrix), transform_points(self.matrix, points), shot)

    def add_crop(self, crop: Tensor, points: Tensor, shot: int = 0) -> None:
        """Add a crop [3, 512, 512] in ±1 with its five points [5, 2]."""
        alignment = similarity(points[None]).float()
        self._alignment.append(alignment)
        self._shots.append(shot)
        self._waiting.append(aligned(crop[None], alignment))
        if len(self._waiting) == BATCH:
            self._regress()

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of the frames added since the last call, at least one; gaze is the pupil head's four numbers."""
        if self._waiting:
            self._regress()
        coefficients = FaceCoefficients(torch.cat(self._coefficients))
        visible = torch.ones(len(coefficients), dtype=torch.bool)
        shots = torch.tensor(self._shots)
        track = MotionTrack(coefficients, torch.cat(self._eyes), torch.cat(self._alignment), visible, fps, BFM, shots)
        self._coefficients, self._eyes, self._alignment, self._shots = [], [], [], []
        return track

    def _regress(self) -> None:
        network = self._extractor.network
        with host.current().load(network):
            coefficients, eyes = regress(network, torch.cat(self._waiting))
        self._coefficients.append(coefficients.values)
        self._eyes.append(eyes)
        self._waiting = []


class LiveD3DFR:
    """A face regressed frame by frame, in the crop of the first one (an `extract.LiveExtractor`)."""

    def __init__(self, extractor: D3DFRExtractor) -> None:
        self._extractor = extractor
        self._matrix: Tensor | None = None
        self._rest: MotionTrack | None = None

    def add(self, frame: Tensor, face: Face) -> MotionTrack:
        """The first frame and this one, see `extract.LiveExtractor.add`."""
        clip = D3DFRClip(self._extractor, self._matrix)
        clip.add(frame, torch.from_numpy(face.landmarks))
        self._matrix, now = clip.matrix, clip.track(Fraction(25))
        self._rest = now if self._rest is None else self._rest
        return MotionTrack.concatenate([self._rest, now])


def resized(frame: Tensor, keep_aspect: bool) -> Tensor:
    """A driver's frame scaled as the released inference does it.

    Args:
        frame: [H, W, 3], uint8 or float in 0–1.
        keep_aspect: scale to 512 pixels on the shorter side, instead of to 512 × 512.

    Returns:
        uint8 [h, w, 3], or the frame itself where it has that size already.
    """
    height, width = frame.shape[:2]
    size = (CROP_SIZE, CROP_SIZE)
    if keep_aspect:
        size = (round(CROP_SIZE * width / min(width, height)), round(CROP_SIZE * height / min(width, height)))
    if size == (width, height):
        return frame
    image = Image.fromarray(np.ascontiguousarray(to_uint8_array(frame)))
    return torch.from_numpy(np.array(image.resize(size, Image.Resampling.BICUBIC)))


def cut(image: Tensor, matrix: Tensor) -> Tensor:
    """The released crop of an image: 256 levels, black outside, nothing averaged where it shrinks.

    Args:
        image: [H, W, 3], uint8 or float in 0–1.
        matrix: [2, 3], image pixels to crop pixels, with whole-number pixel centres.

    Returns:
        [3, 512, 512] in ±1.
    """
    crop = aligned(to_float(image).permute(2, 0, 1)[None], matrix[None], CROP_SIZE)[0]
    return (crop * 255).round().clamp(0, 255) / 127.5 - 1
