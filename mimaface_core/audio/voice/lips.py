"""A mouth in space and time: how far its lips stand apart, what brings them together, and what video frames show of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ...morphable.bundled.face import ProceduralFace
from ...morphable.bundled.face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP, LOWER_LIP, UPPER_LIP
from ..mel import HOP
from ..speech import SAMPLE_RATE
from .visemes import MOUTH, VISEMES, spread

CHIN = [152, 175, 199, 200, 18, 83, 313]
MILLIMETRES = 100.0  # in a model unit
LEAST = 0.05  # mm² that a unit of any mode counts for
MELS_A_SECOND = SAMPLE_RATE // HOP
REST, CLOSED = VISEMES.index("rest"), VISEMES.index("closed")
RESTING = (0.35, 0.65)  # probabilities of rest between which lips begin to be held shut
CLOSING = (0.4, 0.7)  # the same for closures
BRIEF = 2  # mel frames that a closure lasts at least
SETTLE = 0.1  # seconds that lips take to come to rest and to leave it
# what parts the lips: louder speech has more of it
OPENING = [MOUTH.index(name) for name in ("jaw_open", "funnel", "lower_lip_mid", "lower_lip_quarter", "lower_lip")]
BLUR = 0.75  # frames to either side that a frame's mouth is averaged over


class Lips:
    """How mouth vectors [N, K] move lips and chin of a face whose lips lie together at 0.

    metric [K, K]: distance² in mm² between two mouths, a mean over lips and chin, is (a − b)·metric·(a − b).
    gaps [K, P]: how far each number parts the P pairs of points of the inner lips, in mm.
    """

    def __init__(self, face: ProceduralFace) -> None:
        basis = face.model.expression_basis
        modes = spread(torch.eye(len(MOUTH)))
        ids = sorted({i for ring in UPPER_LIP + LOWER_LIP for i in ring} | set(CHIN))
        moves = torch.einsum("vcm,km->kvc", basis[ids], modes).flatten(1) * MILLIMETRES
        self.metric = moves @ moves.T / len(ids) + LEAST * torch.eye(len(MOUTH))
        self.gaps = modes @ (basis[INNER_UPPER_LIP[1:-1], 1] - basis[INNER_LOWER_LIP[1:-1], 1]).T * MILLIMETRES
        # the least movement that takes away given gaps, nearly: a regularised least-squares solution
        lever = torch.linalg.solve(self.metric, self.gaps)
        inverse = torch.linalg.inv(self.gaps.T @ lever + 1e-2 * torch.eye(self.gaps.shape[1]))
        self._shutting = inverse @ lever.T

    def apart(self, mouth: Tensor) -> Tensor:
        """How far mouths [..., K] part the pairs of the inner lips [..., P], in mm; below 0 they are pressed."""
        return mouth @ self.gaps

    def together(self, mouth: Tensor, share: Tensor) -> Tensor:
        """Mouths [N, K] with a share [N] (0–1) of what parts the lips taken away, by the least movement."""
        for _ in range(2):  # what one movement parts again is small
            mouth = mouth - share[:, None] * (self.apart(mouth).clamp(min=0) @ self._shutting)
        return mouth


def widened(mouth: Tensor, decibels: Tensor) -> Tensor:
    """Mouths [M, K] that open by so many decibels [M] more: twice as wide at 6; what closes them stays."""
    parted = mouth[:, OPENING]
    wider = mouth.clone()
    wider[:, OPENING] = torch.where(parted > 0, parted * 10 ** (decibels[:, None] / 20), parted)
    return wider


def at_frames(heard: dict[str, Tensor], fps: float, count: int, lips: Lips) -> tuple[Tensor, Tensor, Tensor]:
    """Mouth [N, K], probability of rest [N] and stress [N] at the instants of video frames.

    A mouth is averaged over about a frame's time, yet every closure of the lips is shown by at least one frame, however
    short it is, and in pauses lips stay shut.
    """
    visemes = heard["viseme"]
    at = (torch.arange(count) + 0.5) / fps * MELS_A_SECOND
    rest = visemes[:, REST]
    held = _step(average(shrunk(rest, SETTLE), at, 1.0), *RESTING)
    mouth = average(heard["mouth"], at, max(1.0, BLUR * MELS_A_SECOND / fps))
    shut = _step(average(visemes[:, CLOSED], at, 1.0), *CLOSING)

    # the middle of each closure belongs to the frame next to it
    closed = visemes[:, CLOSED] > 0.5
    edges = torch.diff(F.pad(closed.int(), (1, 1)))
    starts, ends = torch.nonzero(edges > 0)[:, 0], torch.nonzero(edges < 0)[:, 0]
    middles = ((starts + ends - 1) / 2)[ends - starts >= BRIEF]
    frames = (middles / MELS_A_SECOND * fps).long().clamp(max=count - 1)
    mouth[frames] = heard["mouth"][middles.round().long()]
    shut[frames] = 1.0
    mouth = lips.together(mouth, torch.maximum(shut, held))
    mouth = mouth * (1 - held)[:, None]
    return mouth, average(rest, at, 2.0), average(heard["stress"], at, 2.0).clamp(0, 1)


def average(values: Tensor, at: Tensor, reach: float) -> Tensor:
    """Values [M] or [M, D] at the places `at` [N] between them, averaged by a triangle of half-width `reach` ≥ 1."""
    near = torch.arange(-int(reach) - 1, int(reach) + 2) + at.floor().long()[:, None]
    weight = (1 - (near - at[:, None]).abs() / reach).clamp(min=0)
    weight = weight / weight.sum(1, keepdim=True)
    found = values[near.clamp(0, len(values) - 1)]
    return torch.einsum("nr,nr...->n...", weight, found)


def shrunk(values: Tensor, seconds: float) -> Tensor:
    """The least of values [M] within `seconds` to either side; beyond the ends they go on."""
    reach = round(seconds * MELS_A_SECOND)
    padded = F.pad(values[None, None], (reach, reach), mode="replicate")
    return -F.max_pool1d(-padded, 2 * reach + 1, 1)[0, 0]


def _step(x: Tensor, low: float, high: float) -> Tensor:
    """0 below low, 1 above high, smooth between."""
    x = ((x - low) / (high - low)).clamp(0, 1)
    return x * x * (3 - 2 * x)
