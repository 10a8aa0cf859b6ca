"""Stage `detector`: the face tracker's search for faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...tensors import channels_last
from ...tracker.networks import Detector
from ..config import Precision
from ..data.tracker_batches import Batch, FacePool
from ..data.tracker_tiles import tile_batch
from ..engine.prefetch import Prefetcher
from ..engine.trainer import Trainer
from ..tracker_config import LookConfig

FOCUS, HIT_SHARE = 2.0, 0.5  # exponent and weight of hits in the focal loss, Lin et al. 2017
WEIGHTS = (0.5, 0.5, 1.0, 0.5, 0.5)  # of errors in place, size and roll
FIRST_LOGIT = -3.0


class DetectorModel(nn.Module):
    """The detector with its losses on a batch of tiles."""

    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.network = Detector()
        self.register_buffer("weights", torch.tensor(WEIGHTS)[:, None, None])
        with torch.no_grad():
            assert self.network.head.bias is not None
            self.network.head.bias.zero_()
            self.network.head.bias[0] = FIRST_LOGIT

    def forward(self, images: Tensor, target: Tensor, hit: Tensor, counts: Tensor) -> dict[str, Tensor]:
        """The losses; arguments as `tile_batch` makes them."""
        said = self.network(images.contiguous(memory_format=torch.channels_last)).float()
        logit, hits = said[:, 0], hit.float()
        wrong = torch.where(hit, 1 - logit.sigmoid(), logit.sigmoid())
        each = F.binary_cross_entropy_with_logits(logit, hits, reduction="none") * wrong**FOCUS
        each = each * torch.where(hit, HIT_SHARE, 1 - HIT_SHARE) * counts
        number = hits.sum().clamp(min=1)
        score = each.sum() / number
        off = F.smooth_l1_loss(said[:, 1:], target, reduction="none", beta=0.1) * self.weights * hits[:, None]
        place = off.sum() / number
        return {"loss": 4 * score + place, "score": score, "place": place}


def train_detector(settings: LookConfig, precision: Precision, data: Path, out: Path) -> None:
    """Train the detector, or resume; writes `detector.safetensors` to `out`.

    Args:
        settings: of the stage.
        precision: of the training.
        data: folder of the training data, with labelled faces in `faces`.
        out: folder of the checkpoints.

    Raises:
        InputError: there are no faces, or the checkpoint has other settings.
    """
    pool = FacePool(data / "faces")
    torch.manual_seed(settings.seed)
    model = channels_last(DetectorModel())
    batches = Prefetcher(lambda step: tile_batch(pool, settings.batch, np.random.default_rng([settings.seed, step])))
    trainer = Trainer("detector", out, model, ("network",), settings, precision)

    def draw(_: torch.Generator) -> Batch:
        return batches(trainer.step)

    trainer.run(draw)
