"""The movements that IF-MDM's guided codes stand for, found from acted and spoken expressions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...audio.voice.visemes import MOUTH as ARTICULATORS
from ...audio.voice.visemes import mouth_expression
from ...implicit import face_codes
from ...implicit.face_codes import BROWS, MOUTH, FaceMovements
from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshape, blendshapes
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...motion.track import MotionTrack
from ..people.performance import random_expression

SPREAD = 3.0  # standard deviations of a movement of the face in its unit
SAMPLES = 6000  # expressions that the movements are found from
LEAST_SHARE = 0.1  # of a group's first movement, the spread that a lesser one counts as

IN_BROWS = [i for i, name in enumerate(BLENDSHAPES) if name.startswith("brow")]
IN_EYES = [i for i, name in enumerate(BLENDSHAPES) if name.startswith(("eye", "lid"))]
IN_MOUTH = [i for i in range(len(BLENDSHAPES)) if i not in {*IN_BROWS, *IN_EYES}]  # and in cheeks and nose


def motion_codes(track: MotionTrack) -> Tensor:
    """Codes [N, 20] of a motion, see `face_codes.motion_codes`."""
    return face_codes.motion_codes(track, movements())


@lru_cache(maxsize=1)
def movements() -> FaceMovements:
    """What mouth, lids and brows do most, largest first; always the same."""
    rng = np.random.default_rng(0)
    acted = np.stack([random_expression(rng, float(rng.uniform(0.3, 1.0))) for _ in range(SAMPLES)])
    expressions = torch.from_numpy(acted).float()
    spoken = torch.from_numpy(rng.gamma(0.6, 0.5, (SAMPLES, len(ARTICULATORS)))).float().clamp(max=1.5)
    expressions = torch.cat([expressions, mouth_expression(spoken) + 0.3 * expressions])
    mouth = _principal(expressions, IN_MOUTH, MOUTH, blendshape("jawOpen"))
    brows = _principal(expressions, IN_BROWS, BROWS, blendshape("browInnerUpRight"))
    blinks = torch.zeros(len(BLENDSHAPES), 2)
    blinks[blendshapes("eyeBlink"), [0, 1]] = 1
    face = torch.cat([_going_with(expressions, mouth), blinks, _going_with(expressions, brows)], 1)
    return FaceMovements(torch.cat([mouth, brows], 1), face)


def _principal(expressions: Tensor, columns: list[int], count: int, upwards: int) -> Tensor:
    """Map [64, count] to the first principal movements of the face under some blendshapes.

    Args:
        expressions: [M, 64].
        columns: the blendshapes.
        count: of movements.
        upwards: a blendshape under which they are positive.
    """
    basis = bundled_face().model.expression_basis[:FACE_POINTS].reshape(-1, len(BLENDSHAPES))[:, columns]
    moved = expressions[:, columns]
    moved = moved - moved.mean(0)
    # the principal axes of basis @ moved, by the small matrix of the coefficients
    root = torch.linalg.cholesky(basis.T @ basis + 1e-8 * torch.eye(len(columns)))
    _, spreads, axes = torch.linalg.svd(moved @ root / len(moved) ** 0.5, full_matrices=False)
    spreads = spreads.clamp(min=float(LEAST_SHARE * spreads[0]))[:count]
    result = torch.zeros(len(BLENDSHAPES), count)
    result[columns] = root @ axes[:count].T / (SPREAD * spreads)
    return result * torch.where(result[upwards] < 0, -1.0, 1.0)


def _going_with(expressions: Tensor, measure: Tensor) -> Tensor:
    """Expressions [64, n] that usually go with a unit of each movement, of a map [64, n] to them."""
    centred = expressions - expressions.mean(0)
    covariance = centred.T @ centred / len(centred)
    mean = covariance @ measure @ torch.linalg.inv(measure.T @ covariance @ measure)
    return torch.where(measure.abs().amax(1, keepdim=True) > 0, mean, 0)
