"""Lips in speech: gaps between them, closures, and the mouth at the instants of video frames."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face import BundledFace
from ...morphable.bundled.face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LOWER_LIP, UPPER_LIP
from ...tensors import smoothstep
from ..mel import MEL_RATE
from .visemes import MOUTH, VISEMES, mouth_expression

REST, CLOSED = VISEMES.index("rest"), VISEMES.index("closed")
_CHIN_POINTS = [152, 175, 199, 200, 18, 83, 313]
_MM_A_UNIT = 100.0  # millimetres in a model unit
_LEAST_METRIC = 0.05  # mm² that a unit of any mouth number counts at least, so that the metric can be inverted
_GAP_RIDGE = 1e-2  # mm², regularises the least movement that closes given gaps
_REST_PROBABILITY = (0.35, 0.65)  # probabilities of rest at which lips begin to be shut, and are shut in full
_CLOSED_PROBABILITY = (0.4, 0.7)  # the same for closures
_SHORTEST_CLOSURE = 2  # mel frames
_SETTLE_SECONDS = 0.1  # that lips take to come to rest and to leave it
_BLUR_FRAMES = 0.75  # video frames to either side over which a frame's mouth is averaged
# Numbers of a mouth vector that part the lips; louder speech has more of them.
_OPENING = [MOUTH.index(name) for name in ("jaw_open", "funnel", "lower_lip_mid", "lower_lip_quarter", "lower_lip")]


class Lips:
    """Effect of mouth vectors [N, K] on lips and chin of a face whose lips lie together at 0.

    Args:
        face: the face model.

    Attributes:
        metric: [K, K]; (a − b)·metric·(a − b) is the squared distance of two mouths, a mean over lips and chin in mm².
        gaps: [K, P], by how many mm a unit of each number parts the P pairs of points of the inner lips.
    """

    def __init__(self, face: BundledFace) -> None:
        basis = face.model.expression_basis
        blendshapes = mouth_expression(torch.eye(len(MOUTH)))
        ids = sorted({i for ring in UPPER_LIP + LOWER_LIP for i in ring} | set(_CHIN_POINTS))
        moves = torch.einsum("vcm,km->kvc", basis[ids], blendshapes).flatten(1) * _MM_A_UNIT
        self.metric = moves @ moves.T / len(ids) + _LEAST_METRIC * torch.eye(len(MOUTH))
        self.gaps = blendshapes @ (basis[INNER_UPPER_LIP[1:-1], 1] - basis[INNER_LOWER_LIP[1:-1], 1]).T * _MM_A_UNIT
        # The least movement that takes away given gaps, nearly: a regularised least-squares solution.
        lever = torch.linalg.solve(self.metric, self.gaps)
        inverse = torch.linalg.inv(self.gaps.T @ lever + _GAP_RIDGE * torch.eye(self.gaps.shape[1]))
        self._closing = inverse @ lever.T

    def gaps_of(self, mouth: Tensor) -> Tensor:
        """Gaps [..., P] of the inner lips in mm, for mouths [..., K]; below 0 the lips are pressed."""
        return mouth @ self.gaps

    def closed(self, mouth: Tensor, share: Tensor) -> Tensor:
        """Mouths whose gaps are closed by a share, by the least movement.

        Args:
            mouth: [N, K].
            share: [N], 0–1.

        Returns:
            [N, K].
        """
        for _ in range(2):  # what one movement parts again is small
            mouth = mouth - share[:, None] * (self.gaps_of(mouth).clamp(min=0) @ self._closing)
        return mouth


def widened(mouth: Tensor, decibels: Tensor) -> Tensor:
    """Mouths that open by a gain; what closes the lips is not changed.

    Args:
        mouth: [M, K].
        decibels: [M], gain; twice as wide at 6.

    Returns:
        [M, K].
    """
    opening = mouth[:, _OPENING]
    wider = mouth.clone()
    wider[:, _OPENING] = torch.where(opening > 0, opening * 10 ** (decibels[:, None] / 20), opening)
    return wider


def at_frames(articulation: dict[str, Tensor], fps: float, count: int, lips: Lips) -> tuple[Tensor, Tensor, Tensor]:
    """Articulation at the instants of video frames, frame i at (i + 0.5) / fps seconds.

    A mouth is averaged over about a frame's time, yet every closure of the lips is shown by at least one frame, however
    short it is, and in pauses lips stay shut.

    Args:
        articulation: at M mel frames: `viseme` (probabilities) [M, 8], `mouth` [M, K] and `stress` [M].
        fps: frames a second.
        count: N, number of frames.
        lips: of the face.

    Returns:
        Mouth [N, K], probability of rest [N] and stress [N], 0–1.
    """
    visemes, mouths = articulation["viseme"], articulation["mouth"]
    at = (torch.arange(count) + 0.5) / fps * MEL_RATE
    rest = visemes[:, REST]
    resting = smoothstep(average(_local_minimum(rest, _SETTLE_SECONDS), at, 1.0), *_REST_PROBABILITY)
    mouth = average(mouths, at, max(1.0, _BLUR_FRAMES * MEL_RATE / fps))
    shut = smoothstep(average(visemes[:, CLOSED], at, 1.0), *_CLOSED_PROBABILITY)

    # The middle of each closure belongs to the frame next to it.
    middles = _closures(visemes[:, CLOSED])
    frames = (middles / MEL_RATE * fps).long().clamp(max=count - 1)
    mouth[frames] = mouths[middles.round().long()]
    shut[frames] = 1.0
    mouth = lips.closed(mouth, torch.maximum(shut, resting)) * (1 - resting)[:, None]
    return mouth, average(rest, at, 2.0), average(articulation["stress"], at, 2.0).clamp(0, 1)


def _closures(probability: Tensor) -> Tensor:
    """Middles of closures, counted in mel frames, for the probability [M] of closed lips."""
    edges = torch.diff(F.pad((probability > 0.5).int(), (1, 1)))
    starts, ends = torch.nonzero(edges > 0)[:, 0], torch.nonzero(edges < 0)[:, 0]
    return ((starts + ends - 1) / 2)[ends - starts >= _SHORTEST_CLOSURE]


def average(values: Tensor, at: Tensor, reach: float) -> Tensor:
    """Local averages, weighted by a triangle.

    Args:
        values: [M] or [M, D].
        at: [N], places counted in values.
        reach: half-width of the triangle, ≥ 1; 1 is linear interpolation. Beyond the ends, the outermost values count.

    Returns:
        [N] or [N, D].
    """
    near = torch.arange(-int(reach) - 1, int(reach) + 2) + at.floor().long()[:, None]
    weight = (1 - (near - at[:, None]).abs() / reach).clamp(min=0)
    weight = weight / weight.sum(1, keepdim=True)
    neighbours = values[near.clamp(0, len(values) - 1)]
    return torch.einsum("nr,nr...->n...", weight, neighbours)


def _local_minimum(values: Tensor, seconds: float) -> Tensor:
    """Minimum [M] of values [M] within `seconds` to either side; beyond the ends, the outermost values count."""
    reach = round(seconds * MEL_RATE)
    padded = F.pad(values[None, None], (reach, reach), mode="replicate")
    return -F.max_pool1d(-padded, 2 * reach + 1, 1)[0, 0]
