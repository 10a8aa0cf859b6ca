"""Stage 1: the renderer that moves an image by local flow and fill, beside the encoder.

After IF-MDM's published network (ifmdm.github.io, 2025) and its parent LIA (Wang et al. 2022), quirks included where
weights depend on them: `enc.fc.4.bias`, `dec.to_rgb1` and the noise weights have no effect, and the flow's grid is
corner-aligned while its sampler is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .encoder import Encoder
from .layers import (
    STYLE,
    WIDTH,
    ConvLayer,
    ModulatedConv2d,
    StyledConv,
    Upsample,
    channels_at,
    like,
)

DIRECTION_OFFSET = 1e-8  # added to the directions before their QR decomposition
REFINE_WIDTH = 512  # channels of the published refine block
REFINE_HALO = 4  # pixels around a tile that the refine block sees


class Drawn(NamedTuple):
    """An image, and how it came from the source's.

    Attributes:
        image: [B, 3, D, D], about ±1, before the refine block; D is S unless the generator draws coarser.
        flows: raw flow and mask of the resolutions 8, 16, … D, each [B, 3, r, r]; see `places_of` and `shares_of`.
    """

    image: Tensor
    flows: list[Tensor]


def places_of(flow: Tensor) -> Tensor:
    """Where each pixel is taken from: [B, r, r, 2] in ±1, of a raw flow [B, 3, r, r]."""
    side = flow.shape[-1]
    axis = torch.linspace(-1, 1, side, device=flow.device, dtype=flow.dtype)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x, y], -1) + torch.tanh(flow[:, :2]).permute(0, 2, 3, 1)


def shares_of(flow: Tensor) -> Tensor:
    """How much of what is taken is kept: [B, 1, r, r] in 0–1, of a raw flow [B, 3, r, r]; the rest is filled."""
    return torch.sigmoid(flow[:, 2:])


class Directions(nn.Module):
    """Directions of motion in the space of styles: the orthonormal Q of a QR decomposition (`dec.direction`)."""

    def __init__(self, dimensions: int, style: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(style, dimensions))

    def basis(self) -> Tensor:
        """Q [W, K], float32, with LAPACK's signs, for which it is computed on the CPU."""
        return torch.linalg.qr(self.weight.float().cpu() + DIRECTION_OFFSET).Q.to(self.weight.device)

    def forward(self, codes: Tensor) -> Tensor:
        """Moves [B, W] that motion codes [B, K] make."""
        return codes @ self.basis().T.to(codes.dtype)


class ConstantInput(nn.Module):
    """The learned image that the renderer starts from."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """[batch, channels, 4, 4]."""
        return self.input.expand(batch, -1, -1, -1)


class ToFlow(nn.Module):
    """Local flow and mask of one resolution, and the fill of what the flow cannot bring."""

    def __init__(self, channels: int, style: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = Upsample()
        self.conv = ModulatedConv2d(channels, 3, 1, style, demodulate=False)
        self.conv_gen = ModulatedConv2d(channels, channels, 1, style, demodulate=False)

    def forward(
        self, x: Tensor, style: Tensor, feature: Tensor, before: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Warp the source's features.

        Args:
            x: [B, C, r, r], the renderer's own features.
            style: [B, W].
            feature: [B, C, r, r], the source's.
            before: the raw flow [B, 3, r/2, r/2] of the resolution before, if there is one.

        Returns:
            The next features [B, C, r, r], the warped ones, and the raw flow [B, 3, r, r].
        """
        raw = self.flow(x, style, before)
        with torch.autocast(x.device.type, enabled=False):
            share = shares_of(raw)
            warped = F.grid_sample(feature.float(), places_of(raw), padding_mode="zeros", align_corners=False) * share
        warped, fill = like(warped, x), self.conv_gen(x, style)
        return fill * like(1 - share, x) + warped, warped, raw

    def flow(self, x: Tensor, style: Tensor, before: Tensor | None) -> Tensor:
        """The raw flow alone; arguments as `forward`."""
        # places in single precision, in training too: half of it would be off by up to a pixel
        with torch.autocast(x.device.type, enabled=False):
            raw = self.conv(x.to(self.bias.dtype), style.to(self.bias.dtype)).float() + self.bias
            return raw if before is None else raw + self.upsample(before)


