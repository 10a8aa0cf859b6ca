"""Eyes that look elsewhere: irises are shifted between lids that stay.

Whoever is photographed looks into the camera, so that irises betray how a head is turned; a tracker that believes them
turns the head with every glance.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face_mesh import EYE_CORNERS, LEFT_IRIS, LID_MIDDLES, RIGHT_IRIS

SHARE = 0.6  # of images
SPREAD, LIMIT = (0.18, 0.06), (0.28, 0.1)  # standard deviations and limits along and across an eye, of its width
OPEN = 0.12  # height over width of an eye from which an iris is shifted
COARSE = 2  # pixels of an image for one of the field of shifts
STEPS = 3  # of the search for where a landmark goes


def looking_elsewhere(images: Tensor, points: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Images of which a share looks elsewhere, both eyes alike.

    Args:
        images: [N, 3, S, S].
        points: landmarks [N, 478, 2 or 3] in ±1 of the images.
        rng: source of randomness.

    Returns:
        Images and landmarks.
    """
    shift = torch.from_numpy((rng.standard_normal((len(images), 2)) * SPREAD).clip(*np.array([-1, 1])[:, None] * LIMIT))
    shift = shift.float() * torch.from_numpy(rng.random((len(images), 1)) < SHARE)
    side = images.shape[-1]
    coarse = _places(side // COARSE)
    shifts, points = torch.zeros(1), points.clone()
    for corners, lids, iris in zip(EYE_CORNERS, LID_MIDDLES, (RIGHT_IRIS, LEFT_IRIS), strict=True):
        eye = points[..., :2].clone()
        shifts = shifts + _shifts(coarse, eye, corners, lids, shift)
        moved = eye[:, iris]
        for _ in range(STEPS):
            moved = eye[:, iris] + _shifts(moved[:, None], eye, corners, lids, shift)[:, 0]
        points[:, iris, :2] = moved
    fine = F.interpolate(shifts.permute(0, 3, 1, 2), (side, side), mode="bilinear").permute(0, 2, 3, 1)
    return F.grid_sample(images, _places(side) - fine, padding_mode="border", align_corners=False), points


def _places(side: int) -> Tensor:
    """Centres [1, S, S, 2] of an image's pixels, in ±1."""
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    return torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)[None]


def _shifts(at: Tensor, points: Tensor, corners: list[int], lids: tuple[int, int], shift: Tensor) -> Tensor:
    """Shifts [N, H, W, 2] at places [1 or N, H, W, 2] for an eye of faces [N, 478, 2], by `shift` [N, 2] eye widths."""
    first, last = points[:, corners[0]], points[:, corners[1]]
    low, high = points[:, lids[1]], points[:, lids[0]]
    across = last - first if corners[0] == EYE_CORNERS[0][0] else first - last
    width = across.norm(dim=1).clamp(min=1e-4)
    along = across / width[:, None]
    down = torch.stack([-along[:, 1], along[:, 0]], 1)
    height = (low - high).norm(dim=1)
    centre = (first + last + low + high) / 4
    off = at - centre[:, None, None]
    u = (off * along[:, None, None]).sum(-1) / (width / 2)[:, None, None]
    v = (off * down[:, None, None]).sum(-1) / (height / 2).clamp(min=1e-4)[:, None, None]
    share = (1 - u**2).clamp(min=0) ** 2 * (1 - v**4).clamp(min=0)
    share = share * (height > OPEN * width)[:, None, None]
    way = (shift[:, :1] * along + shift[:, 1:] * down) * width[:, None]
    return share[..., None] * way[:, None, None]
