"""Faces cut out of frames, each in the way that its measure wants it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...appearance.identity import COLUMNS, INPUT_SIZE, ROWS
from ...face.crop import crop_matrix, warp
from ...face.five_points import five_points, similarity
from ...motion.alignment import aligned

FACE_SHARE = 0.56  # how much of a framed crop's side the face's box fills
FRAMED = 224  # side of a framed face
ALIGNED = 256  # side of an aligned face
# Irises, tip of the nose and corners of the mouth, and where they lie in an aligned face, as shares of its side.
POINTS = (468, 473, 1, 61, 291)
PLACES = ((0.36, 0.40), (0.64, 0.40), (0.5, 0.56), (0.39, 0.72), (0.61, 0.72))


def aligned_face(picture: np.ndarray, landmarks: Tensor) -> np.ndarray:
    """The face of a picture uint8 [H, W, 3], uint8 [256, 256, 3], by a robust similarity of its five points."""
    import cv2

    points = landmarks[list(POINTS), :2].numpy().astype(np.float32)
    target = np.array(PLACES, np.float32) * ALIGNED
    matrix = cv2.estimateAffinePartial2D(points, target, method=cv2.LMEDS)[0]
    return cv2.warpAffine(np.ascontiguousarray(picture), matrix, (ALIGNED, ALIGNED))


def recognition_face(picture: Tensor, landmarks: Tensor) -> Tensor:
    """The crop [1, 3, 112, 112] in ±1 that face recognition is trained on, of a picture [3, H, W] in ±1."""
    face = aligned(picture[None], similarity(five_points(landmarks[None])))
    return F.interpolate(face[:, :, ROWS, COLUMNS], (INPUT_SIZE, INPUT_SIZE), mode="area")


def framing(landmarks: Tensor) -> Tensor:
    """The matrix [2, 3] that frames a face with room round it, for all frames of a clip alike."""
    return crop_matrix(landmarks, FACE_SHARE, FRAMED)


def framed_face(picture: Tensor, matrix: Tensor) -> Tensor:
    """The crop [3, 224, 224] in ±1 of a picture [3, H, W] in ±1."""
    return warp(picture, matrix, FRAMED)


def signed(picture: Tensor) -> Tensor:
    """[3, H, W] in ±1 of a picture [H, W, 3], uint8 or float in 0–1."""
    levels = picture.float() / 255 if picture.dtype == torch.uint8 else picture.float()
    return levels.permute(2, 0, 1) * 2 - 1
