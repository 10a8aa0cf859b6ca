"""Seconds and peak memory of each stage with a pack of the published layout, in several precisions.

`python benchmarks/released.py models/mimaface/released --frames 4 --steps 2 --dtypes float32 bfloat16`; on a GPU leave
frames and steps as they are.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from stages import Clock

from mimaface.cli.demo import DRIVER, portrait
from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.drawing import encode, render
from mimaface.mimaface_core.face.detect import face_tracker
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.motion.retarget import RELEASED
from mimaface.mimaface_core.packs.find import find_pack
from mimaface.mimaface_core.pipeline import measure, retarget

STAGES = {
    "load": "all parts, from safetensors",
    "measure": "landmarks, crops and D3DFR, source and driver",
    "appearance": "CLIP, CurricularFace, the post-fuse module",
    "render": "the face model in the driver's crop",
    "encode": "renders to latents",
    "denoise": "the U-Net, both halves of guidance, all steps",
    "decode": "latents to frames",
}


class Gauge(Clock):
    """A clock that also notes the peak memory at the end of each stage, in MB."""

    def __init__(self) -> None:
        super().__init__()
        self.peaks: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        with super().__call__(stage):
            yield
        self.peaks[stage] = peak()


def peak() -> float:
    """The most memory so far in MB: of the GPU where there is one, else of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e6 / 1024)


def run(options: argparse.Namespace, folder: Path) -> tuple[Gauge, torch.Tensor]:
    """Animate stage by stage; the gauge and the frames [N, 3, 512, 512] in ±1."""
    gauge, pack = Gauge(), find_pack(options.pack)
    source = options.source or portrait(folder)
    clip = Clip.open(options.driver)
    driver = list(islice(clip, options.frames))
    stage, tracker = pack.stage(len(driver)), face_tracker()
    current = host.current()

    def first(name: str, get: Callable[[], torch.nn.Module]) -> torch.nn.Module:
        """A part, loaded on the clock and put on the device."""
        start = time.perf_counter()
        with gauge("load"):
            module = get()
            with current.load(module):
                print(f"{name}: {time.perf_counter() - start:.1f} s", file=sys.stderr)
        return module

    first("regressor", lambda: pack.regressor)
    with gauge("measure"):
        person, _ = measure(pack, source, tracker=tracker)
        _, driven = measure(pack, Frames(driver, len(driver), clip.fps), tracker=tracker)
        motion = retarget(driven, person, RELEASED)
    first("appearance", lambda: stage.appearance)
    with gauge("appearance"):
        look = encode(pack, person, motion)
    unet, vae = first("unet", lambda: stage.unet), first("vae", lambda: pack.vae)
    latents = pack.latents
    latents.encode = gauge.function("encode", latents.encode)
    latents.to_frames = gauge.function("decode", latents.to_frames)
    unet.forward = gauge.function("denoise", unet.forward)
    with current.load(unet), current.load(vae):
        clips = sample_clips(
            stage,
            gauge.iterator("render", render(pack, person, motion)),
            gauge.function("appearance", look.context),
            len(motion),
            SamplerSettings.of(
                pack,
                frames=min(pack.clip_frames, len(motion)),
                overlap=pack.overlap if len(motion) > pack.overlap else 0,
                steps=options.steps,
            ),
        )
        frames = torch.cat(list(clips))
    return gauge, frames


def child(options: argparse.Namespace, dtype: str) -> None:
    """One precision in its own process: frames into a file, numbers as the last line."""
    chosen = host.Host(dtype=getattr(torch, dtype), low_memory=options.low_memory)
    with host.use(chosen), tempfile.TemporaryDirectory() as folder:
        gauge, frames = run(options, Path(folder))
    save_file({"frames": frames.contiguous()}, options.frames_file)
    finite = bool(torch.isfinite(frames).all())
    print(json.dumps({"seconds": gauge.seconds, "peaks": gauge.peaks, "peak": peak(), "finite": finite}))


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds and peak memory with the published layout.")
    parser.add_argument("pack", help="a converted pack's name or folder")
    parser.add_argument("--source", type=Path, help="a photograph (the NASA portrait)")
    parser.add_argument("--driver", type=Path, default=DRIVER, help="a clip (the demo's)")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument(
        "--dtypes",
        nargs="+",
        default=["float32", "float16", "bfloat16"],
        help="the first one is what others are compared with; float16 is very slow without a GPU",
    )
    parser.add_argument("--low-memory", action="store_true")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch")
    parser.add_argument("--frames-file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.frames_file:
        child(options, options.dtypes[0])
        return

    results, reference = {}, None
    with tempfile.TemporaryDirectory() as folder:
        for dtype in options.dtypes:
            file = Path(folder, f"{dtype}.safetensors")
            own = [sys.executable, __file__, *sys.argv[1:], "--dtypes", dtype, "--frames-file", str(file)]
            done = subprocess.run(own, stdout=subprocess.PIPE, text=True, check=True)
            results[dtype] = json.loads(done.stdout.splitlines()[-1])
            frames = load_file(file)["frames"]
            reference = frames if reference is None else reference
            results[dtype]["apart"] = float((frames - reference).abs().mean() * 127.5)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{options.threads} CPU threads"
    print(f"{options.frames} frames, {options.steps} steps, {device}, torch {torch.__version__}\n")
    print(f"| stage | {' | '.join(f'{d}, s | MB' for d in results)} | |\n| --- |{' ---: |' * 2 * len(results)} --- |")
    for name, what in STAGES.items():
        cells = [f"{r['seconds'].get(name, 0):.1f} | {r['peaks'].get(name, 0):.0f}" for r in results.values()]
        print(f"| {name} | {' | '.join(cells)} | {what} |")
    for dtype, result in results.items():
        print(
            f"\n{dtype}: {sum(result['seconds'].values()):.0f} s, peak {result['peak']:.0f} MB, "
            f"{'finite' if result['finite'] else 'NOT FINITE'}, {result['apart']:.2f} of 255 levels"
            f" from {options.dtypes[0]}"
        )


if __name__ == "__main__":
    main()
