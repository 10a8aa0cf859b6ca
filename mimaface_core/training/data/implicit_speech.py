"""Training data of IF-MDM's stage 2: voices, and motion codes of people who speak them.

The motion is that of the bundled audio driver, each time another person's: posture, rest, temperament and course are
drawn anew. Codes are those of `implicit_codes`, so that nothing need be rendered.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...audio.checks import STYLES
from ...audio.speech import SAMPLE_RATE, Speech
from ...audio.voice.driver import VoiceDriver
from ...face.crop import plane_alignment
from ...files import replacing
from ...implicit.motion import RATE
from ...implicit.transformer import WINDOW
from ...implicit.voice_features import voice_features
from ...media.audio import Audio
from ...motion.track import FaceCoefficients, MotionTrack
from ..people.performance import POSE_LIMITS, random_expression
from ..speech.corpus import load_item, stored_items
from .dataset import read_tensors
from .implicit_codes import motion_codes

POSTURE = 0.35  # standard deviation of a person's posture, of POSE_LIMITS
PLACE, DEPTH = 0.08, (-6.2, -4.6)  # of the head in its crop, model units
RESTING = (0.1, 0.5)  # strength of a person's resting expression
LIVELINESS = (0.5, 1.6)  # factor of the head's movement
LOWEST_FRAMES = WINDOW + 1


@dataclass(frozen=True)
class SpokenMotion:
    """A voice and some people's motion to it.

    Attributes:
        speech: features [2N, V].
        codes: [T, N, 20], of T takes.
    """

    speech: Tensor
    codes: Tensor

    def save(self, path: Path) -> None:
        """Write a safetensors file; it appears when it is complete."""
        from safetensors.torch import save_file

        with replacing(path) as part:
            save_file({"speech": self.speech.half(), "codes": self.codes.half()}, part)

    @classmethod
    def load(cls, path: Path) -> SpokenMotion:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is damaged.
        """
        tensors = read_tensors(path, ("speech", "codes"))
        return cls(tensors["speech"].float(), tensors["codes"].float())


@torch.no_grad()
def spoken_motion(speech: Speech, driver: VoiceDriver, takes: int, rng: np.random.Generator) -> SpokenMotion:
    """A voice, and `takes` people's motion to it."""
    features = torch.cat(list(voice_features(speech, driver.net)))
    frames = len(features) // 2
    codes = []
    for _ in range(takes):
        track = driver.drive(
            speech,
            _person(rng),
            RATE,
            style=int(rng.integers(STYLES)),
            seed=int(rng.integers(1 << 30)),
            pose=float(rng.uniform(*LIVELINESS)),
            blinks=float(rng.uniform(0.6, 1.4)),
        )
        codes.append(motion_codes(track[:frames]))
    return SpokenMotion(features[: 2 * len(codes[0])], torch.stack(codes))


def make_spoken_motion(speech: Path, data: Path, driver: VoiceDriver, takes: int, split: str = "train") -> None:
    """Make the files that do not exist yet, one for each recording that is long enough.

    Args:
        speech: folder of the corpus, see `speech.corpus`.
        data: folder of the files.
        driver: moves the people.
        takes: people for each recording.
        split: of the corpus.
    """
    data.mkdir(parents=True, exist_ok=True)
    items = stored_items(speech, split)
    with host.current().progress(len(items), "motion of speech") as progress:
        for number, path in enumerate(items):
            out = data / path.name.replace("speech", "spoken")
            if not out.is_file():
                wave = load_item(path).wave.float() / 32768
                voice = Speech.of(Audio(wave[None], SAMPLE_RATE))
                made = spoken_motion(voice, driver, takes, np.random.default_rng(number))
                if made.codes.shape[1] >= LOWEST_FRAMES:
                    made.save(out)
            progress.update()


def _person(rng: np.random.Generator) -> MotionTrack:
    """Someone's posture and rest, one frame."""
    coefficients = FaceCoefficients.zeros(1).replace(
        expression=torch.from_numpy(random_expression(rng, float(rng.uniform(*RESTING)))).float()[None],
        angles=torch.from_numpy(rng.normal(0, POSTURE, 3) * POSE_LIMITS).float()[None],
        translation=torch.tensor([[*rng.normal(0, PLACE, 2), rng.uniform(*DEPTH)]]).float(),
    )
    gaze = torch.from_numpy(np.tile(rng.normal(0, 0.05, 2), 2)).float()[None]
    return MotionTrack(coefficients, gaze, plane_alignment(1), torch.ones(1, dtype=torch.bool), RATE)
