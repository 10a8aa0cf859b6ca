"""The mouth's inside as it is seen between the lips: its layers, and the lips' shade on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..morphable.bundled.face import BundledFace
from ..morphable.bundled.face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LIP_MIDDLES
from ..morphable.bundled.mouth_texture import MOUTH_LAYERS
from ..tensors import blur
from .lip_shading import LIP_SHADING
from .parts import draw_layers
from .sampling import pixel_box

THROAT_COLOUR = (-0.62, -0.83, -0.84)  # colour in ±1 where nothing lies before it
INNER_LIPS = [*INNER_UPPER_LIP, *INNER_LOWER_LIP]
REACH = 24  # pixels around the inner lips in which the inside is drawn: the shade of the lips ends there
MIN_DEFOCUS = 0.3  # pixels: a photograph less out of focus is taken as sharp


class Interior(NamedTuple):
    """The eyes and the mouth's inside behind the skin, in an area of the image.

    Attributes:
        colour: [N, 3, h, w] in ±1.
        synthetic: [N, 1, h, w] in 0–1, where the photograph does not show it.
        mouth: bool [N, 1, h, w], the mouth's inside.
        shut: [N, 1, h, w] in 0–1, an eye that is shut as in the photograph.
    """

    colour: Tensor
    synthetic: Tensor
    mouth: Tensor
    shut: Tensor


def draw_mouth(
    face: BundledFace,
    textures: Mapping[str, Tensor],
    points: Tensor,
    cover: Tensor,
    closure: Tensor,
    defocus: float,
    pixel: float,
) -> Interior:
    """Draw the layers of the mouth, the nearest in front, shaded by the lips, between the lips; the throat elsewhere.

    Args:
        face: the bundled face.
        textures: as `draw_parts` takes them.
        points: [N, V, 3], the face's vertices in pixels of the image.
        cover: [N, 1, h, w] in 0–1, where the skin lies before it.
        closure: [N] in 0–1, how far the mouth has closed since the photograph.
        defocus: pixels by which the photograph is out of focus.
        pixel: of a crop of the usual size, in pixels of this image.
    """
    throat, none = cover.new_tensor(THROAT_COLOUR)[:, None, None], torch.zeros_like(cover)
    whole = Interior(throat.expand(len(cover), -1, *cover.shape[-2:]).clone(), none.clone(), none.bool(), none)
    area = pixel_box(points[:, INNER_LIPS, :2], round(REACH * pixel), (cover.shape[-2], cover.shape[-1]))
    cover = cover[:, :, area.rows, area.columns]
    if (cover < 1).any():  # something of it is seen
        local = points - points.new_tensor([*area.corner, 0])
        parts = _between_lips(face, textures, local, cover, closure, pixel)
        for full, part in zip(whole, parts, strict=False):
            full[:, :, area.rows, area.columns] = part
        if defocus > MIN_DEFOCUS:
            whole.colour[:, :, area.rows, area.columns] = blur(parts[0], defocus)
    return whole


def _between_lips(
    face: BundledFace, textures: Mapping[str, Tensor], points: Tensor, cover: Tensor, closure: Tensor, pixel: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, synthetic and mouth, as in `Interior`, of an area around the lips."""
    shading, (height, width) = LIP_SHADING, cover.shape[-2:]
    colour = cover.new_tensor(THROAT_COLOUR)[:, None, None].expand(len(cover), -1, height, width)
    shown, inside = torch.zeros_like(cover), torch.zeros_like(cover, dtype=torch.bool)
    for layer in draw_layers(face, textures, MOUTH_LAYERS[::-1], points, height, width):
        inside = inside | layer.mask
        colour = colour + layer.opacity * (layer.colour - colour)
        shown = shown + layer.opacity * (layer.shown - shown)
    # lips shade what the photograph did not show, and redden it; all of it where they close
    lips, drop = blur(cover, shading.reach * pixel), max(1, round(shading.drop * pixel))
    lips[..., drop:, :] = lips[..., :-drop, :].clone()
    depth = points[:, face.parts["upper_teeth"], 2].amin(1) - points[:, LIP_MIDDLES, 2].mean(1)
    pout = (depth - shading.usual_depth).clamp(0, shading.max_pout)
    light = (1 - shading.pout_loss * pout[:, None, None, None]) * (1 - shading.loss * lips)
    light = light ** cover.new_tensor(shading.exponents)[:, None, None]
    light = light + (1 - light) * shown * (1 - closure[:, None, None, None])
    return (colour + 1) * light - 1, (1 - shown) * inside, inside
