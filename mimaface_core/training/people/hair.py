"""Paint what surrounds a synthetic face: hair, ears and neck."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .canvas import SIDE, Plane, tint
from .noise import blur, cloud, curve, lookup, soft


def add_hair(
    rng: np.random.Generator, p: Plane, skin: Tensor, tone: np.ndarray, colour: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Add neck, ears and hair to the face; returns colours [3, S, S] and cover [S, S]."""
    a, ratio = p.angle, p.ratio
    face = soft(1.035 + 0.01 * curve(rng, a, 5) - ratio, 0.03)
    # neck with the chin's shadow, down to the collar
    width, collar = rng.uniform(0.42, 0.62), -rng.uniform(1.12, 1.45)
    bend = width + 0.5 * ((-1.25 - p.y).clamp(min=0)) ** 1.3
    neck = soft(bend - p.x.abs(), 0.03) * soft(-0.5 - p.y, 0.05)
    neck = neck * soft(p.y - collar - rng.uniform(0.05, 0.7) * p.x.abs() + rng.uniform(0, 0.15), 0.015)
    chin = soft(1.14 + rng.uniform(0, 0.12) - ratio, 0.25) * soft(ratio - 1.01, 0.04)
    under = rng.uniform(0.15, 0.5) * chin * soft(-0.6 - p.y, 0.4)
    skin = skin * (1 - under) * (1 - 0.12 * soft(-0.95 - p.y, 0.2)[None])
    # ears
    ears = torch.zeros_like(a)
    tall, out = rng.uniform(0.2, 0.27), rng.uniform(0.05, 0.13)
    for side in (-1, 1):
        u, v = (p.x - side * (0.75 + out * 0.4)) / (out + 0.03), (p.y - 0.09) / tall
        inside = 1 - (u * u + v * v).sqrt()
        ears = torch.maximum(ears, soft(inside, 0.1))
        skin = skin * (1 - 0.35 * torch.exp(-(((inside - 0.3) / 0.12) ** 2)) * ears * (ratio > 1.0))
    ears = ears * soft(ratio - 0.97, 0.02)
    skin = tint(skin, tone * [1.0, 0.75, 0.7], 0.25 * ears)
    cover = torch.maximum(torch.maximum(face, neck), ears)

    style = rng.choice(["short", "medium", "long", "bald"], p=[0.42, 0.2, 0.28, 0.1])
    top = a.cos()  # 1 above, −1 below
    side = a.sin().abs()
    volume = {"short": (1.03, 1.13), "medium": (1.06, 1.28), "long": (1.08, 1.3), "bald": (1.02, 1.05)}[style]
    volume, dome = rng.uniform(*volume), rng.uniform(0.16, 0.34) * top.clamp(min=0) ** rng.uniform(1.0, 1.8)
    ragged = lookup(rng, a, torch.zeros_like(a) + 0.3, rng.uniform(40, 110), 1)
    wavy = 0.02 * curve(rng, a, 6, 0.7) + rng.uniform(0.002, 0.02) * ragged
    outer = volume + dome + wavy
    hairline = (
        rng.uniform(0.84, 1.0) + 0.03 * curve(rng, a, 4) + rng.uniform(0.005, 0.02) * lookup(rng, a, ratio * 0, 90, 1)
    )
    if style != "bald" and rng.random() < 0.3:  # a fringe
        depth, middle = rng.uniform(0.1, 0.42), rng.normal(0, 0.4)
        hairline = hairline - depth * torch.exp(-(((a - middle) / 0.55) ** 2))
    # temples and cheeks stay free, sideburns reach down to the ear
    hairline = hairline + (1.03 - hairline).clamp(min=0) * soft(side - rng.uniform(0.8, 0.95), 0.2)
    above = soft(
        p.y - {"short": rng.uniform(-0.05, 0.3), "medium": rng.uniform(-0.5, 0.0), "long": -3.0, "bald": 0.25}[style],
        0.12,
    )
    if style == "bald":
        hairline = hairline + 2 * soft(0.75 - side, 0.2)  # a rim at the sides only
    if style == "long":
        low = soft(-top, 0.6)
        outer = outer + low * rng.uniform(0.1, 0.6)
        hairline = torch.maximum(hairline, (0.99 + 0.02 * curve(rng, a, 3)).clamp(max=1.02)) * (
            side > 0.7
        ) + hairline * (side <= 0.7)
    hair = soft(ratio - hairline, 0.02 + 0.03 * rng.random()) * soft(outer - ratio, 0.012 + 0.03 * rng.random()) * above
    if style == "long":
        hair = hair * soft(
            p.x.abs() - rng.uniform(0.36, 0.6) + 3 * soft(p.y + 0.2, 0.4) + 0.05 * curve(rng, p.y * 2, 3), 0.04
        )
        hair = hair * soft(p.y + rng.uniform(0.9, 1.8) + 0.1 * lookup(rng, p.x, p.y * 0, 30, 1), 0.1)
    # strands: combed back from the face, or falling along its outline; thin ones carry more light
    combed = rng.random() < (0.6 if style != "long" else 0.2)
    bent = 0.05 * cloud(rng, SIDE, 5, 3)[0]
    across, along = (
        (a + bent, ratio * 2) if combed else (ratio + bent * 0.8 + 0.1 * (p.x - rng.normal(0, 0.25)).abs(), a)
    )
    strands = lookup(rng, across, along, rng.uniform(35, 80) if combed else rng.uniform(40, 90), rng.uniform(1, 4))
    locks = lookup(rng, across + bent, along, 8, 1.5, 2)
    curly = rng.random() < 0.2
    if curly:
        strands = cloud(rng, SIDE, int(rng.integers(30, 70)), 3, 0.8)[0]
    shine = torch.exp(-(((ratio - rng.uniform(1.02, 1.2)) / 0.06) ** 2)) * soft(top, 0.6) * rng.uniform(0, 0.5)
    light = (1 + rng.uniform(0.12, 0.35) * strands + 0.18 * locks + shine).clamp(0.25, 2.2)
    light = light * (1 - 0.35 * soft(1.03 - ratio, 0.1) * (1 - soft(top, 0.4)))
    hair_colour = torch.tensor(colour).float()[:, None, None] * light + 0.015
    shade = blur((hair * (ratio > 0.9))[None, None], 6)[0, 0] * rng.uniform(0.1, 0.4)
    skin = skin * (1 - shade * (1 - hair))
    skin = skin + hair * (hair_colour - skin)
    if style == "bald" or rng.random() < 0.08:  # the skull shows above the forehead
        skull = soft(1.02 + 0.9 * dome + 0.005 * curve(rng, a, 3) - ratio, 0.012) * soft(p.y - 0.1, 0.1)
        cover = torch.maximum(cover, skull)
    return skin.clamp(0, 1), torch.maximum(cover, hair)
