"""Landmarks of a rendered person as a face tracker reports them: with its errors."""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...face.gaze import as_tracked
from ...morphable.bundled.face_mesh import EYE_CORNERS, FACE_POINTS
from ...morphable.bundled.geometry import PUPIL_POINTS
from .person_renderer import PersonRenderer

DEPTH_FACTORS = (0.85, 1.15)  # least and greatest factor on the depth
ERROR_KNOTS = 40  # points of the mesh at which smooth errors are drawn
ERROR_SIGMA = 0.12  # model units, over which an error spreads around its knot
SMOOTH_ERRORS = (0.7, 0.7, 3.0)  # standard deviations in crop pixels, x, y and depth
DRIFT_KEYS = 3  # instants of a clip between which the moving half of the smooth error is interpolated
JITTER = 0.15  # standard deviation in crop pixels, of each point and frame
IRIS_JITTER = 0.35
IRIS_RADIUS = 0.2  # eye widths
IRIS_RIM = ((0, 0), (-1, 0), (0, -1), (1, 0), (0, 1))  # centre and rim in radii, in the tracker's order


def tracker_landmarks(renderer: PersonRenderer, rng: np.random.Generator) -> Tensor:
    """Landmarks with a constant, a drifting and a jittering error, and depth of a random scale.

    Args:
        renderer: a person acting N frames.
        rng: source of the errors.

    Returns:
        Landmarks [N, 478, 3] in crop pixels; smaller depth is nearer.
    """
    mesh = _mesh(renderer)
    mesh[..., 2] *= float(rng.uniform(*DEPTH_FACTORS))
    smooth = _smooth_errors(renderer.face.model.mean_shape[:FACE_POINTS], len(mesh), rng)
    jitter = torch.from_numpy(rng.normal(0, JITTER, mesh.shape)).float()
    irises = _irises(renderer, mesh, as_tracked(renderer.performance.gaze))
    irises = irises + torch.from_numpy(rng.normal(0, IRIS_JITTER, irises.shape)).float()
    return torch.cat([mesh + (smooth * torch.tensor(SMOOTH_ERRORS) + jitter), irises], 1)


def true_landmarks(renderer: PersonRenderer) -> Tensor:
    """Landmarks [N, 478, 3] without any error, in crop pixels; smaller depth is nearer.

    Args:
        renderer: a person acting N frames.
    """
    mesh = _mesh(renderer)
    return torch.cat([mesh, _irises(renderer, mesh, renderer.performance.gaze)], 1)


def _mesh(renderer: PersonRenderer) -> Tensor:
    """The face's points [N, 468, 3] in crop pixels, the depth about its mean."""
    mesh = renderer.points[:, :FACE_POINTS].clone()
    middle = mesh[..., 2].mean(1, keepdim=True)
    mesh[..., 2] = (mesh[..., 2] - middle) * (renderer.pixels_per_unit / middle)
    return mesh


def _smooth_errors(mean: Tensor, frames: int, rng: np.random.Generator) -> Tensor:
    """Spatially smooth errors [N, 468, 3]: half constant, half drifting in time."""
    knots = mean[torch.from_numpy(rng.choice(FACE_POINTS, ERROR_KNOTS, replace=False))]
    weight = torch.softmax(-(mean[:, None] - knots).square().sum(-1) / (2 * ERROR_SIGMA**2), 1)
    weight = weight / weight.square().sum(1, keepdim=True).sqrt()
    constant = rng.standard_normal((1, ERROR_KNOTS, 3))
    keys = rearrange(rng.standard_normal((DRIFT_KEYS, ERROR_KNOTS, 3)), "key knot xyz -> key (knot xyz)")
    instants = np.linspace(0, DRIFT_KEYS - 1, frames)
    drift = np.stack([np.interp(instants, range(DRIFT_KEYS), column) for column in keys.T], 1)
    drift = rearrange(drift, "frame (knot xyz) -> frame knot xyz", xyz=3)
    return weight @ torch.from_numpy(0.5 * constant + 0.5 * drift).float()


def _irises(renderer: PersonRenderer, mesh: Tensor, gaze: Tensor) -> Tensor:
    """Iris centres and rims [N, 10, 3] at a gaze [N, 4]."""
    face, performance = renderer.face, renderer.performance
    shape = face.turn_eyes(renderer.shape, gaze)
    world = face.model.transform(shape, performance.angles, performance.translation)
    points = renderer.to_crop(face.model.project(world))
    irises = []
    for side, (outer, inner) in zip(("right_eye", "left_eye"), EYE_CORNERS, strict=True):
        pupil = points[:, face.parts[side]][:, :PUPIL_POINTS].mean(1)
        radius = IRIS_RADIUS * (mesh[:, outer, :2] - mesh[:, inner, :2]).norm(dim=-1)
        depth = mesh[:, [outer, inner], 2].mean(1)
        for dx, dy in IRIS_RIM:
            irises.append(torch.stack([pupil[:, 0] + dx * radius, pupil[:, 1] + dy * radius, depth], -1))
    return torch.stack(irises, 1)
