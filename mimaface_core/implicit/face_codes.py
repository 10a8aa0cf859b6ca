"""Motion codes with names: those of generators whose dimensions are movements of the bundled face.

Left to itself, stage 1 finds its dimensions of motion by looking at millions of frames. A small recipe has some
thousands, whose true motion is known: there the codes are movements of the face model, each group of dimensions one
part of the face, so that a tracker can measure them and stage 2 can learn from motion that was never drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .. import weights
from ..morphable.bundled.face import bundled_face
from ..morphable.model import PLANE
from ..motion.track import MotionTrack
from ..tensors import smoothstep

HEAD = {"pitch": 0.6, "yaw": 0.9, "roll": 0.6, "x": 0.5, "y": 0.5, "size": 0.6}  # rad, half sides, logarithm: unit
USUAL_SIZE = 0.65  # of a face in its crop, of one at the model's origin
GAZE = {"gaze_x": 0.35, "gaze_y": 0.25}  # eye widths: unit
SHUT = 0.75  # movement of lids that shut an eye
BLINKING = 0.2  # code by which the lids of people who blink lie lower in the mean
OPEN, BLINK = 0.22, 0.5  # shares of the way to shut up to which spoken lids are at rest, and from which they are shut
MOUTH, BROWS = 8, 2  # dimensions
LARGEST = 0.999  # code that is taken back to a movement

NAMES = (
    *HEAD,
    *(f"mouth_{number}" for number in range(1, MOUTH + 1)),
    "lid_right",
    "lid_left",
    *GAZE,
    *(f"brow_{number}" for number in range(1, BROWS + 1)),
)
DIMENSIONS = len(NAMES)
LOCAL = len(HEAD)  # first of the dimensions that move parts of the face
X, Y, SIZE, GAZE_X = (NAMES.index(name) for name in ("x", "y", "size", "gaze_x"))
REMEDY = "install the pack again"


@dataclass(frozen=True)
class FaceMovements:
    """The movements of the bundled face that codes stand for: mouth, lids and brows, in the order of NAMES.

    Attributes:
        measure: [64, 10], from an expression to each movement of mouth and brows; lids move by how far they shut.
        face: [64, 12], the expression that goes with a unit of each.
        head: [6, 6], from the head's movement to what a generator is to be asked for, which turns heads less than it
            is told; measured on portraits.
    """

    measure: Tensor
    face: Tensor
    head: Tensor = field(default_factory=lambda: torch.eye(len(HEAD)))

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.torch import save_file

        save_file({name: value.contiguous() for name, value in vars(self).items()}, path)

    @classmethod
    def load(cls, path: Path) -> FaceMovements:
        """Read a file that `save` wrote.

        Raises:
            InputError: it is missing or damaged.
        """
        values = weights.read(path, REMEDY)
        return cls(*(values[name].float() for name in ("measure", "face", "head")))


def code_groups() -> dict[str, list[int]]:
    """Dimensions of each part of the face, as a pack's manifest names them."""
    starts = {"head": 0, "mouth": LOCAL, "eyes": NAMES.index("lid_right"), "brows": NAMES.index("brow_1")}
    ends = [*list(starts.values())[1:], DIMENSIONS]
    return {name: list(range(start, end)) for (name, start), end in zip(starts.items(), ends, strict=True)}


def motion_codes(track: MotionTrack, movements: FaceMovements) -> Tensor:
    """Codes of a motion of the bundled face that is seen in its source's crop.

    Args:
        track: N frames, whose alignments are that of the crop.
        movements: of the codes.

    Returns:
        [N, 20]: the hyperbolic tangent of each movement in its unit.
    """
    c, face = track.coefficients, bundled_face()
    model = face.model
    seen = model.project(c.translation[:, None])[:, 0]
    place = seen[:, :2] / (PLANE / 2) - 1
    size = (model.camera / seen[:, 2] / USUAL_SIZE).log()
    head = torch.cat([c.angles, place, size[:, None]], 1) / torch.tensor(list(HEAD.values()))
    gaze = track.gaze.view(-1, 2, 2).mean(1) / torch.tensor(list(GAZE.values()))
    mouth, brows = (c.expression @ movements.measure).split([MOUTH, BROWS], 1)
    lids = SHUT * (1 - face.openness(c.identity, c.expression))
    return torch.cat([head, mouth, lids, gaze, brows], 1).tanh()


def blinking_mean(posture: Tensor) -> Tensor:
    """The mean of codes [20] of someone with this posture [20] who blinks as people do."""
    mean = posture.clone()
    lids = [NAMES.index("lid_right"), NAMES.index("lid_left")]
    mean[lids] = (mean[lids] + BLINKING).clamp(max=LARGEST)
    return mean


def completed_blinks(codes: Tensor, posture: Tensor) -> Tensor:
    """Spoken codes [N, 20] whose blinks shut the eyes, which between them are as open as in a posture [20].

    What is learned by its mean error goes half of the way when it is not sure of the moment.
    """
    lids = [NAMES.index("lid_right"), NAMES.index("lid_left")]
    own = movement_of(posture[None])[:, lids]
    moved = movement_of(codes)[:, lids]
    share = (moved - own) / (SHUT - own)
    shut = smoothstep(share, OPEN, BLINK)
    result = codes.clone()
    result[:, lids] = (own + torch.where(share > 0, shut, share) * (SHUT - own)).tanh()
    return result


def movement_of(codes: Tensor) -> Tensor:
    """Movements [N, 20] in their units of codes [N, 20]."""
    return torch.atanh(codes.clamp(-LARGEST, LARGEST))


def boxed_codes(codes: Tensor, box: Tensor) -> Tensor:
    """Codes [N, 20] of images that are cut out of those that had them.

    Args:
        codes: [N, 20].
        box: [N, 3], centre in ±1 and side, as a share, of each cutout.
    """
    moved = movement_of(codes)
    place = (moved[:, [X, Y]] - box[:, :2] / HEAD["x"]) / box[:, 2:]
    result = codes.clone()
    result[:, [X, Y]], result[:, SIZE] = place.tanh(), (moved[:, SIZE] - box[:, 2].log() / HEAD["size"]).tanh()
    return result
