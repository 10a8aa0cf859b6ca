"""Shaded renders of the face model (the paper's I_R), and their place in the image as released."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from ..tensors import from_whole_centres, sampling_grid
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
    the outline already: edges come out darker, which the released weights have seen in training.

    Args:
        rgb: [N, 3, h, w] in 0–1, on black.
        mask: [N, 1, h, w], 1 where the face is.
        alignment: [N, 2, 3], image pixels to render pixels, with whole-number pixel centres on both sides, as OpenCV
            and the released inference count; converted here to the convention of `tensors.sampling_grid`.
        size: side of the images in pixels.

    Returns:
        [N, 3, size, size] in ±1.
    """
    matrix = from_whole_centres(alignment.to(rgb))
    grid = sampling_grid(matrix, range(size), range(size), (rgb.shape[2], rgb.shape[3]), align_corners=True)
    layers = torch.cat([rgb * 2 - 1, mask], 1)
    warped = F.grid_sample(layers, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    colours, mask = warped[:, :3], warped[:, 3:]
    return colours * mask - (1 - mask)
