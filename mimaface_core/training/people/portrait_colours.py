"""Colours of people's skin on the face mesh, from portraits, freed from their light."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...face.crop import CROP_SIZE, PLANE
from ...face.fit import ShapeFit
from ...lookup import sample
from ...morphable.model import TEXTURE_SIZE, MorphableModel
from ...tensors import blur

SOFTNESS = 2.0  # sigma of the blur before a colour is taken, pixels
SEEN_RANGE = (0.15, 0.45)  # cosine between skin and viewing ray: not seen, seen well
LIGHT_RIDGE = 0.05  # keeps the light's harmonics small where the normals do not tell them


def skin_colours(
    model: MorphableModel, fit: ShapeFit, images: Tensor, triangles: Tensor, mirror: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean colour and principal components of N portraits.

    A side that a portrait hardly shows takes the other side's colour; light is divided out as harmonics of the normals.

    Args:
        model: of the landmarks.
        fit: of the portraits, one person each.
        images: bytes [N, 3, 512, 512].
        triangles: [T, 3], of the landmarks, facing the viewer.
        mirror: [468], partners on the other side.

    Returns:
        [468, 3] and, in standard deviations, [468, 3, 80]; 0–255.
    """
    world = fit.shape @ fit.rotation + fit.translation[:, None]
    pixels = model.project(world)[..., :2] * (CROP_SIZE / PLANE)
    normals = _normals(world, triangles)
    rays = F.normalize(torch.tensor([0.0, 0.0, model.camera]) - world, dim=-1)
    low, high = SEEN_RANGE
    seen = (((normals * rays).sum(-1) - low) / (high - low)).clamp(0, 1)[..., None]
    colours = torch.cat(
        [
            sample(blur(image[None] / 127.5 - 1, SOFTNESS)[0], at[None, None])[:, :, 0].mT
            for image, at in zip(images, pixels, strict=True)
        ]
    )
    other = (1.01 - seen) * seen[:, mirror]
    colours = (seen * colours + other * colours[:, mirror]) / (seen + other).clamp(min=1e-3)
    colours = (colours + 1) * 127.5
    mean = colours.mean(0)
    unlit = colours / _light(colours / mean.clamp(min=1), normals)
    unlit = torch.cat([unlit, unlit[:, mirror]])
    mean = unlit.mean(0)
    _, size, modes = torch.linalg.svd((unlit - mean).flatten(1) / len(unlit) ** 0.5, full_matrices=False)
    return mean, (modes[:TEXTURE_SIZE].T * size[:TEXTURE_SIZE]).view(*mean.shape, TEXTURE_SIZE)


def _normals(points: Tensor, triangles: Tensor) -> Tensor:
    """Unit normals [N, V, 3] of points [N, V, 3]."""
    a, b, c = (points[:, triangles[:, k]] for k in range(3))
    face = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(points)
    for k in range(3):
        total = total.index_add(1, triangles[:, k], face)
    return F.normalize(total, dim=-1)


def _light(ratio: Tensor, normals: Tensor) -> Tensor:
    """The light [N, V, 3] about 1 on surfaces, by the first two bands of harmonics, of ratios [N, V, 3] to a mean face.

    Its level stays with the skin: dark skin is not taken for weak light.
    """
    bands = torch.cat([torch.ones_like(normals[..., :1]), normals], -1)
    normal = bands.transpose(1, 2) @ bands / bands.shape[1] + LIGHT_RIDGE * torch.eye(4)
    light = bands @ torch.linalg.solve(normal, bands.transpose(1, 2) @ ratio / bands.shape[1])
    light = light.mean(-1, keepdim=True)
    return (light / light.mean(1, keepdim=True)).clamp(0.4, 2.5)
