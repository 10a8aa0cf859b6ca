"""Peak memory of the whole way for a short and a long clip: `python benchmarks/memory.py --frames 100 2000`."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import chain, islice
from pathlib import Path

from mimaface.cli.demo import DRIVER, GRAPH, portrait
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter

# the command, which then says how large it has been, in MB
CHILD = """
import resource, sys, torch
from mimaface.mimaface_core import cli
torch.set_num_threads(int(sys.argv[1]))
status = cli.main(sys.argv[2:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024))
sys.exit(status)
"""


def looped(clip: Path, frames: int, path: Path) -> Path:
    """A film of `frames` frames: the clip forwards and backwards, again and again."""
    driver = Clip.open(clip)
    once = list(driver)
    turn = once + once[-2:0:-1]
    endless = chain.from_iterable(iter(lambda: turn, None))
    with VideoWriter(path, driver.fps, "mp4") as film:
        for frame in islice(endless, frames):
            film.write(frame)
    return film.path


def peak(source: Path, driver: Path, folder: Path, threads: int, pack: str) -> tuple[float, float]:
    """Peak resident memory in MB of animating `source` by `driver` with one denoising step, and the seconds it took."""
    command = [sys.executable, "-c", CHILD, str(threads), "run", GRAPH, "--output-dir", str(folder)]
    command += ["--input", f"source={source}", "--input", f"driver={driver}"]
    command += ["--set", "sampler.steps=1", "--set", f"pack.pack={pack}"]
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1]), time.monotonic() - start


def main() -> None:
    parser = argparse.ArgumentParser(description="Peak resident memory for clips of several lengths (Linux, macOS).")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="the clip that is looped (the demo's)")
    parser.add_argument("--frames", type=int, nargs="+", default=[100, 2000])
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="CPU threads of PyTorch")
    parser.add_argument("--pack", default="bundled")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or portrait(Path(folder))
        for frames in options.frames:
            driver = looped(options.driver, frames, Path(folder, f"{frames}.mp4"))
            rows.append((frames, *peak(source, driver, Path(folder, str(frames)), options.threads, options.pack)))
    print("| frames | peak memory, MB | seconds |\n| ---: | ---: | ---: |")
    for frames, size, seconds in rows:
        print(f"| {frames} | {size:.0f} | {seconds:.0f} |")


if __name__ == "__main__":
    main()
