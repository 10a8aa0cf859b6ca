"""Layers of the image networks: equalised, modulated and resampling convolutions, under the published state-dict keys.

Weights are stored with unit variance and scaled by their fan-in at every call (equalised learning rate, Karras et al.
2018); modulation and demodulation are those of StyleGAN 2 (Karras et al. 2020).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.2  # slope of the leaky ReLU below 0
GAIN = math.sqrt(2.0)  # which keeps the variance after it
BINOMIAL = (1.0, 3.0, 3.0, 1.0)  # low-pass filter of all resampling, in both directions
DEMODULATION_FLOOR = 1e-8
WIDTH = 512  # most channels of the published networks
FULL_WIDTH_UP_TO = 32  # pixels, the resolution from which on the channels halve
STYLE = 512  # numbers of a style code of the published networks


def channels_at(resolution: int, width: int = WIDTH) -> int:
    """Channels at a resolution: `width` up to 32 pixels, then half as many for twice as many pixels."""
    return min(width, width * FULL_WIDTH_UP_TO // resolution)


def like(x: Tensor, other: Tensor) -> Tensor:
    """An image [B, C, H, W] in the number type and the memory layout of another; itself where it has them."""
    last = other.is_contiguous(memory_format=torch.channels_last) and not other.is_contiguous()
    return x.to(other.dtype, memory_format=torch.channels_last if last else torch.preserve_format)


class EqualConv2d(nn.Module):
    """Convolution whose weight [out, in, k, k] is scaled by 1/√(in·k²)."""

    def __init__(self, channels: int, out: int, size: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels, size, size))
        self.scale, self.stride, self.padding = 1 / math.sqrt(channels * size**2), stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """[B, in, H, W] → [B, out, H′, W′]."""
        return F.conv2d(x, self.weight * self.scale, stride=self.stride, padding=self.padding)


class EqualLinear(nn.Module):
    """Linear layer whose weight [out, in] is scaled by 1/√in.

    Args:
        channels: in.
        out: out.
        bias: initial value of the bias.
        activation: `leaky` adds a leaky ReLU with gain; `tanh` leaves the bias out, as the published network does.
    """

    def __init__(self, channels: int, out: int, bias: float = 0.0, activation: str | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, channels))
        self.bias = nn.Parameter(torch.full((out,), bias))
        self.scale, self.activation = 1 / math.sqrt(channels), activation

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] → [..., out]."""
        if self.activation == "tanh":
            return torch.tanh(F.linear(x, self.weight * self.scale))
        x = F.linear(x, self.weight * self.scale, self.bias)
        return F.leaky_relu(x, LEAK) * GAIN if self.activation == "leaky" else x


class BiasedLeakyReLU(nn.Module):
    """Leaky ReLU of x·scale + bias, with gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """[B, C, H, W], unchanged in shape; scale: [B, C, 1, 1], 1 when None."""
        # the gain goes in before the leaky ReLU, which keeps it: fewer passes over large images
        factor = x.new_full((1, 1, 1, 1), GAIN) if scale is None else (scale * GAIN).to(x.dtype)
        return F.leaky_relu_(torch.addcmul((self.bias * GAIN).to(x.dtype), x, factor), LEAK)


class Blur(nn.Module):
    """Low-pass filter with zero padding; `gain` makes up for the zeros that an upsampling inserted."""

    kernel: Tensor

    def __init__(self, before: int, after: int, gain: float = 1.0, stride: int = 1) -> None:
        super().__init__()
        line = torch.tensor(BINOMIAL)
        self.register_buffer("kernel", torch.outer(line, line) / line.sum() ** 2 * gain)
        self.padding, self.stride = (before, after, before, after), stride

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, H + before + after − 3, …], every `stride`th of it."""
        kernel = self.kernel.flip(0, 1)[None, None].expand(x.shape[1], 1, -1, -1)
        return F.conv2d(F.pad(x, self.padding), kernel.to(x.dtype), stride=self.stride, groups=x.shape[1])


class Upsample(nn.Module):
    """Twice the size: zeros after each sample, then the filter, which between them is bilinear."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor(BINOMIAL)
        self.register_buffer("kernel", 4 * torch.outer(line, line) / line.sum() ** 2)  # in the published state dict

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, 2H, 2W]; beyond the border lie zeros."""
        wider = F.pad(x, (1, 1, 1, 1))
        return F.interpolate(wider, scale_factor=2, mode="bilinear", align_corners=False)[..., 2:-2, 2:-2]


class ConvLayer(nn.Sequential):
    """Equalised convolution, downsampled by 2 where asked, with the biased leaky ReLU where asked."""

    def __init__(self, channels: int, out: int, size: int, down: bool = False, activate: bool = True) -> None:
        layers: list[nn.Module] = []
        if down:
            padding = (size + 1) // 2  # so that the stride halves the size exactly
            # a 1×1 convolution takes every second pixel: the filter need not make the others
            blur = Blur(padding, padding, stride=2 if size == 1 else 1)
            layers = [blur, EqualConv2d(channels, out, size, stride=1 if size == 1 else 2)]
        else:
            layers = [EqualConv2d(channels, out, size, padding=size // 2)]
        if activate:
            layers.append(BiasedLeakyReLU(out))
        super().__init__(*layers)


class ResBlock(nn.Module):
    """Half the size, by two convolutions beside a skip path."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3)
        self.conv2 = ConvLayer(channels, out, 3, down=True)
        self.skip = ConvLayer(channels, out, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, out, H/2, W/2]."""
        return (self.conv2(self.conv1(x)) + self.skip(x)) / GAIN


class ModulatedConv2d(nn.Module):
    """Convolution whose input channels are scaled by a style; twice the size where asked."""

    def __init__(
        self, channels: int, out: int, size: int, style: int, demodulate: bool = True, up: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1, out, channels, size, size))
        self.modulation = EqualLinear(style, channels, bias=1.0)
        self.scale, self.demodulate, self.up = 1 / math.sqrt(channels * size**2), demodulate, up
        if up:
            self.blur = Blur(1, 1, gain=4.0)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[B, in, H, W] with style [B, style] → [B, out, H or 2H, W or 2W]."""
        x, scale = self.convolved(x, style)
        return x if scale is None else x * scale

    def convolved(self, x: Tensor, style: Tensor) -> tuple[Tensor, Tensor | None]:
        """As `forward`, with the factor [B, out, 1, 1] of the demodulation beside it, if there is one."""
        # the style scales what comes in and goes out instead of the weights, so that a batch shares one convolution
        factor = self.modulation(style)
        weight = self.scale * self.weight[0]
        x = x * factor[:, :, None, None].to(x.dtype)
        if self.up:
            x = self.blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        else:
            x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
        if not self.demodulate:
            return x, None
        power = factor.square() @ weight.square().sum((2, 3)).T
        return x, torch.rsqrt(power + DEMODULATION_FLOOR)[:, :, None, None]


class NoiseWeight(nn.Module):
    """Holds the weight of a noise that the published network has and never adds."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class StyledConv(nn.Module):
    """Modulated, demodulated 3×3 convolution with the biased leaky ReLU."""

    def __init__(self, channels: int, out: int, style: int, up: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(channels, out, 3, style, up=up)
        self.noise = NoiseWeight()
        self.activate = BiasedLeakyReLU(out)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """As `ModulatedConv2d`."""
        return self.activate(*self.conv.convolved(x, style))
