"""Faces of an image: where they are, how large, and which way up."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..tensors import resized_bytes
from .networks import FACE_UNIT, STRIDE, Detector
from .regions import FACE_SIDE, Square

SMALLEST = 22.0  # pixels, size of a face that the finest level is for
LONGEST = 1600  # pixels, longest side of the finest level
LEAST_SIDE = 48  # pixels, shortest side of the coarsest level
LIKELY = 0.3  # score from which on a place is a candidate
SAME = 0.5  # candidates nearer than this, over the larger's size, are one face
MOST = 128  # candidates that are kept


class Candidate(NamedTuple):
    """A place that looks like a face.

    Attributes:
        square: of the whole face.
        score: 0–1.
    """

    square: Square
    score: float


@torch.no_grad()
def find_faces(detector: Detector, image: Tensor, smallest: float = SMALLEST) -> list[Candidate]:
    """Candidates for faces, the likeliest first.

    Args:
        detector: the network.
        image: uint8 [H, W, 3].
        smallest: size of the smallest faces that are looked for, pixels.
    """
    height, width = image.shape[:2]
    scale = min(SMALLEST / smallest, LONGEST / max(height, width))
    found: list[Candidate] = []
    while True:
        size = [max(round(side * scale), 1) for side in (height, width)]
        found += _at_level(detector, resized_bytes(image, size) / 127.5 - 1, width / size[1], height / size[0])
        scale /= 2
        if min(size) / 2 < LEAST_SIDE:
            break
    return _distinct(found)


def _at_level(detector: Detector, image: Tensor, ratio_x: float, ratio_y: float) -> list[Candidate]:
    """Candidates in one size [1, 3, h, w] of the image, in pixels of the whole one."""
    height, width = image.shape[2:]
    pad = (0, -width % STRIDE, 0, -height % STRIDE)
    padded = F.pad(image, pad, mode="replicate") if height > 8 and width > 8 else F.pad(image, pad)
    said = detector(padded.contiguous(memory_format=torch.channels_last))[0].float().cpu()
    score = said[0].sigmoid()
    peak = (score == F.max_pool2d(score[None], 3, 1, 1)[0]) & (score > LIKELY)
    found = []
    for row, column in peak.nonzero().tolist():
        x, y, size, sine, cosine = said[1:, row, column].tolist()
        side = FACE_SIDE * FACE_UNIT * float(np.exp(np.clip(size, -2, 2)))
        centre = ((column + 0.5 + x) * STRIDE * ratio_x, (row + 0.5 + y) * STRIDE * ratio_y)
        roll = float(np.degrees(np.arctan2(sine, cosine)))
        found.append(Candidate(Square(*centre, side * ratio_x, roll), float(score[row, column])))
    return found


def _distinct(found: list[Candidate]) -> list[Candidate]:
    """The likeliest candidate of every place."""
    kept: list[Candidate] = []
    for one in sorted(found, key=lambda candidate: -candidate.score):
        if all(not _same(one.square, other.square) for other in kept):
            kept.append(one)
    return kept[:MOST]


def _same(a: Square, b: Square) -> bool:
    return bool(np.hypot(a.x - b.x, a.y - b.y) < SAME * max(a.side, b.side) / FACE_SIDE)
