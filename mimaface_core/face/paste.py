"""Paste back: the animated crop returned into the full picture, with soft edges and the picture's own colours."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..morphable.bundled.face_mesh import OVAL
from .crop import inverse
from .source import SourceFace

EDGE = 0.10  # share of the crop's side over which it fades into the picture
FINER = 4  # times finer than the crop the outline of a face is drawn, for a smooth edge
LARGEST_SHIFT = 0.15  # of the colours, in 0–1: what differs more is movement, not colour


class Paster:
    """Puts frames of a source's crop into its picture.

    source: whose crop they are. longest: limit of the picture's longer side in pixels; larger pictures are scaled down.

    `mask` [H, W] in 0–1 says how much of each place the crop covers; it is the same in every frame, since the head
    moves inside the crop and everything outside stays still. `picture` [H, W, 3] is the background.
    `face` [H, W] in 0–1 is what the outline of the face encloses in the photograph.
    """

    def __init__(self, source: SourceFace, longest: int = 1920) -> None:
        height, width = source.picture.shape[:2]
        scale = min(1.0, longest / max(height, width))
        size = [height, width]
        if scale < 1:
            size = [max(2, round(n * scale / 2) * 2) for n in size]
        picture = source.picture.permute(2, 0, 1)[None].float()
        if scale < 1:
            picture = F.interpolate(picture, size, mode="area")
        self.picture = picture[0].permute(1, 2, 0).contiguous()
        ratio = torch.tensor([width / size[1], height / size[0]])
        matrix = torch.cat([source.crop_matrix[:, :2] * ratio, source.crop_matrix[:, 2:]], 1)

        # the part of the picture that the crop covers
        side = source.crop.shape[-1]
        corners = torch.tensor([[0.0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ inverse(matrix).T
        low, high = corners.amin(0).floor().clamp(min=0), corners.amax(0).ceil()
        self.left, self.top = int(low[0]), int(low[1])
        self.right, self.bottom = min(size[1], int(high[0])), min(size[0], int(high[1]))
        x = torch.arange(self.left, self.right) + 0.5
        y = torch.arange(self.top, self.bottom) + 0.5
        y, x = torch.meshgrid(y, x, indexing="ij")
        place = torch.stack([x, y, torch.ones_like(x)], -1) @ matrix.T
        self._grid = (place / side * 2 - 1)[None]
        self._shrink = float(matrix[:, :2].det().abs().sqrt())

        inside = _fade(side)
        self._weight = self._lay(inside[None])[0]
        self.mask = self._whole(self._weight)
        self._landmarks = source.landmarks
        # colours are compared where the crop fades out
        self._seam = (inside > 0.02) & (inside < 0.9)
        self._own = (source.crop + 1) / 2

    @cached_property
    def face(self) -> Tensor:
        inside = _enclosed(self._landmarks[OVAL, :2], self._own.shape[-1])
        return self._whole(self._lay(inside[None])[0])

    def _whole(self, part: Tensor) -> Tensor:
        """The picture [H, W] that is `part` [h, w] where the crop lies, and 0 elsewhere."""
        whole = torch.zeros(self.picture.shape[:2])
        whole[self.top : self.bottom, self.left : self.right] = part
        return whole

    def __call__(self, frames: Tensor) -> Tensor:
        """Full pictures [N, H, W, 3] in 0–1 from frames of the crop [N, 3, S, S] in 0–1."""
        pasted = self.picture.expand(len(frames), -1, -1, -1).clone()
        area = pasted[:, self.top : self.bottom, self.left : self.right]
        for frame, part in zip(frames, area):
            laid = self._lay(self._matched(frame)).permute(1, 2, 0)
            part += self._weight[..., None] * (laid - part)
        return pasted.clamp_(0, 1)

    def _matched(self, frame: Tensor) -> Tensor:
        """The frame with the colours that the photograph has at the seam."""
        if frame.shape[-2:] != self._own.shape[-2:]:
            frame = F.interpolate(frame[None], self._own.shape[-2:], mode="bilinear", antialias=True)[0]
        apart = (self._own - frame)[:, self._seam]
        shift = apart.median(1).values.clamp(-LARGEST_SHIFT, LARGEST_SHIFT)
        return (frame + shift[:, None, None]).clamp(0, 1)

    def _lay(self, crop: Tensor) -> Tensor:
        """A crop [C, S, S] as seen at the place it covers, [C, h, w]."""
        crop = crop[None]
        if self._shrink > 1.2:  # several crop pixels to one of the picture: average them
            size = max(1, round(crop.shape[-1] / self._shrink))
            crop = F.interpolate(crop, (size, size), mode="area")
        laid = F.grid_sample(crop, self._grid, mode="bicubic", padding_mode="border", align_corners=False)
        return laid[0].clamp(0, 1)


def _fade(side: int) -> Tensor:
    """Weight [S, S] of a crop: 1 inside, falling smoothly to 0 at its border."""
    steps = (torch.arange(side) + 0.5) / side
    rise = (torch.minimum(steps, 1 - steps) / EDGE).clamp(0, 1)
    rise = rise * rise * (3 - 2 * rise)
    return rise[:, None] * rise[None, :]


def _enclosed(outline: Tensor, side: int) -> Tensor:
    """1 inside the polygon through points [n, 2], 0 outside and between at its edge, as [S, S]."""
    from PIL import Image, ImageDraw

    large = Image.new("L", (FINER * side, FINER * side))
    ImageDraw.Draw(large).polygon([tuple(point) for point in (FINER * outline).tolist()], fill=255)
    return torch.from_numpy(np.array(large.reduce(FINER), np.float32)) / 255
