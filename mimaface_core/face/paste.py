"""Paste back: the animated crop returned into the full image, with soft edges and the image's own colours."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import Lookup
from ..morphable.bundled.face_mesh import OVAL
from ..tensors import blur, dilated, invert_affine, sampling_grid, smoothstep

EDGE_SHARE = 0.10  # of the crop's side, over which it fades into the image
SEAM_WEIGHTS = (0.02, 0.9)  # weights of the crop's fading border between which colours are compared
MAX_COLOUR_SHIFT = 0.15  # in 0–1: a larger difference at the seam is movement, not colour
MASK_SUPERSAMPLING = 4  # the outline of a face is drawn that much finer than the crop, for a smooth edge
UNCHANGED = 0.5 / 255  # of 0–1: a pixel of the crop that differs less is the photograph's own
CHANGE_REACH, CHANGE_BLUR = 4, 2.0  # crop pixels around changed ones that are pasted, too; softness of their edge
MIN_SHRINK = 1.2  # crop pixels to an image pixel: from here on the crop is averaged before it is sampled


class CroppedFace(Protocol):
    """A photograph and the place of a face's crop in it: a `SourceFace` or an `ImplicitSource`."""

    @property
    def image(self) -> Tensor:
        """[H, W, 3] in 0–1, the full image."""

    @property
    def crop(self) -> Tensor:
        """[3, S, S] in ±1."""

    @property
    def crop_matrix(self) -> Tensor:
        """[2, 3], image pixels to crop pixels."""

    @property
    def landmarks(self) -> Tensor:
        """[478, 3] in crop pixels."""

    @property
    def alpha(self) -> Tensor | None:
        """[H, W] in 0–1, of a cut-out."""


