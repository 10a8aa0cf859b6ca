"""Shaded renders of the face model (the paper's I_R), and their place in the image as released."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from .model import PLANE, MorphableModel
from .rasterize import interpolate, rasterize

if TYPE_CHECKING:
    from ..motion.track import FaceCoefficients


@torch.no_grad()
def render_shaded(model: MorphableModel, coefficients: FaceCoefficients, size: int = PLANE) -> tuple[Tensor, Tensor]:
    """Draw the lit face of N frames as the camera sees it, on black (I_R of the paper).

    Args:
        model: the face model.
        coefficients: N frames.
        size: side of the square image in pixels; it always shows the whole camera plane.

    Returns:
        Colours [N, 3, size, size] in 0–1, and the mask [N, 1, size, size], 1 where the face is, else 0.
    """
    projected = model.project(model.vertices(coefficients))
    projected = projected * projected.new_tensor([size / PLANE, size / PLANE, 1.0])
    fragments = rasterize(projected, model.triangles, size, size)
    colours = interpolate(fragments, model.triangles, model.shaded_colours(coefficients))
    return (colours / 255).clamp(0, 1), fragments.mask[:, None].float()


def composite_released(rgb: Tensor, mask: Tensor, alignment: Tensor, size: int = 512) -> Tensor:
    """Place renders of the camera plane in their images, on −1, exactly as the released inference does.

    Colours and mask are warped bilinearly with 0 outside, and the mask then weighs colours that black has entered at
    the outline already: edges come out darker, as the released weights expect.

    Convention: the alignment counts pixels of the image and of the render so that the centre of the first pixel is
    (0, 0), as OpenCV does, hence `align_corners=True`. Elsewhere in the package that centre is (0.5, 0.5).

    Args:
        rgb: [N, 3, h, w] in 0–1, on black.
        mask: [N, 1, h, w] in 0–1.
        alignment: [N, 2, 3], from image pixels to render pixels.
        size: side of the images in pixels.

    Returns:
        [N, 3, size, size] in ±1.
    """
    h, w = rgb.shape[-2:]
    steps = torch.arange(size, device=rgb.device, dtype=rgb.dtype)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    place = torch.stack([x, y, torch.ones_like(x)], -1)
    grid = torch.einsum("hwk,nck->nhwc", place, alignment.to(rgb))
    grid = grid * grid.new_tensor([2 / (w - 1), 2 / (h - 1)]) - 1
    layers = torch.cat([rgb * 2 - 1, mask], 1)
    warped = F.grid_sample(layers, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    colours, mask = warped[:, :3], warped[:, 3:]
    return colours * mask - (1 - mask)
