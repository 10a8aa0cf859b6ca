"""Viseme classes of speech, and the blendshapes that a speaking mouth uses."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshapes

# In this order: p b m | f v | t d n l s z θ ð k ɡ ŋ j h … | ʃ ʒ tʃ dʒ | a ɑ æ ʌ … | e ɛ i ɪ ə … | o ɔ u ʊ y w …
VISEMES = ("rest", "closed", "lip_teeth", "tongue", "hushing", "open", "spread", "round")

# A mouth vector [K] holds coefficients of these blendshapes; a sided one is named without its side and moves both sides
# alike. All zero is a mouth whose lips lie together at rest.
MOUTH = (
    "jaw_open", "chin_raise", "pucker", "funnel", "press", "upper_lip_mid", "upper_lip_quarter", "upper_lip",
    "lower_lip_mid", "lower_lip_quarter", "lower_lip", "lower_lip_out", "lower_lip_roll", "corner_x", "corner_y",
)  # fmt: skip


@lru_cache(maxsize=1)
def _blendshapes() -> Tensor:
    """Coefficients [K, 64] that a unit of each number of a mouth vector adds."""
    matrix = torch.zeros(len(MOUTH), len(BLENDSHAPES))
    for row, name in zip(matrix, MOUTH, strict=True):
        row[blendshapes(name)] = 1
    return matrix


def mouth_expression(mouth: Tensor) -> Tensor:
    """Expression [N, 64] that mouth vectors [N, K] add to a face with its lips together."""
    return mouth @ _blendshapes().to(mouth)
