"""The classes of mouth shapes in speech, and the expression modes that a speaking mouth uses."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshapes

# in this order: p b m | f v | t d n l s z θ ð k ɡ ŋ j h … | ʃ ʒ tʃ dʒ | a ɑ æ ʌ … | e ɛ i ɪ ə … | o ɔ u ʊ y w …
VISEMES = ("rest", "closed", "lip_teeth", "tongue", "hushing", "open", "spread", "round")

# A mouth vector [K] holds these modes; a sided one is named without its side and moves both sides alike.
# All zero is a mouth whose lips lie together at rest.
MOUTH = (
    "jaw_open", "chin_raise", "pucker", "funnel", "press", "upper_lip_mid", "upper_lip_quarter", "upper_lip",
    "lower_lip_mid", "lower_lip_quarter", "lower_lip", "lower_lip_out", "lower_lip_roll", "corner_x", "corner_y",
)  # fmt: skip


@lru_cache(maxsize=1)
def _modes() -> Tensor:
    """Which of the 64 modes [K, 64] each number of a mouth vector moves."""
    moves = torch.zeros(len(MOUTH), len(BLENDSHAPES))
    for row, name in zip(moves, MOUTH, strict=True):
        row[blendshapes(name)] = 1
    return moves


def spread(mouth: Tensor) -> Tensor:
    """What mouth vectors [N, K] add to the expression of a face with its lips together: [N, 64]."""
    return mouth @ _modes().to(mouth)
