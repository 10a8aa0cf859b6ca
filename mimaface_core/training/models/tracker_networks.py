"""Stages `mesh`, `eye` and `mouth`: the face tracker's landmarks.

Each landmark is led to its place, and tells its own expected error: the negative log-likelihood of a Laplace
distribution. What closes (lids, lips) is compared by its gap, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...morphable.bundled.face_mesh import (
    EAR_OUTLINE,
    EYE_CORNERS,
    FOREHEAD_OUTLINE,
    GLABELLA,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LANDMARK_COUNT,
    LEFT_BROW,
    LEFT_IRIS,
    LEFT_LOWER_LID,
    LEFT_UPPER_LID,
    LOWER_LIP_POINTS,
    NOSE_RIDGE,
    RIGHT_BROW,
    RIGHT_IRIS,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_POINTS,
)
from ...tensors import channels_last
from ...tracker.networks import Look, Marks, eye_network, mesh_network, mouth_network
from ...tracker.regions import MOUTH, RIGHT_EYE, region_points
from ...weights import write
from ..config import Precision
from ..data.dataset import read_tensors
from ..data.tracker_batches import Batch, FacePool
from ..data.tracker_mistakes import read_mistakes
from ..engine.prefetch import Prefetcher
from ..engine.trainer import Trainer
from ..tracker_config import LookConfig

PLACE, GAP, STANCE, DOUBT, SEEN, FACE, DEPTH = 40.0, 60.0, 60.0, 0.3, 4.0, 2.0, 0.3  # weights of the losses
LIDS, LIPS, BROWS, IRISES = 4.0, 3.0, 2.0, 4.0  # weights of landmarks in closer looks, those of the others are 1
HIDDEN = 0.3  # weight of a landmark that is hidden
LEAST = 0.002  # expected error at least, half sides
GAPS = (
    (RIGHT_UPPER_LID, RIGHT_LOWER_LID),
    (LEFT_UPPER_LID, LEFT_LOWER_LID),
    (INNER_UPPER_LIP, INNER_LOWER_LIP),
)
# what no expression moves
BONE = [*FOREHEAD_OUTLINE, *EAR_OUTLINE, *GLABELLA, *NOSE_RIDGE, *EYE_CORNERS[0], *EYE_CORNERS[1]]
POOL_SIZE = 400  # pixels, of the mean face by which regions are laid out
NEW_EVERY = 200  # steps between two looks at a growing folder


def closer_weights() -> Tensor:
    """Weights [478] of the landmarks in the losses of the closer looks."""
    weight = torch.ones(LANDMARK_COUNT)
    weight[UPPER_LIP_POINTS + LOWER_LIP_POINTS] = LIPS
    weight[RIGHT_BROW + LEFT_BROW] = BROWS
    weight[RIGHT_UPPER_LID + RIGHT_LOWER_LID + LEFT_UPPER_LID + LEFT_LOWER_LID] = LIDS
    weight[RIGHT_IRIS + LEFT_IRIS] = IRISES
    return weight


class LookModel(nn.Module):
    """A network with its losses on a batch.

    Args:
        network: the network.
        points: the landmarks [P] that it knows, of 478: all of them in a mesh, which has to tell how the head stands.
    """

    weight: Tensor
    uppers: Tensor
    lowers: Tensor

    def __init__(self, network: Look, points: np.ndarray) -> None:
        super().__init__()
        self.network = network
        self.whole = len(points) == LANDMARK_COUNT
        weight = torch.ones(LANDMARK_COUNT) if self.whole else closer_weights()
        self.register_buffer("weight", weight[torch.from_numpy(points)])
        at = {int(point): number for number, point in enumerate(points)}
        pairs = [(u, lo) for up, down in GAPS for u, lo in zip(up[1:-1], down[1:-1], strict=True)]
        pairs = [(at[u], at[lo]) for u, lo in pairs if u in at and lo in at]
        self.register_buffer("uppers", torch.tensor([pair[0] for pair in pairs]))
        self.register_buffer("lowers", torch.tensor([pair[1] for pair in pairs]))

    def forward(self, squares: Tensor, points: Tensor, seen: Tensor, face: Tensor | None = None) -> dict[str, Tensor]:
        """The losses; arguments as `FacePool` makes them."""
        marks, logit = self.network(squares.contiguous(memory_format=torch.channels_last))
        marks, logit = Marks(*(value.float() for value in marks)), logit.float()
        shown = torch.ones_like(logit) if face is None else face.float()
        trust = torch.where(seen, 1.0, HIDDEN) * self.weight * shown[:, None]
        trust = trust / trust.sum().clamp(min=1)
        error = (marks.points[..., :2] - points[..., :2]).norm(dim=-1)
        place = (trust * error).sum()
        off = marks.points[:, self.uppers, :2] - marks.points[:, self.lowers, :2]
        off = off - (points[:, self.uppers, :2] - points[:, self.lowers, :2])
        open_trust = (seen[:, self.uppers] & seen[:, self.lowers]).float() * shown[:, None]
        gap = (off.norm(dim=-1) * open_trust).sum() / open_trust.sum().clamp(min=1)
        deviation = marks.log_deviation.exp() + LEAST
        doubt = (trust * (error.detach() / deviation + deviation.log())).sum()
        judged = F.binary_cross_entropy_with_logits(marks.seen, seen.float(), reduction="none").mean(1)
        seen_loss = (judged * shown).sum() / shown.sum().clamp(min=1)
        loss = PLACE * place + GAP * gap + DOUBT * doubt + SEEN * seen_loss
        losses = {"place": place, "gap": gap, "doubt": doubt, "seen": seen_loss}
        if self.whole:
            off = (marks.points - points)[:, BONE, :2]
            stance = (off - off.mean(1, keepdim=True)).norm(dim=-1).mean(1)
            losses["stance"] = (stance * shown).sum() / shown.sum().clamp(min=1)
            losses["depth"] = (trust * (marks.points[..., 2] - points[..., 2]).abs()).sum()
            losses["face"] = F.binary_cross_entropy_with_logits(logit, shown)
            loss = loss + STANCE * losses["stance"] + DEPTH * PLACE * losses["depth"] + FACE * losses["face"]
        return {"loss": loss, **losses}


def laid_out(pool: FacePool, out: Path) -> dict[str, Tensor]:
    """The regions `eye` (the right one) and `mouth`: landmarks `<name>_points`, shares `<name>_share`, and `mirror`.

    They are laid out on the pool's mean face by the stage that comes first, and kept in `out`: all need the same.
    """
    file = out / "regions.safetensors"
    if not file.is_file():
        mean = pool.mean * POOL_SIZE
        regions = {"eye": region_points(mean, RIGHT_EYE, RIGHT_IRIS), "mouth": region_points(mean, MOUTH, [])}
        tensors = {"mirror": pool.mirror}
        for name, (points, share) in regions.items():
            tensors |= {f"{name}_points": torch.from_numpy(points), f"{name}_share": torch.from_numpy(share).float()}
        out.mkdir(parents=True, exist_ok=True)
        write(file, tensors)
    return read_tensors(file, ("mirror", "eye_points", "eye_share", "mouth_points", "mouth_share"))


def train_look(name: str, settings: LookConfig, precision: Precision, data: Path, out: Path) -> None:
    """Train a network of landmarks, or resume; writes `<name>.safetensors` to `out`.

    Args:
        name: `mesh`, `eye` or `mouth`.
        settings: of the stage.
        precision: of the training.
        data: folder of the training data, with labelled faces in `faces` and, for `mesh`, `mistakes.safetensors`.
        out: folder of the checkpoints.

    Raises:
        InputError: there are no faces or no mistakes, or the checkpoint has other settings.
    """
    pool = FacePool(data / "faces", read_mistakes(data) if name == "mesh" else None)
    torch.manual_seed(settings.seed)
    if name == "mesh":
        points, network = np.arange(LANDMARK_COUNT), mesh_network()
    else:
        points = laid_out(pool, out)[f"{name}_points"].numpy()
        network = eye_network(len(points)) if name == "eye" else mouth_network(len(points))
    _begin_at_mean(network, pool, name, points)
    model = channels_last(LookModel(network, points))
    batches = Prefetcher(lambda step: _batch(pool, name, points, settings, step))
    trainer = Trainer(name, out, model, ("network",), settings, precision)

    def draw(_: torch.Generator) -> Batch:
        if trainer.step % NEW_EVERY == 0:
            pool.read_new()
        return batches(trainer.step)

    trainer.run(draw)


def _batch(pool: FacePool, name: str, points: np.ndarray, settings: LookConfig, step: int) -> Batch:
    rng = np.random.default_rng([settings.seed, step])
    if name == "mesh":
        return pool.mesh_batch(settings.batch, rng)
    return pool.region_batch(settings.batch, RIGHT_EYE if name == "eye" else MOUTH, points, rng)


def _begin_at_mean(network: Look, pool: FacePool, name: str, points: np.ndarray) -> None:
    """The network begins with the mean of a batch's landmarks, whatever it sees."""
    rng = np.random.default_rng(0)
    region = RIGHT_EYE if name == "eye" else MOUTH
    batch = pool.mesh_batch(64, rng) if name == "mesh" else pool.region_batch(64, region, points, rng)
    with torch.no_grad():
        network.places.weight.mul_(0.1)
        network.places.bias.copy_(batch["points"].median(0).values.flatten())
        network.judge.weight.mul_(0.1)
        network.judge.bias[: len(points)] = -3
