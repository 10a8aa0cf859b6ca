"""Seconds until the first picture of a reenactment is seen, for drivers of any length, in a program that is warm.

`python benchmarks/first.py --frames 48 80 400`. The clock runs from the clip to the preview of the first render, and to
the first drawn frames; networks are known. So is the photograph, as when a graph is queued again with another driver;
with `--new-photograph` it is found and measured, but was never drawn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any

import torch
from measuring import name

from mimaface.cli.demo import DRIVER, portrait
from mimaface.mimaface_core import host
from mimaface.mimaface_core.drawing import animate
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.packs.pack import ModelPack
from mimaface.mimaface_core.pipeline import load_pack, measure, measure_stream, retarget, smooth

TARGET = 3.0  # seconds to the first picture


class Watched(host.Host):
    """A host whose previews are looked at; it notes when the first one came."""

    previews = True

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0.0

    def show(self, progress: host.Progress, preview: Any = None) -> None:
        """Note the time of a preview."""
        if preview is not None:
            self.seen = self.seen or time.perf_counter()


def first_picture(pack: ModelPack, source: SourceFace, frames: torch.Tensor) -> tuple[float, float]:
    """Seconds to the first preview and to the first drawn frames."""
    watched = Watched()
    with host.use(watched):
        start = time.perf_counter()
        motion = retarget(smooth(measure_stream(pack, frames)[1]), source)
        next(iter(animate(pack, source, motion)))
        return watched.seen - start, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", nargs="+", type=int, default=[48, 80, 400])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--new-photograph", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        photograph = portrait(Path(folder))
        print_table(photograph, options)


def print_table(photograph: Path, options: argparse.Namespace) -> None:
    """Measure and tell."""
    pack, clip = load_pack(), list(Clip.open(DRIVER))
    there_and_back = cycle(chain(clip, clip[-2:0:-1]))
    longest = torch.stack([torch.as_tensor(frame) for frame in islice(there_and_back, max(options.frames))])
    source, _ = measure(pack, photograph)
    first_picture(pack, source, longest[:24])
    print(f"{name(torch.device('cpu'))}; at most {TARGET:g} s are wanted\n")
    print("| frames of the driver | first picture (the render), s | first drawn frames, s |\n| ---: | ---: | ---: |")
    rows = {}
    for count in options.frames:
        people = [measure(pack, photograph)[0] if options.new_photograph else source for _ in range(options.rounds)]
        taken = [first_picture(pack, person, longest[:count]) for person in people]
        rows[count] = [statistics.median(times) for times in zip(*taken, strict=True)]
        print(f"| {count} | {rows[count][0]:.1f} | {rows[count][1]:.1f} |", flush=True)
    if options.json:
        options.json.write_text(json.dumps({"device": name(torch.device("cpu")), "frames": rows}, indent=1))


if __name__ == "__main__":
    main()
