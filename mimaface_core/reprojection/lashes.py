"""Lashes of lids that come down: the dark line where they meet, its fringe, and their shade on the eye behind."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import sample
from ..morphable.bundled.face_mesh import EYE_LANDMARKS
from ..morphable.bundled.lash_line import lash_opacity
from .sampling import pixel_box

ACROSS, ALONG = 28, 32  # places across an open lid's edge where its lashes are looked for, and along it
ABOVE, UNDER = 0.25, 0.03  # eye widths above and below that edge, in which they lie
DARKEST, BRIGHTEST = 0.05, 0.9  # of these places: share that is taken for lashes; quantile that is taken for skin
HEIGHT, THICKNESS = 0.3, (0.016, 0.04)  # sigma of the line against the height of open lashes; eye widths
DEGREE, LEAST = 4, 1e-6  # of the curve along a lid; keeps its equations solvable
SHADE, SHADE_OPACITY = 0.25, 0.8  # eye widths below a lid in which its shade on the eye fades, and how dark it begins
REACH = 0.4  # eye widths around the lids that are drawn


class Lashes(NamedTuple):
    """The lashes of right and left eye.

    Attributes:
        colour: [2, 3] in ±1.
        thickness: [], sigma of the line of shut lids, eye widths.
    """

    colour: Tensor
    thickness: Tensor


def find_lashes(crop: Tensor, landmarks: Tensor, defocus: float) -> Lashes:
    """The lashes that a photograph shows at the edges of its upper lids.

    Args:
        crop: [3, S, S] in ±1.
        landmarks: [478, 3] in pixels of the crop.
        defocus: its blur, sigma in pixels; a line that is drawn is as soft.
    """
    colours, heights, blurs = [], [], []
    for eye in EYE_LANDMARKS.values():
        lid = landmarks[eye.upper_lid, :2]
        edge = F.interpolate(lid.T[None], ALONG, mode="linear", align_corners=True)[0].T
        width = (lid[-1] - lid[0]).norm().clamp(min=1)
        offsets = torch.linspace(-ABOVE, UNDER, ACROSS) * width
        up = torch.stack([torch.zeros_like(offsets), offsets], 1)
        shown = sample(crop, (edge[ALONG // 8 : -ALONG // 8, None] + up)[None])[0]  # [3, along, across]
        light = shown.mean(0)
        dark = light <= light.quantile(DARKEST)
        colours.append((shown * dark).sum((1, 2)) / dark.sum())
        between = (light[dark].mean() + light.quantile(BRIGHTEST)) / 2
        heights.append((light < between).float().mean(1).median() * (ABOVE + UNDER))
        blurs.append(defocus / width)
    thickness = (HEIGHT * torch.stack(heights).mean()).clamp(*THICKNESS)
    return Lashes(torch.stack(colours), torch.hypot(thickness, torch.stack(blurs).mean()))


def draw_lashes(image: Tensor, cover: Tensor, lashes: Lashes, points: Tensor, closure: Tensor) -> None:
    """Draw the lashes of lids that come down over skin and eyes, in place.

    Args:
        image: [N, 3, h, w] in ±1, changed.
        cover: [N, 1, h, w] in 0–1, of the skin over the eyes.
        lashes: the photograph's.
        points: [N, V, 2 or more], the face in pixels of the image.
        closure: [N, 2], 0–1, how far right and left eye have closed.
    """
    for eye, colour, shut in zip(EYE_LANDMARKS.values(), lashes.colour, closure.T, strict=True):
        if not shut.any():
            continue
        lid = points[:, eye.upper_lid, :2]
        width = (lid[:, -1] - lid[:, 0]).norm(dim=1)
        box = pixel_box(lid[shut > 0], round(float(REACH * width.amax())), (image.shape[-2], image.shape[-1]))
        along, below = _beside(lid, box.centres)
        shut, bare = shut[:, None, None], 1 - cover[:, 0, box.rows, box.columns]
        shade = SHADE_OPACITY * shut * torch.exp(-below.clamp(min=0) / SHADE) * bare  # deep in a narrow opening alone
        line = lash_opacity(along, below, shut, lashes.thickness, width[:, None, None])
        share = torch.maximum(line, shut * shade)
        view = image[:, :, box.rows, box.columns]
        view.lerp_(colour[:, None, None], share[:, None])


def _beside(lid: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Where pixels lie beside a lid, in eye widths.

    Args:
        lid: [n, P, 2], its edge from the outer to the inner corner.
        centres: [h, w, 2].

    Returns:
        [n, h, w] along it, 0 at the outer and 1 at the inner corner, and below it.
    """
    across = lid[:, -1] - lid[:, 0]
    down = torch.stack([-across[:, 1], across[:, 0]], 1) * across[:, :1].sign()
    axes = torch.stack([across, down], 2) / across.square().sum(1).clamp(min=1)[:, None, None]
    edge = (lid - lid[:, :1]) @ axes
    along, below = ((centres[None] - lid[:, :1, None]) @ axes[:, None]).unbind(-1)
    powers = torch.arange(DEGREE + 1, device=lid.device)
    terms = edge[..., :1].double() ** powers
    least = LEAST * torch.eye(DEGREE + 1, dtype=torch.float64, device=lid.device)  # for eyes seen from the side
    curve = torch.linalg.solve(terms.mT @ terms + least, terms.mT @ edge[..., 1:].double())[:, None].to(lid.dtype)
    height = along.clamp(0, 1)[..., None] ** powers @ curve
    return along, below - height[..., 0]
