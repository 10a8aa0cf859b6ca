"""How well the bundled appearance encoder's class token tells people apart: the AUC that its score is labelled with.

`python benchmarks/identity.py FOLDER...`, with the project installed. The folders hold photographs and clips, one person
a file; of a clip six frames are taken. Printed are three areas under the ROC curve: frames of one recording against
other people's; frames against themselves under another light, against other people's under it; and, where an output
folder is named with `--outputs`, outputs called SOURCE_DRIVER against their own source and against other people.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mimaface.mimaface_core.evaluation.footage import CLIPS, PICTURES, Footage
from mimaface.mimaface_core.evaluation.meters.crops import framed_face, framing, signed
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.follow import still_landmarks
from mimaface.mimaface_core.packs.find import find_pack

FRAMES = 6


def faces(path: Path, tracker) -> Tensor:
    """Face crops [N, 3, 224, 224] in ±1 of a photograph or of frames throughout a clip."""
    frames = list(Footage.open(path).pictures)
    chosen = sorted({int(i) for i in np.linspace(0, len(frames) - 1, FRAMES)})
    return torch.stack([framed_face(signed(frames[i]), framing(still_landmarks(frames[i], tracker))) for i in chosen])


def relit(crops: Tensor, person: int) -> Tensor:
    """The same crops under another light: half grey, tinted warm or cold, brighter on one side, and darker or lighter."""
    draw = torch.Generator().manual_seed(person)
    count, side = len(crops), crops.shape[-1]
    tint = torch.tensor([[1.1, 1.0, 0.8], [0.85, 1.0, 1.15]])[torch.randint(2, (count,), generator=draw)]
    ramp = torch.linspace(0.6, 1.2, side).expand(count, side)
    ramp = torch.where(torch.rand(count, 1, generator=draw) < 0.5, ramp, ramp.flip(1))
    level = 0.7 + 0.4 * torch.rand(count, 1, 1, 1, generator=draw)
    half = (crops + crops.mean(1, keepdim=True)) / 2
    return ((half + 1) * tint[:, :, None, None] * ramp[:, None, None] * level - 1).clamp(-1, 1)


def auc(same: list[Tensor], other: list[Tensor]) -> float:
    """Probability that a pair of one person is more alike than a pair of two."""
    a, b = torch.cat([x.flatten() for x in same]), torch.cat([x.flatten() for x in other])
    return float((a[:, None] > b).float().mean() + (a[:, None] == b).float().mean() / 2)


@torch.no_grad()
def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--outputs", type=Path, metavar="DIR")
    options = parser.parse_args(arguments)
    tracker, encoder = face_tracker(), find_pack("bundled").appearance.encode_source

    def tokens(crops: Tensor) -> Tensor:
        return torch.nn.functional.normalize(encoder(crops)[:, 0], dim=1)

    files = [path for folder in options.folders for path in sorted(folder.iterdir())]
    crops = {path.stem: faces(path, tracker) for path in files if path.suffix.lower() in (*PICTURES, *CLIPS)}
    plain = {name: tokens(face) for name, face in crops.items()}
    lit = {name: tokens(relit(face, number)) for number, (name, face) in enumerate(crops.items())}
    others = [plain[a] @ plain[b].T for a, b in combinations(plain, 2)]
    upper = [torch.triu_indices(len(t), len(t), 1) for t in plain.values()]
    same = [(t @ t.T)[tuple(at)] for t, at in zip(plain.values(), upper)]
    print(f"one recording: AUC {auc(same, others):.3f}")
    own = [plain[name] @ lit[name].T for name in plain]
    strange = [plain[a] @ lit[b].T for a, b in permutations(plain, 2)]
    print(f"another light: AUC {auc(own, strange):.3f}")
    if options.outputs:
        made = {path.stem: tokens(faces(path, tracker)) for path in sorted(options.outputs.iterdir())}
        own = [plain[s] @ made[o].T for o in made for s in plain if o.startswith(f"{s}_")]
        strange = [plain[s] @ made[o].T for o in made for s in plain if not o.startswith(f"{s}_")]
        print(f"output and source: AUC {auc(own, strange):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
