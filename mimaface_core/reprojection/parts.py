"""Eyeballs and layers of the mouth: the photograph unwrapped onto their textures, and the textures drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import sample
from ..morphable.bundled.face import BundledFace
from ..morphable.rasterize import interpolate, rasterize
from .sampling import pixel_box


class DrawnParts(NamedTuple):
    """Parts behind the skin, drawn in N frames.

    Attributes:
        colour: [N, 3, h, w] in ±1, 0 where there is no part.
        shown: [N, 1, h, w] in 0–1, share of the colour that comes from the photograph.
        opacity: [N, 1, h, w] in 0–1, 0 where there is no part.
        mask: bool [N, 1, h, w], where there is a part.
    """

    colour: Tensor
    shown: Tensor
    opacity: Tensor
    mask: Tensor


class Unwrapped(NamedTuple):
    """The photograph on the texture of a part, T texels to a side.

    Attributes:
        colour: [3, T, T] in ±1.
        pixels: [T, T, 2], places in the photograph.
        mask: bool [T, T], texels that the part's mesh covers.
    """

    colour: Tensor
    pixels: Tensor
    mask: Tensor


def unwrap(face: BundledFace, name: str, crop: Tensor, vertex_pixels: Tensor, side: int) -> Unwrapped:
    """Unwrap the photograph onto a part's texture.

    Args:
        face: the bundled face.
        name: of the part.
        crop: [3, S, S] in ±1, the photograph.
        vertex_pixels: [V, 2 or 3], the face's vertices in the photograph.
        side: of the texture, in texels.
    """
    part = face.parts[name]
    triangles = face.model.triangles[face.part_triangles[name]] - part.start
    uv = F.pad(face.uv[part] * side, (0, 1))
    fragments = rasterize(uv[None], triangles, side, side)
    pixels = interpolate(fragments, triangles, vertex_pixels[part, :2])[0].permute(1, 2, 0)
    return Unwrapped(sample(crop, pixels[None])[0], pixels, fragments.mask[0])


def draw_parts(
    face: BundledFace,
    textures: Mapping[str, Tensor],
    names: Sequence[str],
    points: Tensor,
    height: int,
    width: int,
) -> DrawnParts:
    """Draw parts with their textures, the nearest in front.

    Args:
        face: the bundled face.
        textures: name → [5, T, T]: colour in ±1, share taken from the photograph, opacity.
        names: of the parts.
        points: [N, V, 3], the face's vertices in pixels of the images.
        height: of the images in pixels.
        width: of the images in pixels.
    """
    spans = [face.part_triangles[name] for name in names]
    triangles = torch.cat([face.model.triangles[span] for span in spans])
    fragments = rasterize(points, triangles, height, width)
    uv = interpolate(fragments, triangles, face.uv).permute(0, 2, 3, 1) * 2 - 1
    drawn, start = points.new_zeros(len(points), 5, height, width), 0
    for name, span in zip(names, spans, strict=True):
        stop = start + span.stop - span.start
        box = pixel_box(points[:, face.parts[name], :2], 1, (height, width))
        owner = fragments.triangle[:, box.rows, box.columns]
        texture = textures[name][None].expand(len(points), -1, -1, -1)
        places = uv[:, box.rows, box.columns]
        texels = F.grid_sample(texture, places, mode="bilinear", padding_mode="border", align_corners=False)
        drawn[(slice(None), *box.index)] += ((owner >= start) & (owner < stop))[:, None] * texels
        start = stop
    return _drawn_parts(drawn, fragments.mask)


def draw_layers(
    face: BundledFace,
    textures: Mapping[str, Tensor],
    names: Sequence[str],
    points: Tensor,
    height: int,
    width: int,
) -> list[DrawnParts]:
    """Draw each part as `draw_parts` does it alone; all at once, since small images cost by the call.

    Args:
        face: the bundled face.
        textures: as `draw_parts` takes them.
        names: of the parts, which share no vertex.
        points: [N, V, 3], the face's vertices in pixels of the images.
        height: of the images in pixels.
        width: of the images in pixels.
    """
    count, frames = len(names), len(points)
    layered = points.new_full((count, *points.shape), torch.nan)  # a vertex that is not finite draws nothing
    for layer, name in zip(layered, names, strict=True):
        layer[:, face.parts[name]] = points[:, face.parts[name]]
    triangles = torch.cat([face.model.triangles[face.part_triangles[name]] for name in names])
    fragments = rasterize(layered.flatten(0, 1), triangles, height, width)
    uv = interpolate(fragments, triangles, face.uv).permute(0, 2, 3, 1) * 2 - 1
    places, masks = (of.unflatten(0, (count, frames)) for of in (uv, fragments.mask))
    drawn = []
    for name, at, mask in zip(names, places, masks, strict=True):
        texture = textures[name][None].expand(frames, -1, -1, -1)
        texels = F.grid_sample(texture, at, mode="bilinear", padding_mode="border", align_corners=False)
        drawn.append(_drawn_parts(mask[:, None] * texels, mask))
    return drawn


def _drawn_parts(drawn: Tensor, mask: Tensor) -> DrawnParts:
    return DrawnParts(drawn[:, :3], drawn[:, 3:4], drawn[:, 4:], mask[:, None])
