"""Measuring as released: crops about the face's box, five points, and D3DFR's network."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import host
from ..motion.alignment import aligned
from ..motion.track import BFM, FaceCoefficients, MotionTrack
from .crop import to_uint8_array, transform_points
from .d3dfr import CoefficientNetwork, regress
from .five_points import CROP, box_crop, face_box, five_points, from_edge, similarity
from .source import SourceFace

TOGETHER = 8  # faces that go through the network at once
RELEASED, ASPECT = "as released", "keep aspect"
FRAMINGS = (RELEASED, ASPECT)
WHOLE = torch.eye(2, 3, dtype=torch.float64)  # the matrix of a picture that is its own crop


class D3DFRExtractor:
    """How a pack with a coefficient network measures faces (a `extract.Extractor`).

    network: D3DFR's. framing: how frames of a driver are cut. `as released` squeezes them to 512 × 512 pixels, whatever
    their shape, and then cuts about the first one's face; a single picture of 512 × 512 pixels is taken whole. `keep
    aspect` scales frames so that the shorter side has 512 pixels, and always cuts.
    """

    def __init__(self, network: CoefficientNetwork, framing: str = RELEASED) -> None:
        self.network, self.framing = network, framing

    def still(self, picture: Tensor, landmarks: Tensor) -> tuple[SourceFace, MotionTrack]:
        """The person in a picture [H, W, 3] in 0–1 with landmarks [478, 3], and the picture as a driver of one frame."""
        points = five_points(landmarks[None])[0]
        matrix = box_crop(face_box(points))
        crop = cut(picture, matrix)
        clip = D3DFRClip(self, matrix)
        clip.add_crop(crop, transform_points(matrix, points))
        outer = from_edge(matrix).float()
        source = SourceFace(picture, crop, outer, transform_points(outer, landmarks), clip.track(Fraction(25)))

        whole = self.framing == RELEASED and tuple(picture.shape[:2]) == (CROP, CROP)
        driver = D3DFRClip(self, WHOLE if whole else None)
        driver.add(picture, landmarks)
        return source, driver.track(Fraction(25))

    def clip(self) -> D3DFRClip:
        """A new clip to be measured."""
        return D3DFRClip(self)


class D3DFRClip:
    """The frames of one clip: cut out alike, and measured one by one.

    matrix: [2, 3] from pixels of the (scaled) frames to the crop's; when None the first frame's face decides.
    """

    def __init__(self, how: D3DFRExtractor, matrix: Tensor | None = None) -> None:
        self._how, self._matrix = how, matrix
        self._waiting: list[Tensor] = []
        self._alignment: list[Tensor] = []
        self._numbers: list[tuple[FaceCoefficients, Tensor]] = []

    def add(self, frame: Tensor, landmarks: Tensor) -> None:
        """Add a frame [H, W, 3] with landmarks [478, 3] in its pixels."""
        scaled = resized(frame, self._how.framing == ASPECT)
        ratio = torch.tensor([scaled.shape[1] / frame.shape[1], scaled.shape[0] / frame.shape[0]])
        points = five_points(landmarks[None, :, :2] * ratio)[0]
        if self._matrix is None:
            self._matrix = box_crop(face_box(points))
        self.add_crop(cut(scaled, self._matrix), transform_points(self._matrix, points))

    def add_crop(self, crop: Tensor, points: Tensor) -> None:
        """Add a crop [3, 512, 512] in ±1 with its five points [5, 2]."""
        alignment = similarity(points[None]).float()
        self._alignment.append(alignment)
        self._waiting.append(aligned(crop[None], alignment))
        if len(self._waiting) == TOGETHER:
            self._measure()

    def track(self, fps: Fraction) -> MotionTrack:
        """The motion of all frames that were added; its gaze is the pupil head's four numbers."""
        if self._waiting:
            self._measure()
        coefficients, eyes = zip(*self._numbers, strict=True)
        values = torch.cat([part.values for part in coefficients])
        visible = torch.ones(len(values), dtype=torch.bool)
        alignment = torch.cat(self._alignment)
        return MotionTrack(FaceCoefficients(values), torch.cat(eyes), alignment, visible, fps, BFM)

    def _measure(self) -> None:
        with host.current().load(self._how.network) as network:
            self._numbers.append(regress(network, torch.cat(self._waiting)))
        self._waiting = []


def resized(frame: Tensor, keep_aspect: bool) -> Tensor:
    """A frame [H, W, 3] as the released inference scales a driver's, to 512 × 512 pixels; uint8, or as it is where it fits.

    With `keep_aspect` its shorter side gets 512 pixels.
    """
    height, width = frame.shape[:2]
    size = (CROP, CROP)
    if keep_aspect:
        size = (round(CROP * width / min(width, height)), round(CROP * height / min(width, height)))
    if size == (width, height):
        return frame
    levels = Image.fromarray(np.ascontiguousarray(to_uint8_array(frame)))
    return torch.from_numpy(np.array(levels.resize(size, Image.Resampling.BICUBIC)))


def cut(picture: Tensor, matrix: Tensor) -> Tensor:
    """The crop [3, 512, 512] in ±1, of 256 levels, of a picture [H, W, 3] (uint8, or float in 0–1); black outside.

    matrix: [2, 3] from the picture's pixels to the crop's. As released, nothing is averaged where the crop is smaller.
    """
    light = picture.permute(2, 0, 1)[None].float()
    if picture.dtype == torch.uint8:
        light = light / 255
    crop = aligned(light, matrix[None], CROP)[0]
    return (crop * 255).round().clamp(0, 255) / 127.5 - 1
