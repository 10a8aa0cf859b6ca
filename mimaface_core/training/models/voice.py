"""Stage `voice`: the bundled voice network, trained on synthetic speech.

mimaface train speech --data DIR --out OUT
mimaface train voice --data DIR --out OUT
python -m mimaface.mimaface_core.training.export --out OUT --pack PACK                          adds it to a pack
python -m mimaface.mimaface_core.training.models.voice_validation --data DIR [RECORDING…]       measures it
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...audio.voice.lips import Lips
from ...audio.voice.net import VoiceNet
from ...audio.voice.visemes import VISEMES
from ...morphable.bundled.face import bundled_face
from ..config import Precision, VoiceConfig
from ..engine.prefetch import Prefetcher
from ..engine.trainer import Trainer
from ..speech.augmentation import Recorder
from ..speech.crops import Batch, Crops, load_clips
from .voice_validation import measure_net

REST, CLOSED = VISEMES.index("rest"), VISEMES.index("closed")
SOFT_MM = 1.0  # below it an error counts by its square, above by its size
APART_WEIGHTS = {CLOSED: 1.0, REST: 1.0}  # viseme → loss of a mm between lips that should touch
SPEED_WEIGHT = 2.0  # of an error in mm a frame
STRESS_WEIGHT = 1.0
LABEL_SMOOTHING = 0.02


class VoiceLoss(nn.Module):
    """Loss of visemes (cross-entropy), of the mouth's place and speed on lips and chin (mm), and of stress."""

    root: Tensor
    gaps: Tensor

    def __init__(self) -> None:
        super().__init__()
        lips = Lips(bundled_face())
        self.register_buffer("root", torch.linalg.cholesky(lips.metric))
        self.register_buffer("gaps", lips.gaps)

    def forward(self, predicted: dict[str, Tensor], batch: Batch) -> Tensor:
        """The loss, a scalar.

        Args:
            predicted: `viseme` logits [B, T, 8], `mouth` [B, T, K] and `stress` [B, T], float32.
            batch: the truth.
        """
        visemes = F.cross_entropy(
            predicted["viseme"].flatten(0, 1), batch.viseme.flatten(), label_smoothing=LABEL_SMOOTHING
        )
        error = (predicted["mouth"] - batch.mouth) @ self.root
        place = self._soft_length(error).mean()
        speed = self._soft_length(error[:, 1:] - error[:, :-1]).mean()
        true_gaps = (batch.mouth @ self.gaps).clamp(min=0)
        excess = (predicted["mouth"] @ self.gaps - true_gaps).clamp(min=0).mean(-1)
        parted = sum(weight * (excess * (batch.viseme == index)).mean() for index, weight in APART_WEIGHTS.items())
        stress = F.mse_loss(predicted["stress"], batch.stress)
        return visemes + place + SPEED_WEIGHT * speed + parted + STRESS_WEIGHT * stress

    @staticmethod
    def _soft_length(vectors: Tensor) -> Tensor:
        """Lengths [...] of vectors [..., D], squared near zero (pseudo-Huber)."""
        return (vectors.square().sum(-1) + SOFT_MM**2).sqrt() - SOFT_MM


class VoiceModel(nn.Module):
    """A voice network with its loss on a batch."""

    def __init__(self, net: VoiceNet) -> None:
        super().__init__()
        self.net, self.loss = net, VoiceLoss()

    def forward(self, mel: Tensor, viseme: Tensor, mouth: Tensor, stress: Tensor) -> dict[str, Tensor]:
        """The loss; arguments as the fields of `speech.crops.Batch`."""
        predicted = {name: value.float() for name, value in self.net.inner(mel).items()}
        with torch.autocast(mel.device.type, enabled=False):
            return {"loss": self.loss(predicted, Batch(mel, viseme, mouth, stress))}


def build_net(settings: VoiceConfig) -> VoiceNet:
    """The untrained network; its mouths are learned in millimetres of movement on the lips."""
    torch.manual_seed(settings.seed)
    net = VoiceNet(settings.config.width, settings.config.dilations)
    net.get_buffer("frame").copy_(torch.linalg.inv(torch.linalg.cholesky(Lips(bundled_face()).metric)))
    return net


def train_voice(settings: VoiceConfig, precision: Precision, data: Path, out: Path) -> None:
    """Stage `voice`: train the voice network, or resume; writes `voice.safetensors` to `out`.

    Args:
        settings: of the stage.
        precision: of the training.
        data: folder of the training data, with the corpus in `speech`.
        out: folder of the checkpoints.

    Raises:
        InputError: the corpus is missing, or the checkpoint has other settings.
    """
    clips = load_clips(data / "speech", "train")
    held = load_clips(data / "speech", "held_out", settings.held)
    net = build_net(settings)
    recorder = Recorder([clip.wave for clip in clips], np.random.default_rng([settings.seed, 1]), settings.music)
    crops = Crops(clips, recorder, settings.frames, net.reach)
    batches = Prefetcher(lambda step: crops.batch(settings.batch, np.random.default_rng([settings.seed, step])))
    trainer = Trainer("voice", out, VoiceModel(net), ("net",), settings, precision)

    def draw(_: torch.Generator) -> dict[str, Tensor]:
        return vars(batches(trainer.step))

    def validate(_: int) -> dict[str, float]:
        averaged = build_net(settings)
        averaged.load_state_dict({key: value.cpu() for key, value in net.state_dict().items()})
        return measure_net(averaged.eval(), held, recorder)

    trainer.run(draw, validate)
