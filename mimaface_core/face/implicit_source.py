"""ImplicitSource: the person to be animated by implicit motion."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..implicit.detail import Carried
from ..implicit.encoder import Source
from ..implicit.local_motion import LocalMotion


@dataclass(frozen=True)
class ImplicitSource:
    """One face of an image, cropped and encoded once.

    Attributes:
        image: [H, W, 3] in 0–1, the full image.
        crop: [3, S, S] in ±1, of the size of finished frames.
        crop_matrix: [2, 3], image pixels to crop pixels, in the convention of `tensors.sampling_grid`.
        landmarks: [478, 3] in crop pixels.
        encoded: by the generator, on the CPU.
        flow: raw flow [1, 3, r, r] of the source drawn as itself, see `implicit.detail`; None for a pack that draws
            every pixel.
        local: how the crop's places move with the codes; None for a pack whose codes have no names.
    """

    image: Tensor
    crop: Tensor
    crop_matrix: Tensor
    landmarks: Tensor
    encoded: Source
    flow: Tensor | None = None
    local: LocalMotion | None = None

    @property
    def posture(self) -> Tensor:
        """Its own motion code [K], float32."""
        return self.encoded.motion[0].float()

    @property
    def photograph(self) -> Carried | None:
        """The crop as it is carried by motion; None for a pack that draws every pixel."""
        return None if self.flow is None else Carried(self.crop[None], self.flow, self.local)

    @property
    def alpha(self) -> None:
        """Implicit motion keeps no transparency."""
        return None
