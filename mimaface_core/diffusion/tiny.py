"""The tiny autoencoder on a CPU without wasted work: linear layers that follow each other become one convolution.

The encoder's first convolutions have nothing between them, nor have the decoder's last ones; together they take half of
its time, since they run at full size. What a residual adds to a render is the difference of two decodes, and so the
last convolution of their difference. Equal to the autoencoder but for rounding, and for the border, where the
autoencoder sees zeros between its layers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import takewhile
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..tensors import channels_last
from .area import Area

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

_PATCH = 7  # side of the image in which the response of a chain of layers is measured; its middle is 3
_BORDER = 16  # latents from the border, as far as its zeros reach: the check does not look there
_ROUNDING = 1e-5  # of the greatest weight
_CLOSE = 1e-3  # greatest difference from the autoencoder, of numbers of about 1


class TinyCoder:
    """Encodes and decodes like an `AutoencoderTiny`, whose weights it copies; made by `of`.

    Args:
        vae: on the CPU, in float32, as it stays.
        colour: whether changes have colours, or are grey.
        dtype: in which it computes.
    """

    def __init__(self, vae: AutoencoderTiny, colour: bool, dtype: torch.dtype) -> None:
        layers, last = list(vae.encoder.layers), list(vae.decoder.layers)
        first = list(takewhile(lambda layer: isinstance(layer, nn.Conv2d), layers))
        self.shrink = 1
        for layer in first:
            assert isinstance(layer, nn.Conv2d)
            self.shrink *= layer.stride[0]
        split = len(last) - len(list(takewhile(_linear, reversed(last))))
        self.grow = 2 ** sum(isinstance(layer, nn.Upsample) for layer in last[split:])
        front, end = nn.Sequential(*first), nn.Sequential(*last[split:])

        def finish(features: Tensor) -> Tensor:
            image = end(features) * 2  # the decoder ends in ±1
            return F.pixel_unshuffle(image if colour else image.mean(1, keepdim=True), self.grow)

        channels = next(layer.in_channels for layer in last[split:] if isinstance(layer, nn.Conv2d))
        self._front = _folded(lambda x: front(F.pixel_shuffle(x, self.shrink) / 2 + 0.5), 3 * self.shrink**2)
        self._end = _folded(finish, channels)
        body = last[:split]
        largest = max((at for at, layer in enumerate(body) if isinstance(layer, nn.Upsample)), default=0)
        self._encoder = nn.Sequential(*layers[len(first) :])
        self._decoder, self._enlarger = nn.Sequential(*body[:largest]), nn.Sequential(*body[largest:])
        self._reach = 1 + sum(isinstance(part, nn.Conv2d) for part in self._enlarger.modules())
        for name in ("_front", "_end", "_encoder", "_decoder", "_enlarger"):
            setattr(self, name, channels_last(_overwriting(copy.deepcopy(getattr(self, name)).to(dtype))))
        self.dtype = dtype

    @classmethod
    def of(cls, vae: nn.Module, colour: bool, dtype: torch.dtype) -> TinyCoder | None:
        """A coder for an autoencoder; None for one of another kind or build."""
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

        if not isinstance(vae, AutoencoderTiny):
            return None
        try:
            exact = cls(vae, colour, torch.float32)
        except (AssertionError, RuntimeError, StopIteration):  # layers in another order
            return None
        if not exact._agrees(vae, colour):
            return None
        return exact if dtype == torch.float32 else cls(vae, colour, dtype)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Unscaled latents [N, C, h, w], float32, of images [N, 3, H, W] in ±1."""
        blocks = F.pixel_unshuffle(images.to(self.dtype), self.shrink)
        return self._encoder(self._front(blocks.contiguous(memory_format=torch.channels_last))).float()

    @torch.no_grad()
    def change(self, latents: Tensor, base: Tensor, wanted: Tensor | None = None) -> Tensor:
        """The decode of unscaled latents less that of others.

        Args:
            latents: [N, C, h, w].
            base: the others.
            wanted: bool [N, 1, H, W], the pixels that are asked for; all when None. Most of the time is spent at the
                largest sizes, where nothing is computed outside the rectangle around them.

        Returns:
            [N, 3 or 1, H, W], float32; 0 or the change where it is not wanted.
        """
        both = torch.tanh(torch.cat([latents, base]).to(self.dtype) / 3) * 3
        features = self._decoder(both.contiguous(memory_format=torch.channels_last))
        if wanted is None:
            return self._enlarged(features)
        scale = wanted.shape[-1] // features.shape[-1]
        reach = -(-self._reach * self.grow // scale)
        sides = []
        for axis in (-1, -2):
            places = wanted.flatten(0, 1).any(0).any(axis).nonzero()[:, 0].tolist() or [0]
            sides.append(slice(max(0, places[0] // scale - reach), places[-1] // scale + 1 + reach))
        area = Area(sides[0], sides[1], (features.shape[-2], features.shape[-1]))
        part = self._enlarged(area.cut(features).contiguous(memory_format=torch.channels_last))
        change = part.new_zeros(len(part), part.shape[1], *wanted.shape[-2:])
        area.cut(change, scale).copy_(part)
        return change

    def _enlarged(self, features: Tensor) -> Tensor:
        """The change [N, 3 or 1, …] by features of both decodes [2 N, …]."""
        own, others = self._enlarger(features).chunk(2)
        return F.pixel_shuffle(F.conv2d(own - others, self._end.weight, padding=1), self.grow).float()

    @torch.no_grad()
    def _agrees(self, vae: AutoencoderTiny, colour: bool) -> bool:
        """Whether it does what the autoencoder does."""
        generator = torch.Generator().manual_seed(0)
        side = (2 * _BORDER + 8) * 8
        images = torch.rand(1, 3, side, side, generator=generator) * 2 - 1
        latents = vae.encode(images).latents
        change = vae.decode(latents / 2).sample - vae.decode(latents).sample
        change = change if colour else change.mean(1, keepdim=True)
        inner, inside = slice(_BORDER, -_BORDER), slice(_BORDER * 8, -_BORDER * 8)
        pairs = (
            (latents[..., inner, inner], self.encode(images)[..., inner, inner]),
            (change[..., inside, inside], self.change(latents / 2, latents)[..., inside, inside]),
        )
        return all(bool(torch.allclose(exact, own, atol=_CLOSE)) for exact, own in pairs)


def _linear(layer: nn.Module) -> bool:
    return isinstance(layer, (nn.Conv2d, nn.Upsample))


def _overwriting(network: nn.Module) -> nn.Module:
    """The network, whose activations need no memory of their own: each follows a convolution or a sum."""
    for part in network.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = True
    return network


@torch.no_grad()
def _folded(chain: Callable[[Tensor], Tensor], channels: int) -> nn.Conv2d:
    """The convolution of 3 × 3 that does what a chain of linear layers does.

    Args:
        chain: [N, channels, h, w] → [N, C, h, w].
        channels: that it takes.

    Raises:
        AssertionError: the chain looks farther than to the neighbours.
    """
    middle = _PATCH // 2
    probes = torch.zeros(1 + channels, channels, _PATCH, _PATCH)  # nothing, then one number in each channel
    probes[1:, :, middle, middle] = torch.eye(channels)
    constant, *responses = chain(probes)
    response = (torch.stack(responses) - constant).transpose(0, 1)
    window = (..., slice(middle - 1, middle + 2), slice(middle - 1, middle + 2))
    near, far = response[window].flip(-2, -1), response.clone()
    far[window] = 0
    assert far.abs().max() <= _ROUNDING * near.abs().max()
    folded = nn.Conv2d(channels, len(response), 3, padding=1).requires_grad_(False)
    folded.weight.copy_(near)
    assert folded.bias is not None
    folded.bias.copy_(constant[:, middle, middle])
    return folded
