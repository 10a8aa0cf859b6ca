"""SourceFace: the person to be animated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..motion.track import MotionTrack


@dataclass(frozen=True)
class SourceFace:
    """One face of a picture, cut out and measured.

    picture: [H, W, 3] in 0–1, the whole picture. crop: [3, S, S] in ±1. crop_matrix: [2, 3], picture → crop pixels.
    landmarks: [478, 3] in crop pixels (third: depth, smaller = nearer). track: its coefficients and gaze, one frame.
    """

    picture: Tensor
    crop: Tensor
    crop_matrix: Tensor
    landmarks: Tensor
    track: MotionTrack
