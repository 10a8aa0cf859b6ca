"""LivePortrait's networks against our packs from files to a file, in alternating runs on the same cores.

`python benchmarks/peer.py --liveportrait DIR --json peer.json`, DIR a copy of https://github.com/KwaiVGI/LivePortrait;
without it only ours is measured. The peer's networks have random weights, on which speed does not depend, and are
timed alone: nothing is detected, cropped, pasted or written. Ours does all of that, after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from mimaface.benchmarks.bundled import IMPLICIT, NEW
from mimaface.benchmarks.versions import ROOT, run
from mimaface.cli.demo import DRIVER, portrait

TARGET = 80  # times as fast as the peer's networks
MODULES = Path("src", "modules")  # of the peer
FRAME = ("motion extractor", "warping", "generator")  # what the peer does for every frame

PEER = """
import json, statistics, sys, time, torch, yaml
from contextlib import nullcontext
from pathlib import Path
from src.modules.appearance_feature_extractor import AppearanceFeatureExtractor
from src.modules.motion_extractor import MotionExtractor
from src.modules.spade_generator import SPADEDecoder
from src.modules.warping_network import WarpingNetwork

count, threads, dtype, settings = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
torch.set_num_threads(threads)
torch.set_grad_enabled(False)
torch.set_flush_denormal(True)  # numbers near zero, which trained weights do not give
torch.manual_seed(0)
sizes = yaml.safe_load(settings.read_text())["model_params"]
appearance = AppearanceFeatureExtractor(**sizes["appearance_feature_extractor_params"]).eval()
motion = MotionExtractor(**sizes["motion_extractor_params"]).eval()
warping = WarpingNetwork(**sizes["warping_module_params"]).eval()
generator = SPADEDecoder(**sizes["spade_generator_params"]).eval()
picture = torch.rand(1, 3, 256, 256)
points, driven = (torch.rand(1, sizes["motion_extractor_params"]["num_kp"], 3) - 0.5 for _ in range(2))
times = {"appearance encoder": [], "motion extractor": [], "warping": [], "generator": []}

def timed(name, work):
    start, begin = time.perf_counter(), time.process_time()
    result = work()
    times[name].append([time.perf_counter() - start, time.process_time() - begin])
    return result

with nullcontext() if dtype == "float32" else torch.autocast("cpu", getattr(torch, dtype)):
    for _ in range(count + 1):
        features = timed("appearance encoder", lambda: appearance(picture))
        timed("motion extractor", lambda: motion(picture))
        warped = timed("warping", lambda: warping(features, kp_driving=driven, kp_source=points)["out"])
        image = timed("generator", lambda: generator(warped))
assert image.shape == (1, 3, 512, 512) and image.isfinite().all(), image.shape
print(json.dumps({name: [statistics.median(t) for t in zip(*rows[1:])] for name, rows in times.items()}))
"""
RUN = """
whole(13)
timed("whole", lambda: whole(count))
print(json.dumps(result))
"""
OURS = {"bundled": NEW, "bundled-implicit": IMPLICIT}


Figures = dict[
    str, dict[str, list[list[float]]]
]  # of a contender's parts, each round's seconds and CPU seconds a frame


def measure(options: argparse.Namespace, folder: Path) -> Figures:
    """Run the contenders in turn."""
    new, video = folder / "new", folder / "video.mp4"
    new.mkdir()
    (new / "mimaface").symlink_to(ROOT, target_is_directory=True)
    source = options.source or portrait(folder)
    figures: Figures = {}

    def note(who: str, what: str, seconds: list[float]) -> None:
        figures.setdefault(who, {}).setdefault(what, []).append(seconds)
        print(f"{who}: {what}: {seconds[0]:.3f} s ({seconds[1]:.3f} CPU)", file=sys.stderr, flush=True)

    for _ in range(options.rounds):
        for name, script in OURS.items():
            arguments = [source, options.driver, options.frames, options.threads, video, name]
            note(name, "whole", run(script + RUN, new, arguments, 0)["whole"])
        for dtype in options.dtypes if options.liveportrait else ():
            settings = options.liveportrait.resolve() / "src" / "config" / "models.yaml"
            arguments = [options.peer_frames, options.threads, dtype, settings]
            parts = run(PEER, options.liveportrait.resolve(), arguments, 0)
            for what, seconds in parts.items():
                note(f"LivePortrait, {dtype}", what, seconds)
            frame = [sum(parts[what][k] for what in FRAME) for k in (0, 1)]
            note(f"LivePortrait, {dtype}", "whole", frame)
    return figures


def ratio(peer: list[list[float]], own: list[list[float]], clock: int) -> float:
    """The median over the rounds."""
    return statistics.median(old[clock] / new[clock] for old, new in zip(peer, own, strict=True))


def report(figures: Figures) -> None:
    """Print medians with their ranges, and how many times as long as ours the peer takes, in CPU seconds, too."""
    ours = {who: parts["whole"] for who, parts in figures.items() if who in OURS}
    print(f"| s a frame | median | range | CPU | {' | '.join(f'times {who} (CPU)' for who in ours)} |")
    print("| --- | ---: | ---: | ---: |" + " ---: |" * len(ours))
    for who, parts in figures.items():
        for what, values in parts.items():
            times = ["" for _ in ours]
            if what == "whole" and who not in ours:
                times = [f"{ratio(values, own, 0):.0f} ({ratio(values, own, 1):.0f})" for own in ours.values()]
            once = " (once a source)" if what == "appearance encoder" else ""
            wall, cpu = zip(*values, strict=True)
            spread = f"{statistics.median(wall):.3f} | {min(wall):.3f}–{max(wall):.3f} | {statistics.median(cpu):.3f}"
            print(f"| {who}: {what}{once} | {spread} | {' | '.join(times)} |")
    if set(figures) == set(ours):
        print("\nLivePortrait was skipped: give --liveportrait, a folder with a copy of its repository.")
    else:
        print(f"\nThe peer is to take at least {TARGET} times as long.")


def main() -> None:
    parser = argparse.ArgumentParser(description="LivePortrait's networks against our packs on the same cores.")
    parser.add_argument("--liveportrait", type=Path, help="a copy of the peer's repository; it is skipped without")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--peer-frames", type=int, default=2, help="of the peer, after one for nothing")
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "bfloat16"], help="of the peer: plain, or by autocast"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    if options.liveportrait and not (options.liveportrait / MODULES).is_dir():
        parser.error(f"{options.liveportrait} has no {MODULES}: give a copy of LivePortrait's repository")
    with tempfile.TemporaryDirectory() as name:
        figures = measure(options, Path(name))
    if options.json:
        options.json.write_text(json.dumps({"threads": options.threads, "s a frame": figures}, indent=1))
    report(figures)


if __name__ == "__main__":
    main()
