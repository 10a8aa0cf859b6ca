"""Motion codes with names: what the small recipes of IF-MDM guide stage 1's codes by.

Left to itself, stage 1 finds its dimensions of motion by looking at millions of frames. The small recipes have some
thousands, whose true motion is known: there the codes are pulled towards movements of the bundled face, each group of
dimensions one part of the face, and stage 2 learns from motion that was never drawn.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ...audio.voice.visemes import MOUTH, mouth_expression
from ...morphable.bundled.blendshapes import BLENDSHAPES, blendshape, blendshapes
from ...morphable.bundled.face import bundled_face
from ...morphable.bundled.face_mesh import FACE_POINTS
from ...morphable.model import PLANE
from ...motion.track import MotionTrack
from ..people.performance import random_expression

HEAD = {"pitch": 0.6, "yaw": 0.9, "roll": 0.6, "x": 0.5, "y": 0.5, "size": 0.6}  # rad, half sides, logarithm: unit
USUAL_SIZE = 0.65  # of a face in its crop, of one at the model's origin
GAZE = {"gaze_x": 0.35, "gaze_y": 0.25}  # eye widths
MOUTH_DIMENSIONS, BROW_DIMENSIONS = 8, 2
SPREAD = 3.0  # standard deviations of a movement of the face in its unit
LARGEST = 0.999  # code that is taken back to a movement
SAMPLES = 6000  # expressions that the movements are found from
LEAST_SHARE = 0.1  # of a group's first movement, the spread that a lesser one counts as

BROWS = [i for i, name in enumerate(BLENDSHAPES) if name.startswith("brow")]
EYES = [i for i, name in enumerate(BLENDSHAPES) if name.startswith(("eye", "lid"))]
MOUTH_AND_CHEEKS = [i for i in range(len(BLENDSHAPES)) if i not in {*BROWS, *EYES}]

NAMES = (
    *HEAD,
    *(f"mouth_{number}" for number in range(1, MOUTH_DIMENSIONS + 1)),
    "lid_right",
    "lid_left",
    *GAZE,
    *(f"brow_{number}" for number in range(1, BROW_DIMENSIONS + 1)),
)
DIMENSIONS = len(NAMES)
X, Y, SIZE = (NAMES.index(name) for name in ("x", "y", "size"))


def code_groups() -> dict[str, list[int]]:
    """Dimensions of each part of the face, as a pack's manifest names them."""
    starts = {"head": 0, "mouth": len(HEAD), "eyes": NAMES.index("lid_right"), "brows": NAMES.index("brow_1")}
    ends = [*list(starts.values())[1:], DIMENSIONS]
    return {name: list(range(start, end)) for (name, start), end in zip(starts.items(), ends, strict=True)}


def motion_codes(track: MotionTrack) -> Tensor:
    """Codes of a motion of the bundled face that is seen in its source's crop.

    Args:
        track: N frames, whose alignments are that of the crop.

    Returns:
        [N, 20]: the hyperbolic tangent of each movement in its unit.
    """
    c, model = track.coefficients, bundled_face().model
    seen = model.project(c.translation[:, None])[:, 0]
    place = seen[:, :2] / (PLANE / 2) - 1
    size = (model.camera / seen[:, 2] / USUAL_SIZE).log()
    head = torch.cat([c.angles, place, size[:, None]], 1) / torch.tensor(list(HEAD.values()))
    gaze = track.gaze.view(-1, 2, 2).mean(1) / torch.tensor(list(GAZE.values()))
    mouth, lids, brows = (c.expression @ movement for movement in _movements())
    return torch.cat([head, mouth, lids, gaze, brows], 1).tanh()


def boxed_codes(codes: Tensor, box: Tensor) -> Tensor:
    """Codes [N, 20] of images that are cut out of those that had them.

    Args:
        codes: [N, 20].
        box: [N, 3], centre in ±1 and side, as a share, of each cutout.
    """
    place, size = torch.atanh(codes[:, [X, Y]].clamp(-LARGEST, LARGEST)), torch.atanh(codes[:, SIZE])
    place = (place - box[:, :2] / HEAD["x"]) / box[:, 2:]
    result = codes.clone()
    result[:, [X, Y]], result[:, SIZE] = place.tanh(), (size - box[:, 2].log() / HEAD["size"]).tanh()
    return result


@lru_cache(maxsize=1)
def _movements() -> tuple[Tensor, Tensor, Tensor]:
    """Maps [64, n] from expressions to codes of mouth, lids and brows: what the face does most, largest first."""
    rng = np.random.default_rng(0)
    acted = np.stack([random_expression(rng, float(rng.uniform(0.3, 1.0))) for _ in range(SAMPLES)])
    expressions = torch.from_numpy(acted).float()
    spoken = torch.from_numpy(rng.gamma(0.6, 0.5, (SAMPLES, len(MOUTH)))).float().clamp(max=1.5)
    expressions = torch.cat([expressions, mouth_expression(spoken) + 0.3 * expressions])
    right, left = ([i for i in EYES if BLENDSHAPES[i].endswith(side)] for side in ("Right", "Left"))
    lids = []
    for columns, blink in zip((right, left), blendshapes("eyeBlink"), strict=True):
        closing = _principal(expressions, columns, 1, blink)
        lids.append(closing / closing[blink])  # acted lids are mostly open: a unit is a blink
    return (
        _principal(expressions, MOUTH_AND_CHEEKS, MOUTH_DIMENSIONS, blendshape("jawOpen")),
        torch.cat(lids, 1),
        _principal(expressions, BROWS, BROW_DIMENSIONS, blendshape("browInnerUpRight")),
    )


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
