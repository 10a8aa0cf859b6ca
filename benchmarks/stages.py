"""Seconds per frame of each stage with the bundled pack: `python benchmarks/stages.py --threads 2`."""

from __future__ import annotations

import argparse
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
from mimaface.mimaface_core.appearance.frames import encode_appearance
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.face.follow import clip_landmarks, filled, still_landmarks
from mimaface.mimaface_core.face.paste import Paster
from mimaface.mimaface_core.media.read import Clip, read_image
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.morphable.bundled.groups import modes_of
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.motion.smooth import smooth
from mimaface.mimaface_core.packs.pack import find_pack
from mimaface.nodes.render_motion import renders

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
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds[stage] += time.perf_counter() - start

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


def measure(source_path: Path, driver_path: Path, count: int, pack_name: str, folder: Path) -> tuple[Clock, int]:
    """Animate `count` frames stage by stage; the clock and how many frames there were."""
    clock, pack, tracker = Clock(), find_pack(pack_name), face_tracker(host.current().models_folders())
    picture = read_image(source_path)
    measurer = pack.measurer()
    source, _ = measurer.still(picture, still_landmarks(picture, tracker))
    driver = Clip.open(driver_path)
    pictures = list(islice(driver, count))
    # once for nothing, so that loading models does not count
    clip_landmarks(pictures[:2], tracker)
    unet, latents, appearance = pack.unet, pack.latents, pack.appearance
    surroundings = host.current()

    with clock("track"):
        landmarks = clip_landmarks(pictures, tracker)
    with clock("fit"):
        clip, seen = measurer.clip(), [points is not None for points in landmarks]
        for frame, points in zip(pictures, landmarks, strict=True):
            if points is not None:
                clip.see(frame, points)
        driven = filled(clip.track(driver.fps), seen)
        modes = modes_of(pack.basis)
        steady = smooth(driven, 0.7, 0.5, 0.5, modes.quick)
        motion = retarget(steady, source.track, opening=modes.opening, lid_modes=modes.lids)

    latents.encode = clock.function("encode", latents.encode)
    latents.to_frames = clock.function("decode", latents.to_frames)
    unet.forward = clock.function("denoise", unet.forward)
    with surroundings.load(unet), surroundings.load(pack.vae), surroundings.load(appearance):
        with clock("appearance"):
            look = encode_appearance(appearance, source.crop, source.track.alignment, motion, pack.averaged)
        clips = sample_clips(
            pack,
            clock.iterator("render", renders(pack, source, motion, pack.render)),
            clock.function("appearance", look.context),
            len(motion),
            frames=pack.clip_frames,
            overlap=pack.overlap,
            steps=pack.sampling["steps"],
            guidance=pack.sampling["guidance"],
            scheduler=pack.sampling["scheduler"],
        )
        frames = torch.cat([(clip + 1) / 2 for clip in clips])

    with clock("paste"):
        paster = Paster(source)
        pasted = torch.cat([paster(part) for part in frames.split(4)])
    with clock("write"), VideoWriter(folder / "film.mp4", motion.fps) as film:
        for frame in (pasted * 255).round().byte():
            film.write(frame)
    return clock, len(motion)


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds per frame of each stage.")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--pack", default="bundled")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        source = options.source or portrait(Path(folder))
        clock, frames = measure(source, options.driver, options.frames, options.pack, Path(folder))
    device = host.current().device
    print(f"{frames} frames, {options.threads} threads, {device}, torch {torch.__version__}\n")
    print("| stage | s per frame | |\n| --- | ---: | --- |")
    for stage, what in STAGES.items():
        print(f"| {stage} | {clock.seconds[stage] / frames:.3f} | {what} |")
    print(f"| all | {sum(clock.seconds.values()) / frames:.3f} | |")


if __name__ == "__main__":
    main()
