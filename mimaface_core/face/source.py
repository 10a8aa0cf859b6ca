"""SourceFace: the person to be animated."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..motion.track import MotionTrack


@dataclass(frozen=True)
class SourceFace:
    """One face of an image, cropped and measured.

    Attributes:
        image: [H, W, 3] in 0–1, the full image.
        crop: [3, S, S] in ±1.
        crop_matrix: [2, 3], image pixels to crop pixels, in the convention of `tensors.sampling_grid`.
        landmarks: [478, 3] in crop pixels; the third is the depth in the same unit, smaller = nearer.
        track: the person's own coefficients and gaze, one frame; aligned to a crop of 512, whatever S is.
        alpha: [H, W] in 0–1, of a cut-out, whose image stands on white; None for one without transparency.
    """

    image: Tensor
    crop: Tensor
    crop_matrix: Tensor
    landmarks: Tensor
    track: MotionTrack
    alpha: Tensor | None = None
