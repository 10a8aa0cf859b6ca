"""The bundled pack against an older commit's, in alternating runs: the render alone, and from files to a file.

`python benchmarks/bundled.py --rounds 3 --json bundled.json`. Both animate the same photograph by the same clip, after
a warm-up, each time in a process of its own; a frame's seconds and CPU seconds are printed, and those of the newer one
beside busy neighbours. With `--old "" --frames 48 12 1200 --threads 2 1 --sizes 256 512 768 --plot cost.png` it shows
how cost and memory change with length and threads, each alone: the first of each is what the others have. `bundled`
draws at 512 pixels whatever its manifest says; sizes are those of copies of `bundled-implicit` with another one.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mimaface.benchmarks.versions import OLD_COMMIT, ROOT, run, unpacked
from mimaface.cli.demo import DRIVER, portrait
from mimaface.mimaface_core.packs.implicit_pack import BUNDLED_IMPLICIT

TARGETS = {"render": 8, "whole": 4}  # times as fast as the older commit
SIZE = 512  # pixels, side of the crop that the bundled pack draws
SHARE_BESIDE_TWO = 0.4  # of the rate without neighbours

COMMON = """
import json, resource, sys, time, torch
from itertools import cycle, islice
from pathlib import Path
source, driver, target = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[5]
count, threads = int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.set_grad_enabled(False)
result = {}

def timed(name, work):
    start, begin = time.perf_counter(), time.process_time()
    work()
    result[name] = [(time.perf_counter() - start) / count, (time.process_time() - begin) / count]
"""
OLD = (
    COMMON
    + """
from fractions import Fraction
from mimaface.mimaface_core.appearance.frames import encode_appearance
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.face.track import clip_landmarks, filled, still_landmarks
from mimaface.mimaface_core.media.read import Clip, read_picture
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.morphable.modes import modes_of
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.packs.pack import find_pack
from mimaface.nodes.render_motion import renders

pack, tracker = find_pack("bundled"), face_tracker()
picture = read_picture(source)
person, _ = pack.measurer().still(picture, still_landmarks(picture, tracker))
modes = modes_of(pack.basis)

def follow(count):
    film = Clip.open(driver)
    pictures = list(islice(cycle(film), count))
    clip, landmarks = pack.measurer().clip(), clip_landmarks(pictures, tracker)
    for frame, points in zip(pictures, landmarks):
        if points is not None:
            clip.see(frame, points)
    track = filled(clip.track(film.fps), [points is not None for points in landmarks])
    return retarget(track, person.track, opening=modes.opening, lid_modes=modes.lids)

def whole(count):
    motion = follow(count)
    look = encode_appearance(pack.appearance, person.crop, person.track.alignment, motion, pack.averaged)
    paste = Paster(person)
    with VideoWriter(target, motion.fps, "mp4") as writer:
        for clip in sample_clips(
            pack, renders(pack, person, motion, pack.render), look.context, len(motion), frames=pack.clip_frames,
            overlap=pack.overlap, steps=pack.sampling["steps"], guidance=pack.sampling["guidance"],
            scheduler=pack.sampling["scheduler"],
        ):
            for frame in paste((clip + 1) / 2):
                writer.write((frame.clamp(0, 1) * 255).round().byte())

def render(motion):
    for _ in renders(pack, person, motion, pack.render):
        pass
"""
)
REPEATED = (
    COMMON
    + """
from mimaface.mimaface_core.allocator import hold_freed
from mimaface.mimaface_core.media.frames import Frames
hold_freed()  # as the command does
film = Frames.open(driver)

class Repeated:
    def __init__(self, count):
        self.count = count
    def __iter__(self):
        return islice(cycle(film), self.count)
"""
)
NEW = (
    REPEATED
    + """
from mimaface.mimaface_core import drawing, pipeline

pack = pipeline.load_pack(sys.argv[6])
person, _ = pipeline.measure(pack, source)

def follow(count):
    _, driven = pipeline.measure(pack, Frames(Repeated(count), count, film.fps))
    return pipeline.retarget(driven, person)

def whole(count):
    motion = follow(count)
    pasted = drawing.paste_back(person, drawing.animate(pack, person, motion))
    drawing.write_video(target, pasted, motion.fps)

def render(motion):
    for _ in drawing.render(pack, person, motion):
        pass
"""
)
IMPLICIT = (
    REPEATED
    + """
from mimaface.mimaface_core import drawing
from mimaface.mimaface_core import implicit_pipeline as implicit

pack = implicit.load_implicit(sys.argv[6])
person = implicit.encode_implicit(pack, source)

def follow(count):
    return implicit.drive_implicit(pack, Frames(Repeated(count), count, film.fps))

def whole(count):
    motion = follow(count)
    pasted = drawing.paste_back(person, implicit.render_implicit(pack, person, motion))
    drawing.write_video(target, pasted, motion.fps)

def render(motion):
    for _ in implicit.render_implicit(pack, person, motion):
        pass
