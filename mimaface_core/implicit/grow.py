"""From one image size to twice the size: where the weights of a smaller generator go, as LIA grew from 256 to 512."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from .encoder import AppearanceNetwork
from .generator import Generator
from .layers import GAIN, LEAK, EqualConv2d

# The encoder and the discriminator begin at the largest resolution, so a further one shifts the numbers of all others;
# their first convolution, from colours, is another one.
_FROM_THE_LARGEST = re.compile(r"^((?:enc\.net_app\.)?convs\.)(\d+)(\..+)$")
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


@torch.no_grad()
def grow(smaller: Generator, larger: Generator) -> None:
    """Let a generator of twice the image size begin as a smaller one: the same codes, features and flows."""
    larger.load_state_dict(grown(smaller.state_dict()), strict=False)
    _see_alike(smaller.enc.net_app, larger.enc.net_app)


def _see_alike(smaller: AppearanceNetwork, larger: AppearanceNetwork) -> None:
    """Let the first two layers of a larger encoder do what the first one of a smaller does to half the image.

    Colours pass an activation unharmed as pairs of themselves and their negatives: lrelu(x) − lrelu(−x) = (1 + LEAK)·x.
    """
    pair = torch.cat([torch.eye(_COLOURS), -torch.eye(_COLOURS)])  # [6, 3]
    back = pair.T / (1 + LEAK)
    first, block = larger.convs[0][0], larger.convs[1]
    if len(first.weight) < len(pair):
        return  # too narrow to carry the colours: it has to learn again
    _effective(first, pair[:, :, None, None] / GAIN)
    _effective(block.conv1[0], _central(pair @ back) / GAIN)
    old, old_bias = smaller.convs[0][0], smaller.convs[0][1].bias
    colours = old.weight[:, :, 0, 0] * old.scale
    _effective(block.conv2[1], _central(colours @ back) * GAIN)  # the block halves the power of its two paths
    block.conv2[2].bias.copy_(old_bias * GAIN)
    block.conv2[1].weight[:, len(pair) :] = 0
    block.skip[1].weight.zero_()


def _central(weight: Tensor) -> Tensor:
    """A 3×3 convolution [out, in, 3, 3] that is a 1×1 one [out, in]."""
    result = weight.new_zeros(*weight.shape, 3, 3)
    result[:, :, 1, 1] = weight
    return result


def _effective(layer: EqualConv2d, weight: Tensor) -> None:
    """Set the first weights of a layer so that, scaled, they are these; what else feeds these outputs is cut off."""
    out, channels = weight.shape[:2]
    layer.weight[:out] = 0
    layer.weight[:out, :channels] = weight / layer.scale
