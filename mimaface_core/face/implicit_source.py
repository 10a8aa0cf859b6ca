"""ImplicitSource: the person to be animated by implicit motion."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..implicit.generator import Source


@dataclass(frozen=True)
class ImplicitSource:
    """One face of an image, cropped and encoded once.

    Attributes:
        image: [H, W, 3] in 0–1, the full image.
        crop: [3, S, S] in ±1, of the size of finished frames.
        crop_matrix: [2, 3], image pixels to crop pixels, in the convention of `tensors.sampling_grid`.
        landmarks: [478, 3] in crop pixels.
        encoded: by the generator, on the CPU.
        detail: [1, 3, S, S], what the generator's drawing lacks of the crop; None for a pack that carries none along.
    """

    image: Tensor
    crop: Tensor
    crop_matrix: Tensor
    landmarks: Tensor
    encoded: Source
    detail: Tensor | None = None

    @property
    def posture(self) -> Tensor:
        """Its own motion code [K], float32."""
        return self.encoded.motion[0].float()

    @property
    def alpha(self) -> None:
        """Implicit motion keeps no transparency."""
        return None
