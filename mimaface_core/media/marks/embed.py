"""The watermark laid into the blue of frames: stronger in texture, faint on flat walls.

Blue, since the eye sees it least, codecs carry slow changes of colour well, and outlines and sharpness do not change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .pattern import SQUARE, pattern
from .payload import Payload

_BLOCK = 8  # pixels: texture is measured in squares of this side
# Strength in levels of blue, root mean square: on flat walls, what a level of texture adds, at most.
_FLAT, _GAIN, _MOST = 2.6, 0.15, 5.0
_MOST_OF_FRAME = 3.2  # of a whole frame, whatever it shows: 42.8 dB over its three colours
_SMALLEST = 32  # pixels: a shorter side holds no mark
_BLUE = 2


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
        self._pattern = torch.empty(0)

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
        change = (_strength(frame) * self._pattern).round_().to(torch.int16)
        change = change.repeat_interleave(SQUARE, 0)[:height].repeat_interleave(SQUARE, 1)[:, :width]
        if frame.shape[2] == 4:
            change = change * frame[..., 3] // 255
        marked = frame.clone()
        marked[..., _BLUE] = change.add_(frame[..., _BLUE]).clamp_(0, 255)
        return marked

    def _prepare(self, height: int, width: int) -> None:
        self._size = (height, width)
        self._pattern = torch.from_numpy(pattern(height, width, self.payload.bits()))


def _strength(frame: Tensor) -> Tensor:
    """Root mean square of the mark in each square, from the least texture in a neighbourhood of a few blocks."""
    # Every second pixel of green, which is most of the luma, tells the texture.
    luma = frame[::SQUARE, ::SQUARE, 1].float()[None, None]
    side = _BLOCK // SQUARE
    mean = F.avg_pool2d(luma, side, ceil_mode=True, count_include_pad=False)
    square = F.avg_pool2d(luma * luma, side, ceil_mode=True, count_include_pad=False)
    texture = (square - mean * mean).clamp_(min=0).sqrt_()
    # The least of the neighbours first: beside one edge, a wall stays a wall.
    least = -F.max_pool2d(-texture, 3, 1, 1)
    strength = (_FLAT + _GAIN * least).clamp_(max=_MOST)
    strength *= (_MOST_OF_FRAME / strength.square().mean().sqrt()).clamp_(max=1)
    return F.interpolate(strength, luma.shape[-2:], mode="bilinear", align_corners=False)[0, 0]
