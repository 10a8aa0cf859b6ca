"""Stage 1's encoder: an image's style, feature maps and motion code."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from .layers import ConvLayer, EqualConv2d, EqualLinear, ResBlock, channels_at

FC_LAYERS = 4  # linear layers before the last one, without activation


class Source(NamedTuple):
    """A source image, encoded once.

    Attributes:
        style: [B, W], 512 numbers in the published network.
        features: of the resolutions 8, 16, … S, each [B, C, r, r].
        motion: its own motion code [B, K].
    """

    style: Tensor
    features: list[Tensor]
    motion: Tensor


class AppearanceNetwork(nn.Module):
    """Style code and feature maps of an image (`enc.net_app`)."""

    def __init__(self, size: int, width: int, style: int) -> None:
        super().__init__()
        convs: list[nn.Module] = [ConvLayer(3, channels_at(size, width), 1)]
        while size > 4:
            convs.append(ResBlock(channels_at(size, width), channels_at(size // 2, width)))
            size //= 2
        convs.append(EqualConv2d(width, style, 4))
        self.convs = nn.ModuleList(convs)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Style [B, W] and features from 8×8 to the whole size, of an image [B, 3, S, S] in ±1."""
        features = [image]
        for conv in self.convs:
            features.append(conv(features[-1]))
        return features[-1][:, :, 0, 0], features[-3:0:-1]


class Encoder(nn.Module):
    """Style, features and motion code of an image (`enc`)."""

    def __init__(self, size: int, dimensions: int, width: int, style: int) -> None:
        super().__init__()
        self.net_app = AppearanceNetwork(size, width, style)
        layers = [EqualLinear(style, style) for _ in range(FC_LAYERS)]
        self.fc = nn.Sequential(*layers, EqualLinear(style, dimensions, activation="tanh"))

    def forward(self, image: Tensor) -> Source:
        """Encode an image [B, 3, S, S] in ±1."""
        style, features = self.net_app(image)
        return Source(style, features, self.fc(style))