class Paster:
    """Pastes frames of a source's crop into its image.

    The head moves inside the crop and everything outside stays still, so the crop's mask holds for every frame. Where a
    frame shows the source's own crop, the image stays as it is, pixel for pixel.

    Args:
        source: the face whose crop is animated.
        longest: limit of the image's longer side in pixels; larger images are scaled down.

    Attributes:
        image: [H, W, 3] in 0–1, the background.
        mask: [H, W] in 0–1, the crop's weight at each pixel.
    """

    def __init__(self, source: CroppedFace, longest: int = 1920) -> None:
        whole = source.image if source.alpha is None else torch.cat([source.image, source.alpha[..., None]], -1)
        self._whole, scale = _scaled_down(whole, longest)
        self.image = self._whole[..., :3]
        height, width = self.image.shape[:2]
        matrix = torch.cat([source.crop_matrix[:, :2] * scale, source.crop_matrix[:, 2:]], 1)

        # The rectangle of the image that the crop covers.
        side = source.crop.shape[-1]
        corners = torch.tensor([[0.0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ invert_affine(matrix).T
        low, high = corners.amin(0).floor().clamp(min=0), corners.amax(0).ceil()
        self._rows = range(int(low[1]), min(height, int(high[1])))
        self._columns = range(int(low[0]), min(width, int(high[0])))
        self._places = (sampling_grid(matrix[None], self._rows, self._columns, (side, side)) + 1) * (side / 2)
        self._shrink = float(matrix[:, :2].det().abs().sqrt())

        fade = _edge_fade(side)
        self._weight = self._placed(fade[None])[0]
        self.mask = self._full_size(self._weight)
        self._seam = ((fade > SEAM_WEIGHTS[0]) & (fade < SEAM_WEIGHTS[1])).flatten().nonzero()[:, 0]
        self._source_crop = (source.crop + 1) / 2
        self._seam_colours = self._at_seam(self._source_crop)
        self._landmarks = source.landmarks

    @cached_property
    def face(self) -> Tensor:
        """Mask [H, W] in 0–1 of the photograph's face, the inside of its outline."""
        mask = _polygon_mask(self._landmarks[OVAL, :2], self._source_crop.shape[-1])
        return self._full_size(self._placed(mask[None])[0])

    def __call__(self, frames: Tensor) -> Tensor:
        """Full images [N, H, W, 3] in 0–1 with frames of the crop [N, 3, S, S], in 0–1, pasted in.

        With four channels each where the frames have an alpha (`tensors.on_white`), and so does the source. They lie
        where the source does, on the CPU.
        """
        frames = frames.to(self._whole)
        channels = min(frames.shape[1], self._whole.shape[-1])
        pasted = self._whole[..., :channels].expand(len(frames), -1, -1, -1).clone()
        area = pasted[:, self._rows.start : self._rows.stop, self._columns.start : self._columns.stop]
        for frame, part in zip(frames, area, strict=True):
            frame = self._fitted(frame[:channels])
            changed = self._changed(frame)
            if changed is not None:
                weight = self._weight * changed
                placed = self._placed(self._colour_matched(frame), weight > 0).permute(1, 2, 0)
                part += weight[..., None] * (placed - part)
        return pasted.clamp_(0, 1)

    def _fitted(self, frame: Tensor) -> Tensor:
        """The frame [3 or 4, S, S], in the size of the source's crop."""
        if frame.shape[-2:] == self._source_crop.shape[-2:]:
            return frame
        return F.interpolate(frame[None], self._source_crop.shape[-2:], mode="bilinear", antialias=True)[0]

    def _changed(self, frame: Tensor) -> Tensor | None:
        """Where a frame differs from the source's crop [h, w] in 0–1, with what lies around; None where nowhere."""
        red, green, blue = (frame[:3] - self._source_crop).abs_() > UNCHANGED  # a reduction over three is slow
        changed = red | green | blue
        if changed.all() or len(frame) > 3:
            return torch.ones_like(self._weight)
        if not changed.any():
            return None
        wide = dilated(changed, CHANGE_REACH)
        return self._placed(blur(wide[None, None].float(), CHANGE_BLUR)[0])[0]

    def _colour_matched(self, frame: Tensor) -> Tensor:
        """The frame [3 or 4, S, S], its colours shifted to those of the photograph at the seam."""
        difference = self._seam_colours - self._at_seam(frame)
        shift = difference.median(1).values.clamp(-MAX_COLOUR_SHIFT, MAX_COLOUR_SHIFT)
        return torch.cat([(frame[:3] + shift[:, None, None]).clamp(0, 1), frame[3:]])

    def _at_seam(self, frame: Tensor) -> Tensor:
        """Colours [3, n] of a frame [3 or 4, S, S] at the seam."""
        return frame[:3].flatten(1).index_select(1, self._seam)

    def _placed(self, crop: Tensor, where: Tensor | None = None) -> Tensor:
        """A crop [C, S, S] in 0–1, sampled in the rectangle of the image that it covers, [C, h, w].

        where: bool [h, w], pixels that are sampled, the others are 0; all when None.
        """
        places = self._places
        if self._shrink > MIN_SHRINK:
            size = max(1, round(crop.shape[-1] / self._shrink))
            places = places * (size / crop.shape[-1])
            crop = F.interpolate(crop[None], (size, size), mode="area")[0]
        return Lookup(crop)(places, None if where is None else where[None])[0].clamp(0, 1)

    def _full_size(self, mask: Tensor) -> Tensor:
        """The mask [h, w] of the crop's rectangle, extended by 0 to the full image [H, W]."""
        full = torch.zeros(self.image.shape[:2])
        full[self._rows.start : self._rows.stop, self._columns.start : self._columns.stop] = mask
        return full


def _scaled_down(image: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """The image with sides of at most `longest` pixels, even where it shrank, and its old over new size (x, y)."""
    height, width = image.shape[:2]
    scale = min(1.0, longest / max(height, width))
    size = [height, width]
    planes = image.permute(2, 0, 1)[None].float()
    if scale < 1:
        size = [max(2, round(n * scale / 2) * 2) for n in size]
        planes = F.interpolate(planes, size, mode="area")
    return planes[0].permute(1, 2, 0).contiguous(), torch.tensor([width / size[1], height / size[0]])


def _edge_fade(side: int) -> Tensor:
    """Weight [S, S] of a crop: 1 inside, falling smoothly to 0 at its border."""
    steps = (torch.arange(side) + 0.5) / side
    rise = smoothstep(torch.minimum(steps, 1 - steps) / EDGE_SHARE)
    return rise[:, None] * rise[None, :]


def _polygon_mask(outline: Tensor, side: int) -> Tensor:
    """Mask [S, S] of the polygon through points [n, 2]: 1 inside, 0 outside, anti-aliased at its edge."""
    from PIL import Image, ImageDraw

    large = Image.new("L", (MASK_SUPERSAMPLING * side, MASK_SUPERSAMPLING * side))
    points = [(float(x), float(y)) for x, y in (MASK_SUPERSAMPLING * outline).tolist()]
    ImageDraw.Draw(large).polygon(points, fill=255)
    return torch.from_numpy(np.array(large.reduce(MASK_SUPERSAMPLING), np.float32)) / 255
