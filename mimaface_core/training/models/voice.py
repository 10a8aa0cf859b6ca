"""Stage `voice`: the bundled voice network, learned from synthetic speech.

mimaface train speech --data DIR --out OUT
mimaface train voice --data DIR --out OUT
python -m mimaface.mimaface_core.training.export --out OUT --pack PACK                          puts it into a pack
python -m mimaface.mimaface_core.training.models.voice_validation --data DIR [RECORDING…]       measures it
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...audio.voice.lips import Lips
from ...audio.voice.net import VoiceNet
from ...audio.voice.visemes import VISEMES
from ...morphable.bundled.face import procedural_face
from ..engine.trainer import Training
from ..speech.augmentation import Recorder
from ..speech.crops import Batch, Crops, load_clips
from .voice_validation import measure_net

REST, CLOSED = VISEMES.index("rest"), VISEMES.index("closed")
SOFT = 1.0  # mm below which an error counts by its square, above by its size
OPEN_COSTS = {CLOSED: 1.0, REST: 1.0}  # what a mm of lips apart counts where they should touch
SHIFT_COSTS = 2.0  # what a mm a frame of wrong speed counts
STRESS_COSTS = 1.0
SMOOTHING = 0.02  # of the labels


class VoiceLoss(nn.Module):
    """How wrong a prediction is: class by class, millimetre by millimetre on the lips, and in its movement."""

    def __init__(self) -> None:
        super().__init__()
        lips = Lips(procedural_face())
        self.register_buffer("root", torch.linalg.cholesky(lips.metric))
        self.register_buffer("gaps", lips.gaps)

    def forward(self, made: dict[str, Tensor], batch: Batch) -> Tensor:
        classes = F.cross_entropy(made["viseme"].flatten(0, 1), batch.viseme.flatten(), label_smoothing=SMOOTHING)
        wrong = (made["mouth"] - batch.mouth) @ self.root
        place = self._size(wrong).mean()
        shift = self._size(wrong[:, 1:] - wrong[:, :-1]).mean()
        beyond = (made["mouth"] @ self.gaps - (batch.mouth @ self.gaps).clamp(min=0)).clamp(min=0).mean(-1)
        apart = sum(cost * (beyond * (batch.viseme == index)).mean() for index, cost in OPEN_COSTS.items())
        stress = F.mse_loss(made["stress"], batch.stress)
        return classes + place + SHIFT_COSTS * shift + apart + STRESS_COSTS * stress

    @staticmethod
    def _size(wrong: Tensor) -> Tensor:
        """Lengths [...] of vectors [..., D], softened."""
        return (wrong.square().sum(-1) + SOFT**2).sqrt() - SOFT


class VoiceModel(nn.Module):
    """A voice network with its loss on a batch."""

    def __init__(self, net: VoiceNet) -> None:
        super().__init__()
        self.net, self.loss = net, VoiceLoss()

    def forward(self, mel: Tensor, viseme: Tensor, mouth: Tensor, stress: Tensor) -> dict[str, Tensor]:
        """Arguments as the fields of `voice_data.Batch`."""
        made = {name: value.float() for name, value in self.net.inner(mel).items()}
        with torch.autocast(mel.device.type, enabled=False):
            return {"loss": self.loss(made, Batch(mel, viseme, mouth, stress))}


class Ahead:
    """Batches of a seed's steps, each made in a thread of its own while the one before is learned from."""

    def __init__(self, crops: Crops, size: int, seed: int) -> None:
        self.crops, self.size, self.seed = crops, size, seed
        self.pool, self.coming = ThreadPoolExecutor(1), {}

    def __call__(self, step: int) -> Batch:
        wanted = self.coming.pop(step, None) or self._start(step)
        self.coming = {step + 1: self._start(step + 1)}
        return wanted.result()

    def _start(self, step: int) -> Future:
        return self.pool.submit(lambda: self.crops.batch(self.size, np.random.default_rng([self.seed, step])))


def build_net(config: dict) -> VoiceNet:
    """The untrained network of a configuration; its mouths are learned in millimetres of movement on the lips."""
    torch.manual_seed(config["voice"].get("seed", 0))
    net = VoiceNet(**config["voice"]["config"])
    net.frame.copy_(torch.linalg.inv(torch.linalg.cholesky(Lips(procedural_face()).metric)))
    return net


def train_voice(config: dict, data: Path, out: Path) -> None:
    """Stage `voice`; leaves `voice.safetensors` in `out`. data: where the corpus (`data`/speech) is."""
    settings = config["voice"]
    clips = load_clips(data / "speech", "train")
    held = load_clips(data / "speech", "held_out", settings["held"])
    net = build_net(config)
    recorder = Recorder([clip.wave for clip in clips], np.random.default_rng([settings["seed"], 1]), settings["music"])
    batches = Ahead(Crops(clips, recorder, settings["frames"], net.reach), settings["batch"], settings["seed"])
    training = Training("voice", out, VoiceModel(net), ("net",), config)

    def draw(_: torch.Generator) -> dict[str, Tensor]:
        return vars(batches(training.step))

    def check(_: int) -> dict:
        mean = build_net(config)
        mean.load_state_dict({key: value.cpu() for key, value in net.state_dict().items()})
        return measure_net(mean.eval(), held, recorder)

    training.run(draw, check)
