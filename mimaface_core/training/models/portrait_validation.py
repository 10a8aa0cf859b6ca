"""What a pack's diffusion leaves of the render's error on held-out portraits, moved and carried back.

Run as `python -m mimaface.mimaface_core.training.models.portrait_validation PORTRAITS [--pack DIR]`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ... import host
from ...drawing import animate
from ...errors import InputError
from ...face.detect import face_tracker
from ...face.extract_by_fit import FitExtractor
from ...face.source import SourceFace
from ...media.image import read_image
from ...morphable.bundled.face import bundled_face
from ...packs.manifest import FACE_SHARE
from ...packs.pack import BUNDLED_PACK, ModelPack
from ...terminal import TerminalHost
from ..data.portraits import RoundTrip, round_trip, seed_of
from ..people.portrait_folder import portraits_of


def errors(pack: ModelPack, trip: RoundTrip) -> tuple[float, float]:
    """Weighted mean squared errors of the render and of the pack's frame, of colours in ±1."""
    extractor = FitExtractor(bundled_face(), FACE_SHARE)
    track = extractor.fit(trip.landmarks[None], trip.motion.fps)
    source = SourceFace((trip.source.permute(1, 2, 0) + 1) / 2, trip.source, torch.eye(2, 3), trip.landmarks, track)
    weights = F.interpolate(trip.weights[:, None], trip.target.shape[-2:], mode="bilinear")

    def error(frame: Tensor) -> float:
        return float((weights * (frame - trip.target).square()).mean())

    (frames,) = animate(pack, source, trip.motion)
    return error(trip.render[:, :3]), error(frames.permute(0, 3, 1, 2) * 2 - 1)


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(description="Measure a pack on held-out portraits.")
    parser.add_argument("portraits", type=Path, help="folder of portraits as JPEG files, one person each")
    parser.add_argument("--pack", type=Path, default=BUNDLED_PACK)
    options = parser.parse_args()
    pack, tracker, paths = ModelPack.load(options.pack), face_tracker(), portraits_of(options.portraits, held_out=True)
    pairs = []
    terminal = TerminalHost()
    with host.use(terminal), terminal.progress(len(paths), "round trips") as progress:
        for path in paths:
            try:
                trip = round_trip(read_image(path), np.random.default_rng([seed_of(path), 0]), tracker)
            except InputError as problem:
                print(f"{path.name}: {problem}")
            else:
                pairs.append(errors(pack, trip))
            progress.update()
    render, drawn = torch.tensor(pairs).T
    better = int((drawn < render).sum())
    left, median = float(drawn.sum() / render.sum()), float((drawn / render).median())
    print(f"{len(pairs)} portraits: {left:.3f} of the render's error left, {median:.3f} in the median portrait;")
    print(f"{better} are better than the render")


if __name__ == "__main__":
    main()
