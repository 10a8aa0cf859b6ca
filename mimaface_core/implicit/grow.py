"""From one image size to twice the size: where the weights of a smaller generator go, as LIA grew from 256 to 512."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from .generator import Generator
from .layers import GAIN, LEAK

# The encoder and the discriminator begin at the largest resolution, so a further one shifts the numbers of all others;
# their first convolution, from colours, is another one.
_FROM_THE_LARGEST = re.compile(r"^((?:enc\.net_app\.)?convs\.)(\d+)(\..+)$")
_LAYERS = "enc.net_app.convs"
_COLOURS = 3


def grown(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a generator or discriminator under the names that they have in one of twice the image size.

    Args:
        values: its state dict.

    Returns:
        The weights that both have; those of the layers at the new resolution are not among them.
    """
    result = {}
    for name, value in values.items():
        match = _FROM_THE_LARGEST.match(name)
        if match is None:
            result[name] = value
        elif match[2] != "0":
            result[f"{match[1]}{int(match[2]) + 1}{match[3]}"] = value
    return result


def grow(smaller: Generator, larger: Generator) -> None:
    """Let a generator of twice the image size begin as a smaller one: the same codes, features and flows."""
    before = smaller.state_dict()
    larger.load_state_dict({**larger.state_dict(), **grown(before), **_seen_alike(before, larger.state_dict())})


def _seen_alike(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a larger encoder's first two layers that do what a smaller one's first does to half the image.

    Colours pass an activation unharmed as pairs of themselves and their negatives: lrelu(x) − lrelu(−x) = (1 + LEAK)·x.

    Args:
        before: state dict of the smaller generator.
        after: state dict of the larger one.
    """
    pair = torch.cat([torch.eye(_COLOURS), -torch.eye(_COLOURS)])  # [6, 3]
    back = pair.T / (1 + LEAK)
    first, block = f"{_LAYERS}.0.0.weight", f"{_LAYERS}.1"
    if len(after[first]) < len(pair):
        return {}  # too narrow to carry the colours: it has to learn again
    colours = before[first][:, :, 0, 0]
    colours = colours / math.sqrt(colours.shape[1])
    inner, outer = f"{block}.conv1.0.weight", f"{block}.conv2.1.weight"
    return {
        first: _set(after[first], pair[:, :, None, None] / GAIN),
        inner: _set(after[inner], _central(pair @ back) / GAIN),
        # the block halves the power of its two paths, one of which is shut
        outer: _set(after[outer], _central(colours @ back) * GAIN),
        f"{block}.conv2.2.bias": before[f"{_LAYERS}.0.1.bias"] * GAIN,
        f"{block}.skip.1.weight": torch.zeros_like(after[f"{block}.skip.1.weight"]),
    }


def _central(weight: Tensor) -> Tensor:
    """A 3×3 convolution [out, in, 3, 3] that is a 1×1 one [out, in]."""
    result = weight.new_zeros(*weight.shape, 3, 3)
    result[:, :, 1, 1] = weight
    return result


def _set(layer: Tensor, weight: Tensor) -> Tensor:
    """A layer's weights whose first, scaled by the fan-in, are these; what else feeds these outputs is cut off."""
    result = layer.clone()
    out, channels = weight.shape[:2]
    result[:out] = 0
    result[:out, :channels] = weight * math.sqrt(layer[0].numel())
    return result
