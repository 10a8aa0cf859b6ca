"""Viseme classes of speech, and the blendshapes that a speaking mouth uses."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshapes

# In this order: p b m | f v | t d n l s z θ ð k ɡ ŋ j h … | ʃ ʒ tʃ dʒ | a ɑ æ ʌ … | e ɛ i ɪ ə … | o ɔ u ʊ y w …
VISEMES = ("rest", "closed", "lip_teeth", "tongue", "hushing", "open", "spread", "round")

# A mouth vector [K] holds movements of these parts of a speaking mouth, which a face's blendshapes make. All zero is a
# mouth whose lips lie together at rest, 1 a strong movement.
ARTICULATORS: dict[str, dict[str, float]] = {
    "jaw_open": {"jawOpen": 0.38},
    "chin_raise": {"mouthShrugLower": 0.35},
    "pucker": {"mouthPucker": 1.0},
    "funnel": {"mouthFunnel": 0.8},
    "press": {"mouthPress": 0.6, "mouthRollLower": 0.15, "mouthRollUpper": 0.15},
    "upper_lip_mid": {"mouthUpperUp": 0.45, "mouthShrugUpper": 0.5},
    "upper_lip_quarter": {"mouthUpperUp": 0.7},
    "upper_lip": {"mouthUpperUp": 0.55},
    "lower_lip_mid": {"mouthLowerDown": 1.0},
    "lower_lip_quarter": {"mouthLowerDown": 0.7},
    "lower_lip": {"mouthLowerDown": 0.55, "mouthStretch": 0.1},
    "lower_lip_out": {"mouthRollLower": -0.35},
    "lower_lip_roll": {"mouthLowerDown": 0.6},
    "corner_x": {"mouthStretch": 1.0, "mouthSmile": 0.3},
    "corner_y": {"mouthSmile": 0.6, "mouthFrown": -0.6},
}
MOUTH = tuple(ARTICULATORS)


@lru_cache(maxsize=1)
def _blendshapes() -> Tensor:
    """Coefficients [K, 64] that a unit of each number of a mouth vector adds."""
    matrix = torch.zeros(len(MOUTH), len(BLENDSHAPES))
    for row, moves in zip(matrix, ARTICULATORS.values(), strict=True):
        for name, coefficient in moves.items():
            row[blendshapes(name)] = coefficient
    return matrix


def mouth_expression(mouth: Tensor) -> Tensor:
    """Expression [N, 64] that mouth vectors [N, K] add to a face with its lips together."""
    return mouth @ _blendshapes().to(mouth)
