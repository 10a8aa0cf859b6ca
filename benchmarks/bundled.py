"""The bundled pack against an older commit's, in alternating runs: the render alone, and from files to a file.

`python benchmarks/bundled.py --rounds 3 --json bundled.json`. Both animate the same photograph by the same clip, after
a warm-up, each time in a process of its own; a frame's seconds and CPU seconds are printed, and those of the newer one
beside busy neighbours. With `--frames 12 1200` and `--old ""` it shows how cost and memory grow with the length.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

from mimaface.benchmarks.versions import OLD_COMMIT, ROOT, run, unpacked
from mimaface.cli.demo import DRIVER, portrait

TARGETS = {"render": 8, "whole": 4}  # times as fast as the older commit
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
NEW = (
    COMMON
    + """
from mimaface.mimaface_core import drawing, pipeline
from mimaface.mimaface_core.media.frames import Frames

pack = pipeline.load_pack("bundled")
person, _ = pipeline.measure(pack, source)

class Repeated:
    def __init__(self, count):
        self.count = count
    def __iter__(self):
        return islice(cycle(Frames.open(driver)), self.count)

def follow(count):
    _, driven = pipeline.measure(pack, Frames(Repeated(count), count, Frames.open(driver).fps))
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
RUN = """
whole(13)
motion = follow(count)
timed("render", lambda: render(motion))
timed("whole", lambda: whole(count))
result["megabytes"] = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024] * 2
print(json.dumps(result))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="The bundled pack against an older commit's.")
    parser.add_argument("--old", default=OLD_COMMIT, help="the older commit; none when empty")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, nargs="+", default=[48])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--neighbours", type=int, default=2, help="busy processes beside the last runs")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    figures: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, new = options.source or portrait(folder), folder / "new"
        new.mkdir()
        (new / "mimaface").symlink_to(ROOT, target_is_directory=True)
        runs = [(f"new, {count} frames", NEW, new, count, 0) for count in options.frames]
        if options.old:
            runs.insert(0, ("old", OLD, unpacked(options.old, folder), options.frames[0], 0))
        if options.neighbours:
            beside = f"new, {options.frames[0]} frames, {options.neighbours} neighbours"
            runs.append((beside, NEW, new, options.frames[0], options.neighbours))
        for _ in range(options.rounds):
            for label, script, place, count, loaded in runs:
                arguments = [source, options.driver, count, options.threads, folder / "video.mp4"]
                for what, values in run(script + RUN, place, arguments, loaded).items():
                    figures.setdefault(f"{label}: {what}", []).append(values)
                    print(f"{label}: {what}: {values[0]:.3f} ({values[1]:.3f} CPU)", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps({"old": options.old, "threads": options.threads, "s a frame": figures}))
    report(figures)


def report(figures: dict[str, list[list[float]]]) -> None:
    """Print medians with their ranges, and how many times as fast as the older commit."""
    print("| what | s a frame | range | CPU s a frame | times | times in CPU | to reach |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, values in figures.items():
        wall, cpu = ([pair[k] for pair in values] for k in (0, 1))
        what, times = name.rsplit(": ", 1)[1], ["", ""]
        older = figures.get(f"old: {what}")
        if older is not None and name.startswith("new") and "neighbours" not in name and what in TARGETS:
            times = [f"{statistics.median(o[k] / n[k] for o, n in zip(older, values)):.1f}" for k in (0, 1)]
        line = f"| {name} | {statistics.median(wall):.3f} | {min(wall):.3f}–{max(wall):.3f}"
        print(f"{line} | {statistics.median(cpu):.3f} | {times[0]} | {times[1]} | {TARGETS.get(what, '')} |")
    print(f"\nBeside two busy neighbours at least {SHARE_BESIDE_TWO:.0%} of the rate without them is to be reached.")


if __name__ == "__main__":
    main()
