"""Random identity: textures, light, camera and background of one synthetic person."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...face.crop import CROP_SIZE
from .camera import CameraLook, random_look
from .canvas import canvas, random_colour
from .domain_randomisation import randomise_colours
from .eyes_and_mouth import paint_eyes, paint_mouth
from .hair import add_hair
from .scenery import paint_background
from .skin import fold_masks, paint_face

PERSON_STREAM = 1  # of a seed's random numbers
GAMMA = 2.2  # of painted colours
SKIN_TONES = (
    np.array(
        [[247, 219, 201], [235, 192, 166], [219, 166, 134], [192, 136, 100], [150, 98, 68], [104, 66, 46], [66, 43, 33]]
    )
    / 255
)
HAIR_COLOURS = (
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
DARK_HAIR = HAIR_COLOURS[:3]  # of most people with dark skin
IDENTITY_COEFFICIENTS = 80
TARGET_BRIGHTNESS = 0.3  # linear, of the lit skin at the middle exposure
EXPOSURE_ADAPTATION = 0.6  # exponent with which the camera's exposure approaches that brightness


class Light(NamedTuple):
    """A directional light: unit vector [3] towards it in world axes, linear colour [3]."""

    direction: Tensor
    colour: Tensor


@dataclass(frozen=True)
class Person:
    """Everything that is the same in all images of one synthetic person.

    Attributes:
        identity: coefficients [80] of the face model.
        aspect: scales [3] of the head's axes.
        skin: canvas texture [3 + 1 + FOLDS, S, S]: linear colour, opacity, fold masks.
        eyes: linear texture [3, P, P] of an eyeball.
        mouth: linear texture [3, P, P] of the mouth's inside.
        teeth_shift: upward shift of the upper teeth, model units.
        background: linear image [3, 512, 512].
        ambient: linear ambient light [3].
        lights: one to three directional lights.
        gloss: strength of the skin's specular reflection.
        gloss_exponent: its Phong exponent.
        glint: strength with which eyes reflect the first light.
        stiffness: exponent on the share of the head's movement that the neck follows.
        depth_scale: factor on the depth of the head behind the face.
        look: settings of the camera.
    """

    identity: Tensor
    aspect: Tensor
    skin: Tensor
    eyes: Tensor
    mouth: Tensor
    teeth_shift: float
    background: Tensor
    ambient: Tensor
    lights: list[Light]
    gloss: float
    gloss_exponent: float
    glint: float
    stiffness: float
    depth_scale: float
    look: CameraLook


def light_level(ambient: Tensor, lights: list[Light], share: float) -> Tensor:
    """Linear light [3]: the ambient and a share of all directional lights."""
    return ambient + share * sum((light.colour for light in lights), torch.zeros(3))


def random_person(seed: int) -> Person:
    """Synthetic person number `seed`; one seed always gives the same person."""
    rng = np.random.default_rng([seed, PERSON_STREAM])
    tone = random_colour(rng, SKIN_TONES, 0.015)
    dark = tone.mean() < 0.5 and rng.random() < 0.7
    hair = random_colour(rng, DARK_HAIR if dark else HAIR_COLOURS, 0.01)
    if rng.random() < 0.06:
        hair = rng.uniform(0, 1, 3)
    skin, opacity = add_hair(rng, canvas(), paint_face(rng, canvas(), tone, hair), tone, hair)
    eyes, mouth, background = paint_eyes(rng), paint_mouth(rng), paint_background(rng, CROP_SIZE)
    if rng.random() < 0.33:
        skin, background = randomise_colours(rng, skin), randomise_colours(rng, background)
    folds = fold_masks(rng) * float(rng.uniform(0, 0.45))
    ambient, lights = _random_lights(rng)
    look = random_look(rng)
    lit = float(tone.mean() ** GAMMA * light_level(ambient, lights, 0.6).mean())
    look = replace(look, exposure=look.exposure * (TARGET_BRIGHTNESS / lit) ** EXPOSURE_ADAPTATION)
    return Person(
        identity=torch.from_numpy(rng.standard_normal(IDENTITY_COEFFICIENTS)).float() * 0.9,
        aspect=torch.tensor(1 + rng.normal(0, [0.04, 0.02, 0.06])).float(),
        skin=torch.cat([skin**GAMMA, opacity[None], folds]),
        eyes=eyes**GAMMA,
        mouth=mouth**GAMMA,
        teeth_shift=float(rng.normal(0, 0.025)),
        background=background**GAMMA,
        ambient=ambient,
        lights=lights,
        gloss=float(rng.uniform(0, 0.22)),
        gloss_exponent=float(rng.uniform(6, 24)),
        glint=float(rng.uniform(0.2, 1.0)),
        stiffness=float(rng.uniform(0.6, 1.5)),
        depth_scale=float(rng.uniform(0.9, 1.5)),
        look=look,
    )


def _random_lights(rng: np.random.Generator) -> tuple[Tensor, list[Light]]:
    """Ambient colour [3] and one to three directional lights, each weaker than the one before."""
    warmth = rng.normal(0, 0.08)
    ambient = rng.uniform(0.2, 0.6) * np.array([1 - warmth, 1, 1 + warmth])
    lights = []
    for k in range(rng.integers(1, 4)):
        azimuth = rng.uniform(-1.3, 1.3)
        up = rng.normal(0.45, 0.35)
        direction = np.array([math.sin(azimuth), up, math.cos(azimuth) + 0.05])
        warmth = rng.normal(0, 0.1)
        colour = rng.uniform(0.35, 0.95) * 0.55**k * np.array([1 + warmth, 1, 1 - warmth])
        unit = torch.tensor(direction / np.linalg.norm(direction)).float()
        lights.append(Light(unit, torch.tensor(colour).float()))
    return torch.tensor(ambient).float(), lights