class ToRGB(nn.Module):
    """Colours of one resolution, added to those of the one before.

    Args:
        channels: of the features.
        upsample: False for the first, which the published network has and never uses.
    """

    def __init__(self, channels: int, upsample: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        if upsample:
            self.upsample = Upsample()
        self.conv = ConvLayer(channels, 3, 1)

    def forward(self, x: Tensor, before: Tensor | None) -> Tensor:
        """[B, C, r, r] and colours [B, 3, r/2, r/2] before → [B, 3, r, r], both float32."""
        colours = self.conv(x).float() + self.bias
        return colours if before is None else colours + self.upsample(before)


class RefineBlock(nn.Module):
    """Residual convolutions on the finished image (`dec.refine_block`)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (3, width, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        self.convs = nn.Sequential(*layers)
        self.final_conv = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, S, S], unchanged in shape and number type."""
        return x + self.final_conv(self.convs(x.to(self.final_conv.weight.dtype)))


class Renderer(nn.Module):
    """Draws a source with other motion (`dec`)."""

    def __init__(self, size: int, dimensions: int, width: int, style: int, refine: int, fill: bool) -> None:
        super().__init__()
        self.fill = fill
        self.direction = Directions(dimensions, style)
        self.input = ConstantInput(width)
        self.conv1 = StyledConv(width, width, style)
        self.to_rgb1 = ToRGB(width, upsample=False)
        convs, flows, colours = [], [], []
        side = 8
        while side <= size:
            channels = channels_at(side, width)
            before = channels_at(side // 2, width)
            convs += [StyledConv(before, channels, style, up=True), StyledConv(channels, channels, style)]
            flows.append(ToFlow(channels, style))
            colours.append(ToRGB(channels))
            side *= 2
        self.convs, self.to_flows, self.to_rgbs = nn.ModuleList(convs), nn.ModuleList(flows), nn.ModuleList(colours)
        self.refine_block = RefineBlock(refine) if refine else None

    def style_of(self, style: Tensor, motion: Sequence[Tensor]) -> Tensor:
        """The style [B, W] of a source's with motion codes [B, K].

        Args:
            style: [B, W].
            motion: none for the reference image; the target's code, absolute; or the target's, the source's and the
                start's, relative: the source's own motion with the target's change since the start.
        """
        if not motion:
            return style
        move = self.direction(motion[0])
        if len(motion) == 3:
            move = move - self.direction(motion[2]) + self.direction(motion[1])
        return style + move

    def draw(self, style: Tensor, features: Sequence[Tensor], motion: Sequence[Tensor] = ()) -> Drawn:
        """The image before the refine block, and its flows; arguments as `forward`."""
        style = self.style_of(style, motion)
        x = self.conv1(self.input(len(style)), style)
        flow = colours = None
        flows = []
        for n, feature in enumerate(features[: len(self.to_flows)]):
            x = self.convs[2 * n + 1](self.convs[2 * n](x, style), style)
            x, warped, flow = self.to_flows[n](x, style, feature, flow)
            flows.append(flow)
            colours = self.to_rgbs[n](x if self.fill else warped, colours)
        assert colours is not None
        return Drawn(colours, flows)

    def flow(self, style: Tensor, features: Sequence[Tensor], motion: Sequence[Tensor] = ()) -> Tensor:
        """The last raw flow [B, 3, r, r] of `draw` alone, without the time of colours; arguments as `forward`."""
        style = self.style_of(style, motion)
        x, flow, last = self.conv1(self.input(len(style)), style), None, len(self.to_flows) - 1
        for n, feature in enumerate(features[:last]):
            x = self.convs[2 * n + 1](self.convs[2 * n](x, style), style)
            x, _, flow = self.to_flows[n](x, style, feature, flow)
        x = self.convs[2 * last + 1](self.convs[2 * last](x, style), style)
        return cast(ToFlow, self.to_flows[last]).flow(x, style, flow)

    def coarse(self, style: Tensor, features: Sequence[Tensor], motion: Sequence[Tensor] = ()) -> Tensor:
        """The image [B, 3, S, S] before the refine block; arguments as `forward`."""
        return self.draw(style, features, motion).image

    def forward(self, style: Tensor, features: Sequence[Tensor], motion: Sequence[Tensor] = ()) -> Tensor:
        """Draw a source.

        Args:
            style: [B, W], of `Source`.
            features: from 8×8 to the whole size, of `Source`.
            motion: see `style_of`.

        Returns:
            [B, 3, S, S], about ±1, not clamped.
        """
        image = self.coarse(style, features, motion)
        return image if self.refine_block is None else self.refine_block(image)


class Generator(nn.Module):
    """Stage 1 as a whole: `enc` and `dec`.

    Args:
        size: S, side of the images, a power of two; 256 or 512 in the published networks.
        dimensions: K, of a motion code.
        width: most channels of a layer.
        style: W, numbers of a style code.
        refine: channels of the refine block; 0 for none.
        fill: whether colours come from warped features and their fill, instead of the warped ones alone as in the
            published network, where what the source does not show is never drawn.
        drawn: D, side of what is drawn, where it is smaller than S: the photograph's own pixels are carried there.
    """

    def __init__(
        self,
        size: int = 512,
        dimensions: int = 20,
        width: int = WIDTH,
        style: int = STYLE,
        refine: int = REFINE_WIDTH,
        fill: bool = False,
        drawn: int | None = None,
    ) -> None:
        super().__init__()
        self.size, self.dimensions = size, dimensions
        self.enc = Encoder(size, dimensions, width, style)
        self.dec = Renderer(drawn or size, dimensions, width, style, refine, fill)

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """The source [B, 3, S, S] with the target's motion, both in ±1, as in training."""
        encoded = self.enc(source)
        return self.dec(encoded.style, encoded.features, [self.enc(target).motion])
