"""Identity verification AUC of the bundled appearance encoder's class token, the label of its score.

`python benchmarks/identity.py FOLDER...`, with the project installed. The folders hold photographs and videos, one
person a file; six frames of a video are used. Prints three areas under the ROC curve: frames of one recording against
other people; frames against themselves relit, against other people relit; and, with `--outputs`, outputs named
SOURCE_DRIVER against their own source and against other people.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mimaface.mimaface_core.evaluation.meters.crops import framed_face, framing, to_signed
from mimaface.mimaface_core.evaluation.pairs import VIDEO_SUFFIXES
from mimaface.mimaface_core.face.detect import FaceTracker, face_tracker
from mimaface.mimaface_core.face.follow import still_landmarks
from mimaface.mimaface_core.media.frames import STILL_SUFFIXES, Frames
from mimaface.mimaface_core.packs.find import find_pack

FRAMES = 6  # of a video


def faces(path: Path, tracker: FaceTracker) -> Tensor:
    """Face crops [N, 3, 224, 224] in ±1 of a photograph, or of frames throughout a video."""
    frames = list(Frames.open(path))
    chosen = sorted({int(i) for i in np.linspace(0, len(frames) - 1, FRAMES)})
    return torch.stack([
        framed_face(to_signed(frames[i]), framing(still_landmarks(frames[i], tracker))) for i in chosen
    ])  # fmt: skip


def relit(crops: Tensor, person: int) -> Tensor:
    """Crops under another light: half grey, tinted warm or cold, brighter on one side, darker or lighter.

    Args:
        crops: [N, 3, H, W] in ±1.
        person: seed.
    """
    generator = torch.Generator().manual_seed(person)
    count, side = len(crops), crops.shape[-1]
    tint = torch.tensor([[1.1, 1.0, 0.8], [0.85, 1.0, 1.15]])[torch.randint(2, (count,), generator=generator)]
    ramp = torch.linspace(0.6, 1.2, side).expand(count, side)
    ramp = torch.where(torch.rand(count, 1, generator=generator) < 0.5, ramp, ramp.flip(1))
    level = 0.7 + 0.4 * torch.rand(count, 1, 1, 1, generator=generator)
    half_grey = (crops + crops.mean(1, keepdim=True)) / 2
    return ((half_grey + 1) * tint[:, :, None, None] * ramp[:, None, None] * level - 1).clamp(-1, 1)


def auc(same: list[Tensor], other: list[Tensor]) -> float:
    """Probability that two images of one person are more alike than images of two; ties count half."""
    a, b = torch.cat([x.flatten() for x in same]), torch.cat([x.flatten() for x in other])
    return float((a[:, None] > b).float().mean() + (a[:, None] == b).float().mean() / 2)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> int:
    """Measure the encoder on the folders of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--outputs", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    tracker, encoder = face_tracker(), find_pack("bundled").appearance.encode_source

    def tokens(crops: Tensor) -> Tensor:
        return torch.nn.functional.normalize(encoder(crops)[:, 0], dim=1)

    files = [path for folder in options.folders for path in sorted(folder.iterdir())]
    suffixes = (*STILL_SUFFIXES, *VIDEO_SUFFIXES)
    crops = {path.stem: faces(path, tracker) for path in files if path.suffix.lower() in suffixes}
    plain = {name: tokens(face) for name, face in crops.items()}
    lit = {name: tokens(relit(face, number)) for number, (name, face) in enumerate(crops.items())}
    others = [plain[a] @ plain[b].T for a, b in combinations(plain, 2)]
    upper = [torch.triu_indices(len(t), len(t), 1) for t in plain.values()]
    same = [(t @ t.T)[tuple(at)] for t, at in zip(plain.values(), upper)]
    print(f"one recording: AUC {auc(same, others):.3f}")
    own = [plain[name] @ lit[name].T for name in plain]
    strangers = [plain[a] @ lit[b].T for a, b in permutations(plain, 2)]
    print(f"another light: AUC {auc(own, strangers):.3f}")
    if options.outputs:
        outputs = {path.stem: tokens(faces(path, tracker)) for path in sorted(options.outputs.iterdir())}
        own = [plain[s] @ outputs[o].T for o in outputs for s in plain if o.startswith(f"{s}_")]
        strangers = [plain[s] @ outputs[o].T for o in outputs for s in plain if not o.startswith(f"{s}_")]
        print(f"output and source: AUC {auc(own, strangers):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
