"""The bundled implicit pack against the bundled MIMAFace pack of an older commit, in alternating runs.

`python benchmarks/versions.py --rounds 3 --json versions.json`. Both draw the same photograph by the same clip; what
is timed is the way from motion to frames in memory, after a warm-up, each time in a process of its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from mimaface.cli.demo import DRIVER, portrait

ROOT = Path(__file__).resolve().parents[1]
OLD_COMMIT = "ec9f5ff"  # of 20 November
TARGETS = {"frames of 512 pixels": 8, "frames of the generator's own size": 16}  # times the older pack's
VOICE_TARGET = 10  # times real time

COMMON = """
import json, sys, time, torch
from itertools import islice
from pathlib import Path
source, driver, count, threads = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.set_grad_enabled(False)

def timed(work):
    start = time.perf_counter()
    frames = work()
    return frames / (time.perf_counter() - start)
"""
OLD = (
    COMMON
    + """
from mimaface.mimaface_core import host
from mimaface.mimaface_core.appearance.frames import encode_appearance
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.track import clip_landmarks, filled, still_landmarks
from mimaface.mimaface_core.media.read import Clip, read_picture
from mimaface.mimaface_core.morphable.modes import modes_of
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.packs.pack import find_pack
from mimaface.nodes.render_motion import renders

pack, tracker = find_pack("bundled"), face_tracker()
picture = read_picture(source)
measurer = pack.measurer()
person, _ = measurer.still(picture, still_landmarks(picture, tracker))
film = Clip.open(driver)
pictures = list(islice(film, count))
landmarks = clip_landmarks(pictures, tracker)
clip, seen = measurer.clip(), [points is not None for points in landmarks]
for frame, points in zip(pictures, landmarks):
    if points is not None:
        clip.see(frame, points)
modes = modes_of(pack.basis)
motion = retarget(filled(clip.track(film.fps), seen), person.track, opening=modes.opening, lid_modes=modes.lids)

def animate(motion):
    look = encode_appearance(pack.appearance, person.crop, person.track.alignment, motion, pack.averaged)
    clips = sample_clips(
        pack, renders(pack, person, motion, pack.render), look.context, len(motion), frames=pack.clip_frames,
        overlap=pack.overlap, steps=pack.sampling["steps"], guidance=pack.sampling["guidance"],
        scheduler=pack.sampling["scheduler"],
    )
    return sum(len(clip) for clip in clips)

animate(motion[:pack.clip_frames])
print(json.dumps({"older pack": timed(lambda: animate(motion))}))
"""
)
NEW = (
    COMMON
    + """
from mimaface.mimaface_core import implicit_pipeline as implicit
from mimaface.mimaface_core.implicit.render import render_motion
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.media.frames import Frames

pack = implicit.load_implicit(sys.argv[5])
person = implicit.encode_implicit(pack, source)
film = Frames.open(driver)
pictures = list(islice(film, count))
motion = implicit.drive_implicit(pack, Frames(pictures, len(pictures), film.fps))

def whole(motion):
    return sum(len(frames) for frames in implicit.render_implicit(pack, person, motion))

def own(motion):
    return sum(len(frames) for frames in render_motion(pack.generator, person.encoded, motion, "relative"))

whole(motion[:8]), own(motion[:8])
result = {"frames of 512 pixels": timed(lambda: whole(motion))}
result["frames of the generator's own size"] = timed(lambda: own(motion))
if pack.manifest.transformer is not None:
    when = torch.arange(20 * 16000) / 16000
    voice = Audio(0.3 * torch.randn(1, len(when)) * torch.sin(12 * when).clamp(min=0), 16000)
    short = Audio(voice.waveform[:, :48000], 16000)
    list(implicit.speak_implicit(pack, person, short))
    result["voice, times real time"] = timed(lambda: 20 if list(implicit.speak_implicit(pack, person, voice)) else 0)
print(json.dumps(result))
"""
)


def unpacked(commit: str, folder: Path) -> Path:
    """The project as it was at a commit, importable as `mimaface` from the folder that comes back."""
    files = subprocess.run(["git", "-C", ROOT, "archive", commit], stdout=subprocess.PIPE, check=True).stdout
    place = folder / commit
    with tarfile.open(fileobj=io.BytesIO(files)) as archive:
        archive.extractall(place / "mimaface", filter="data")
    return place


def run(script: str, importable: Path, arguments: list[object], loaded: int) -> dict[str, float]:
    """What a script prints last, beside `loaded` other busy processes."""
    environment = {**os.environ, "PYTHONPATH": str(importable), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, "-c", script, *map(str, arguments)]
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loaded)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    finally:
        for other in others:
            other.kill()
            other.wait()
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description="The bundled implicit pack against an older bundled pack.")
    parser.add_argument("--pack", default="bundled-implicit", help="an implicit pack's name or folder")
    parser.add_argument("--old", default=OLD_COMMIT, help="the older commit")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--neighbours", type=int, default=0, help="busy processes beside each run")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = options.source or portrait(folder)
        old, new = unpacked(options.old, folder), folder / "new"
        new.mkdir()
        (new / "mimaface").symlink_to(ROOT, target_is_directory=True)
        arguments = [source, options.driver, options.frames, options.threads, options.pack]
        for number in range(options.rounds):
            for script, place in ((OLD, old), (NEW, new)):
                for what, rate in run(script, place, arguments, options.neighbours).items():
                    rates.setdefault(what, []).append(rate)
                    print(f"round {number + 1}: {what}: {rate:.2f}", file=sys.stderr, flush=True)
    older = statistics.median(rates["older pack"])
    print(f"{options.frames} frames, {options.threads} threads, {options.rounds} rounds, against {options.old}\n")
    print("| what | median | range | times | to reach |\n| --- | ---: | ---: | ---: | ---: |")
    for what, values in rates.items():
        median, times = statistics.median(values), ""
        if what in TARGETS:
            times = f"{median / older:.1f}"
        target = TARGETS.get(what, VOICE_TARGET if what.startswith("voice") else "")
        print(f"| {what} | {median:.2f} | {min(values):.2f}–{max(values):.2f} | {times} | {target} |")
    if options.json:
        options.json.write_text(json.dumps({"old": options.old, "threads": options.threads, "rates": rates}, indent=1))


if __name__ == "__main__":
    main()