"""
)
RUN = """
whole(13)
motion = follow(count)
timed("render", lambda: render(motion))
timed("whole", lambda: whole(count))
result["megabytes"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024] * 2
print(json.dumps(result))
"""


@dataclass(frozen=True)
class Case:
    """What a process runs: which version, how many frames, side of the crop in pixels, threads, busy neighbours."""

    version: str
    frames: int
    size: int
    threads: int
    neighbours: int = 0

    @property
    def label(self) -> str:
        """The case in words."""
        words = f"{self.version}, {self.frames} frames, {self.size} px, {self.threads} threads"
        return words + (f", {self.neighbours} neighbours" if self.neighbours else "")


Figures = dict[Case, dict[str, list[list[float]]]]  # what → each round's seconds and CPU seconds a frame, or MB twice


def cases(options: argparse.Namespace) -> list[Case]:
    """The older version, the newer one, and that with one thing changed at a time."""
    new = Case("new", options.frames[0], SIZE, options.threads[0])
    found = [replace(new, version="old")] if options.old else []
    found += [new, *(replace(new, frames=count) for count in options.frames[1:])]
    found += [replace(new, version="implicit", size=size) for size in options.sizes]
    found += [replace(new, threads=count) for count in options.threads[1:]]
    return found + ([replace(new, neighbours=options.neighbours)] if options.neighbours else [])


def pack_of_size(size: int, folder: Path) -> Path:
    """A copy of the implicit pack that draws at a size."""
    copy = folder / f"bundled-implicit {size}"
    if not copy.exists():
        shutil.copytree(BUNDLED_IMPLICIT, copy)
        manifest = json.loads((copy / "manifest.json").read_text())
        (copy / "manifest.json").write_text(json.dumps(manifest | {"picture_size": size}))
    return copy


def measure(options: argparse.Namespace, folder: Path) -> Figures:
    """Run the cases in turn, round by round; what fails is said and left out."""
    source, video, new = options.source or portrait(folder), folder / "video.mp4", folder / "new"
    new.mkdir()
    (new / "mimaface").symlink_to(ROOT, target_is_directory=True)
    older = unpacked(options.old, folder) if options.old else new
    scripts = {"old": (OLD, older), "new": (NEW, new), "implicit": (IMPLICIT, new)}
    figures: Figures = {case: {} for case in cases(options)}
    for case in list(figures) * options.rounds:
        script, place = scripts[case.version]
        pack = pack_of_size(case.size, folder) if case.version == "implicit" else "bundled"
        arguments = [source, options.driver, case.frames, case.threads, video, pack]
        try:
            result = run(script + RUN, place, arguments, case.neighbours)
        except subprocess.CalledProcessError:
            print(f"{case.label}: failed, as said above", file=sys.stderr, flush=True)
            continue
        for what, values in result.items():
            figures[case].setdefault(what, []).append(values)
            print(f"{case.label}: {what}: {values[0]:.3f} ({values[1]:.3f} CPU)", file=sys.stderr, flush=True)
    return figures


def report(figures: Figures) -> None:
    """Print medians with their ranges, and how many times as fast as the older commit."""
    print("| what | s a frame | range | CPU s a frame | times | times in CPU | to reach |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for case, parts in figures.items():
        older = figures.get(replace(case, version="old"), {})
        for what, values in parts.items():
            wall, cpu = zip(*values, strict=True)
            times, target = ["", ""], ""
            if case.version == "new" and what in older and what in TARGETS:
                pairs = list(zip(older[what], values, strict=False))
                times = [f"{statistics.median(o[k] / n[k] for o, n in pairs):.1f}" for k in (0, 1)]
                target = str(TARGETS[what])
            line = f"| {case.label}: {what} | {statistics.median(wall):.3f} | {min(wall):.3f}–{max(wall):.3f}"
            print(f"{line} | {statistics.median(cpu):.3f} | {times[0]} | {times[1]} | {target} |")
    print(f"\nBeside two busy neighbours at least {SHARE_BESIDE_TWO:.0%} of the rate without them is to be reached.")


def plot(figures: Figures, path: Path) -> None:
    """Draw cost and memory against length, and the cost of every case."""
    from matplotlib.figure import Figure

    drawn = {case: parts for case, parts in figures.items() if parts}
    base = next(case for case in drawn if case.version == "new")
    lengths = sorted(
        (case for case in drawn if replace(case, frames=base.frames) == base), key=lambda case: case.frames
    )
    sheet = Figure(figsize=(13, 4), layout="constrained")
    cost, memory, every = sheet.subplots(1, 3)
    for axes, names, unit in ((cost, ("whole", "render"), "s a frame"), (memory, ("megabytes",), "peak memory, MB")):
        for name in names:
            rounds = [[values[0] for values in drawn[case][name]] for case in lengths]
            axes.plot([case.frames for case in lengths], [statistics.median(r) for r in rounds], "o-", label=name)
            axes.fill_between([case.frames for case in lengths], [*map(min, rounds)], [*map(max, rounds)], alpha=0.2)
        axes.set(xscale="log", xlabel="frames", ylabel=unit)
        axes.set_ylim(bottom=0)
        axes.set_xticks([], minor=True)
        axes.set_xticks([case.frames for case in lengths], [str(case.frames) for case in lengths])
        axes.legend()
    places = range(len(drawn))
    every.barh(places, [statistics.median(v[0] for v in parts["whole"]) for parts in drawn.values()], label="passed")
    own = [statistics.median(v[1] for v in parts["whole"]) for parts in drawn.values()]
    every.plot(own, places, "k|", markersize=12, label="of the processor")
    every.set_yticks(places, [case.label for case in drawn])
    every.set_xlabel("from files to a file, s a frame")
    every.invert_yaxis()
    every.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    sheet.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="The bundled pack against an older commit's.")
    parser.add_argument("--old", default=OLD_COMMIT, help="the older commit; none when empty")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, nargs="+", default=[48])
    parser.add_argument("--sizes", type=int, nargs="*", default=[], help="of the implicit pack's crop, in pixels")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[2], help="CPU threads of PyTorch")
    parser.add_argument("--neighbours", type=int, default=2, help="busy processes beside the last runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--plot", type=Path, help="file for a drawing of them (png, svg)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        figures = measure(options, Path(name))
    if options.json:
        rows = [{**asdict(case), "s a frame": parts} for case, parts in figures.items()]
        options.json.write_text(json.dumps({"old": options.old, "cases": rows}, indent=1))
    report(figures)
    if options.plot:
        plot(figures, options.plot)


if __name__ == "__main__":
    main()
