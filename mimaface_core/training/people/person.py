"""Paint one synthetic person: skin, hair, eyes, mouth, clothes, background and light, all from one random generator.

Skin, hair and neck are one texture over the mean face seen from the front (a plane of ±REACH model units).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .camera import random_look
from .canvas import pick, plane
from .eyes_and_mouth import make_strange, paint_eyes, paint_mouth
from .hair import add_hair
from .scenery import background
from .skin import fold_masks, paint_skin

GAMMA = 2.2
TONES = (
    np.array(
        [[247, 219, 201], [235, 192, 166], [219, 166, 134], [192, 136, 100], [150, 98, 68], [104, 66, 46], [66, 43, 33]]
    )
    / 255
)
HAIRS = (
    np.array(
        [
            [18, 15, 14],
            [38, 27, 21],
            [66, 44, 30],
            [104, 66, 38],
            [148, 104, 60],
            [196, 158, 100],
            [222, 196, 148],
            [128, 58, 30],
            [150, 148, 146],
            [214, 212, 208],
        ]
    )
    / 255
)


@dataclass(frozen=True)
class Person:
    """Everything that stays the same in all pictures of one synthetic person.

    identity [80], aspect [3] (scales of the axes); skin [3 + 1 + FOLDS, SIDE, SIDE]: linear colour, cover, folds;
    eyes [3, P, P] and mouth [3, P, P] linear colours; background [3, 512, 512] linear; ambient [3];
    lights: (direction [3], colour [3]) of each; gloss: strength and sharpness of the skin's shine; glints: how the
    eyes mirror the first light; look: settings of the camera (see camera.py).
    """

    identity: Tensor
    aspect: Tensor
    skin: Tensor
    eyes: Tensor
    mouth: Tensor
    teeth_shift: float
    background: Tensor
    ambient: Tensor
    lights: list[tuple[Tensor, Tensor]]
    gloss: tuple[float, float]
    glint: float
    stiffness: float
    depth_scale: float
    look: dict


def _lights(rng: np.random.Generator) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Ambient colour and one to three directional lights, given in world axes."""
    warm = rng.normal(0, 0.08)
    ambient = rng.uniform(0.2, 0.6) * np.array([1 - warm, 1, 1 + warm])
    lights = []
    for k in range(rng.integers(1, 4)):
        side = rng.uniform(-1.3, 1.3)
        up = rng.normal(0.45, 0.35)
        direction = np.array([math.sin(side), up, math.cos(side) + 0.05])
        warm = rng.normal(0, 0.1)
        colour = rng.uniform(0.35, 0.95) * 0.55**k * np.array([1 + warm, 1, 1 - warm])
        lights.append((torch.tensor(direction / np.linalg.norm(direction)).float(), torch.tensor(colour).float()))
    return torch.tensor(ambient).float(), lights


def random_person(seed: int) -> Person:
    """The synthetic person number `seed`; the same seed gives the same person."""
    rng = np.random.default_rng([seed, 1])
    p = plane()
    tone = pick(rng, TONES, 0.015)
    hair = pick(rng, HAIRS[:3] if tone.mean() < 0.5 and rng.random() < 0.7 else HAIRS, 0.01)
    if rng.random() < 0.06:
        hair = rng.uniform(0, 1, 3)
    skin = paint_skin(rng, p, tone, hair)
    colours, cover = add_hair(rng, p, skin, tone, hair)
    eyes, mouth, scene = paint_eyes(rng), paint_mouth(rng), background(rng, 512)
    if rng.random() < 0.33:
        colours, scene = make_strange(rng, colours), make_strange(rng, scene)
    folds = fold_masks(rng, p) * float(rng.uniform(0, 0.45))
    ambient, lights = _lights(rng)
    look = random_look(rng)
    lit = float(tone.mean() ** GAMMA * (ambient + 0.6 * sum(colour for _, colour in lights)).mean())
    look["exposure"] *= (0.3 / lit) ** 0.6  # the camera meets the face about halfway
    return Person(
        identity=torch.from_numpy(rng.standard_normal(80)).float() * 0.9,
        aspect=torch.tensor(1 + rng.normal(0, [0.04, 0.02, 0.06])).float(),
        skin=torch.cat([colours**GAMMA, cover[None], folds]),
        eyes=eyes**GAMMA,
        mouth=mouth**GAMMA,
        teeth_shift=float(rng.normal(0, 0.025)),
        background=scene**GAMMA,
        ambient=ambient,
        lights=lights,
        gloss=(float(rng.uniform(0, 0.22)), float(rng.uniform(6, 24))),
        glint=float(rng.uniform(0.2, 1.0)),
        stiffness=float(rng.uniform(0.6, 1.5)),
        depth_scale=float(rng.uniform(0.9, 1.5)),
        look=look,
    )
