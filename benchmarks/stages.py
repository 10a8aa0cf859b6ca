"""Seconds per frame of each stage with the bundled pack: `python benchmarks/stages.py --threads 2 --rounds 3`.

Beside the time that passes stands that of the processor, which other work on the machine changes less. Stages follow
one another here, as where memory is low, so that each is timed apart; otherwise they overlap (`benchmarks/bundled.py`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch

from mimaface.cli.demo import DRIVER, portrait
from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.drawing import encode, paste_back, render, write_video
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.follow import clip_landmarks
from mimaface.mimaface_core.face.lost import filled
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.pipeline import load_pack, measure, retarget, smooth

STAGES = {
    "track": "landmarks of the driver",
    "fit": "face model, smoothing, retargeting",
    "render": "the photograph on the face model",
    "appearance": "what the source looks like, per frame",
    "encode": "renders to latents",
    "denoise": "the motion U-Net, all steps",
    "decode": "latents to frames",
    "paste": "into the full picture",
    "write": "mp4",
}


class Clock:
    """Adds up the seconds of each stage, and those of the processor."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.processor: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start, begin = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds[stage] += time.perf_counter() - start
            self.processor[stage] += time.process_time() - begin

    def function(self, stage: str, work: Callable) -> Callable:
        """`work`, timed."""

        def timed(*arguments, **named):
            with self(stage):
                return work(*arguments, **named)

        return timed

    def iterator(self, stage: str, items: Iterable) -> Iterator:
        """`items`, the making of each timed."""
        source = iter(items)
        while True:
            with self(stage):
                item = next(source, None)
            if item is None:
                return
            yield item


def timed(source_path: Path, driver_path: Path, count: int, pack_name: str, folder: Path) -> tuple[Clock, int]:
    """Animate `count` frames stage by stage; the clock and how many frames there were."""
    clock, pack, tracker = Clock(), load_pack(pack_name), face_tracker()
    source, _ = measure(pack, source_path, tracker=tracker)
    driver = Frames.open(driver_path)
    images = list(islice(driver, count))
    # once for nothing, so that loading models does not count
    clip_landmarks(images[:2], tracker)
    unet, latents, encoder = pack.unet, pack.latents, pack.appearance

    with clock("track"):
        landmarks = clip_landmarks(images, tracker)
    with clock("fit"):
        clip, visible = pack.measurer().clip(), [points is not None for points in landmarks]
        for frame, points in zip(images, landmarks, strict=True):
            if points is not None:
                clip.add(frame, points)
        driven = filled(clip.track(driver.fps), visible)
        motion = retarget(smooth(driven, pose=0.7, expression=0.5, gaze=0.5), source)

    latents.encode = clock.function("encode", latents.encode)
    latents.to_frames = clock.function("decode", latents.to_frames)
    unet.forward = clock.function("denoise", unet.forward)
    current = host.current()
    with current.load(unet), current.load(pack.vae), current.load(encoder):
        with clock("appearance"):
            appearance = encode(pack, source, motion)
        clips = sample_clips(
            pack,
            clock.iterator("render", render(pack, source, motion)),
            clock.function("appearance", appearance.context),
            len(motion),
            SamplerSettings.of(pack),
        )
        frames = torch.cat([(clip.permute(0, 2, 3, 1) + 1) / 2 for clip in clips])

    with clock("paste"):
        pasted = torch.cat(list(paste_back(source, [frames])))
    with clock("write"):
        write_video(folder / "video.mp4", pasted, motion.fps)
    return clock, len(motion)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds per frame of each stage.")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--pack", default="bundled")
    parser.add_argument("--rounds", type=int, default=3, help="of which medians are printed")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder, host.use(host.Host(low_memory=True)):
        source = options.source or portrait(Path(folder))
        arguments = (source, options.driver, options.frames, options.pack, Path(folder))
        rounds = [timed(*arguments) for _ in range(options.rounds)]
    device = host.current().device
    print(f"{rounds[0][1]} frames, {options.threads} threads, {device}, torch {torch.__version__}\n")
    print("| stage | s per frame | range | processor, s per frame | |\n| --- | ---: | ---: | ---: | --- |")
    for stage, what in {**STAGES, "all": ""}.items():
        stages = STAGES if stage == "all" else (stage,)
        wall = [sum(clock.seconds[of] for of in stages) / frames for clock, frames in rounds]
        own = [sum(clock.processor[of] for of in stages) / frames for clock, frames in rounds]
        spread = f"{min(wall):.3f}–{max(wall):.3f}"
        print(f"| {stage} | {statistics.median(wall):.3f} | {spread} | {statistics.median(own):.3f} | {what} |")
    if options.json:
        results = [{"seconds": clock.seconds, "processor": clock.processor, "frames": count} for clock, count in rounds]
        options.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
