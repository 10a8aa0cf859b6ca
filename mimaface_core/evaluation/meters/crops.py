"""Frames with a tracked face, and the face crops that each meter needs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from ...appearance.identity import COLUMNS, INPUT_SIZE, ROWS
from ...face.crop import crop_matrix, warp
from ...face.five_points import five_points, similarity
from ...motion.alignment import aligned
from ...tensors import to_float
from .landmarks import LEFT_IRIS_CENTRE, MOUTH_CORNERS, NOSE_TIP, RIGHT_IRIS_CENTRE

FACE_SHARE = 0.56  # of a framed crop's side, filled by the face's box
FRAMED_SIZE = 224  # pixels, side of a framed crop
ALIGNED_SIZE = 256  # pixels, side of an aligned crop
# Landmarks that define an aligned crop, and their positions in it as shares of its side.
ALIGNED_POINTS = (RIGHT_IRIS_CENTRE, LEFT_IRIS_CENTRE, NOSE_TIP, *MOUTH_CORNERS)
ALIGNED_POSITIONS = ((0.36, 0.40), (0.64, 0.40), (0.5, 0.56), (0.39, 0.72), (0.61, 0.72))


class FaceImage(NamedTuple):
    """An image uint8 [H, W, 3] and the landmarks [478, 3] of its face, in pixels."""

    image: np.ndarray
    landmarks: Tensor


class TrackedFrame(NamedTuple):
    """A frame uint8 [H, W, 3] and the landmarks [478, 3] of its face in pixels, None where no face was found."""

    image: np.ndarray
    landmarks: Tensor | None

    @property
    def face(self) -> FaceImage | None:
        """The frame as a face image, None where no face was found."""
        return None if self.landmarks is None else FaceImage(self.image, self.landmarks)


def aligned_face(face: FaceImage) -> np.ndarray:
    """Aligned crop uint8 [256, 256, 3]: robust similarity (least median of squares) of five points."""
    import cv2

    points = face.landmarks[list(ALIGNED_POINTS), :2].numpy().astype(np.float32)
    positions = np.array(ALIGNED_POSITIONS, np.float32) * ALIGNED_SIZE
    matrix = cv2.estimateAffinePartial2D(points, positions, method=cv2.LMEDS)[0]
    return cv2.warpAffine(np.ascontiguousarray(face.image), matrix, (ALIGNED_SIZE, ALIGNED_SIZE))


def recognition_face(image: Tensor, landmarks: Tensor) -> Tensor:
    """Crop for face recognition: ArcFace's five points in 112 pixels.

    Args:
        image: [3, H, W] in ±1.
        landmarks: [478, 3] in pixels.

    Returns:
        [1, 3, 112, 112] in ±1.
    """
    face = aligned(image[None], similarity(five_points(landmarks[None])))
    return F.interpolate(face[:, :, ROWS, COLUMNS], (INPUT_SIZE, INPUT_SIZE), mode="area")


def framing(landmarks: Tensor) -> Tensor:
    """Matrix [2, 3], image to crop pixels, that frames the face of landmarks [478, 3] with a margin."""
    return crop_matrix(landmarks, FACE_SHARE, FRAMED_SIZE)


def framed_face(image: Tensor, matrix: Tensor) -> Tensor:
    """Framed crop [3, 224, 224] in ±1.

    Args:
        image: [3, H, W] in ±1.
        matrix: [2, 3] of `framing`; the same for all frames of a video keeps the crop fixed.
    """
    return warp(image, matrix, FRAMED_SIZE)


def to_signed(image: Tensor | np.ndarray) -> Tensor:
    """[3, H, W] in ±1 of an image [H, W, 3], uint8 or float in 0–1."""
    return rearrange(to_float(torch.as_tensor(image)), "h w c -> c h w") * 2 - 1
