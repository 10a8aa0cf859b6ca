"""The watermark laid into frames: stronger in texture, faint on flat walls."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .pattern import pattern
from .payload import Payload

_BLOCK = 8  # pixels: texture is measured in squares of this side
# Strength in levels of 255, root mean square: on flat walls, what a level of texture adds, at most.
_FLAT, _GAIN, _MOST = 0.9, 0.3, 4.5
_MOST_OF_FRAME = 1.9  # of a whole frame: 42 dB, whatever it shows
_SMALLEST = 32  # pixels: a shorter side holds no mark
_DITHER_KEY = 7


class Watermark:
    """Marks frames, one after another, of one size; the same frames give the same marks.

    >>> mark = Watermark(Payload.of_version("0.1.0"))
    >>> marked = mark(frame)

    Args:
        payload: what the mark says.
    """

    def __init__(self, payload: Payload) -> None:
        self.payload = payload
        self._size: tuple[int, int] = (0, 0)
        self._pattern = self._dither = torch.empty(0)

    def __call__(self, frame: Tensor) -> Tensor:
        """The marked frame.

        Args:
            frame: uint8 [H, W, 3], or [H, W, 4] with an alpha, which stays; where nothing can be seen, nothing changes.

        Returns:
            A new frame of the same kind; the frame itself where it is too small for a mark.
        """
        height, width = frame.shape[:2]
        if min(height, width) < _SMALLEST:
            return frame
        if self._size != (height, width):
            self._prepare(height, width)
        colours = frame[..., :3]
        change = _strength(colours) * self._pattern
        if frame.shape[2] == 4:
            change *= frame[..., 3] / 255
        change = (change + self._dither).floor_().to(torch.int16)[..., None]
        marked = (colours.to(torch.int16) + change).clamp_(0, 255).to(torch.uint8)
        return marked if frame.shape[2] == 3 else torch.cat([marked, frame[..., 3:]], -1)

    def _prepare(self, height: int, width: int) -> None:
        self._size = (height, width)
        self._pattern = torch.from_numpy(pattern(height, width, self.payload.bits()))
        key = np.random.Generator(np.random.PCG64(_DITHER_KEY))
        self._dither = torch.from_numpy(key.random((height, width), dtype=np.float32))


def _strength(colours: Tensor) -> Tensor:
    """Root mean square [H, W] of the mark, from the least texture in a neighbourhood of a few blocks."""
    height, width = colours.shape[:2]
    # Every second pixel of green, which is most of the luma, tells the texture.
    luma = colours[::2, ::2, 1].float()[None, None]
    side = _BLOCK // 2
    mean = F.avg_pool2d(luma, side, ceil_mode=True, count_include_pad=False)
    square = F.avg_pool2d(luma * luma, side, ceil_mode=True, count_include_pad=False)
    texture = (square - mean * mean).clamp_(min=0).sqrt_()
    # The least of the neighbours first: beside one edge, a wall stays a wall.
    least = -F.max_pool2d(-texture, 3, 1, 1)
    strength = (_FLAT + _GAIN * least).clamp_(max=_MOST)
    strength *= (_MOST_OF_FRAME / strength.square().mean().sqrt()).clamp_(max=1)
    return F.interpolate(strength, (height, width), mode="bilinear", align_corners=False)[0, 0]
