"""The discriminator of stage 1's training (StyleGAN 2's, Karras et al. 2020), under the published keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers import WIDTH, ConvLayer, EqualLinear, ResBlock, channels_at

GROUP = 4  # images among which the standard deviation is taken
DEVIATION_FLOOR = 1e-8


class Discriminator(nn.Module):
    """Scores how real an image looks.

    Args:
        size: side of the images.
        width: most channels of a layer.
    """

    def __init__(self, size: int = 512, width: int = WIDTH) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvLayer(3, channels_at(size, width), 1)]
        while size > 4:
            layers.append(ResBlock(channels_at(size, width), channels_at(size // 2, width)))
            size //= 2
        self.convs = nn.Sequential(*layers)
        self.final_conv = ConvLayer(width + 1, width, 3)
        self.final_linear = nn.Sequential(EqualLinear(width * 16, width, activation="leaky"), EqualLinear(width, 1))

    def forward(self, image: Tensor, features: bool = False) -> Tensor | tuple[Tensor, list[Tensor]]:
        """Scores [B, 1] of images [B, 3, S, S] in ±1, B up to 4 or a multiple of 4; the blocks' outputs if asked."""
        seen = [image]
        for conv in self.convs:
            seen.append(conv(seen[-1]))
        x = self.final_conv(torch.cat([seen[-1], minibatch_deviation(seen[-1])], 1))
        score = self.final_linear(x.flatten(1))
        return (score, seen[1:]) if features else score


def minibatch_deviation(x: Tensor) -> Tensor:
    """Mean deviation [B, 1, H, W] among the images of a group, which agree modulo B/GROUP; x: [B, C, H, W]."""
    batch, channels, height, width = x.shape
    group = min(batch, GROUP)
    grouped = x.view(group, -1, channels, height, width)
    deviation = (grouped.var(0, correction=0) + DEVIATION_FLOOR).sqrt().mean((1, 2, 3), keepdim=True)
    return deviation.repeat(group, 1, height, width)
