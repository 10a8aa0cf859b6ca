"""MIMAFace's stages on the GPU and on the CPU beside it, without trackers, video files or downloads.

`python benchmarks/gpu.py --json gpu.json`: the bundled pack, and the published sizes with weights made of keys.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from measuring import HEAD, Bench, apart, key_weights
from torch import Tensor, nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.unet import predict
from mimaface.mimaface_core.diffusion.unet_released import build_video_unet
from mimaface.mimaface_core.drawing import RENDER_BATCH, animate, encode
from mimaface.mimaface_core.face.crop import CROP_SIZE, plane_alignment
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshapes
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.render import render_shaded
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.mimaface_core.packs.released.autoencoder import CONFIG
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer

CLIP = 12  # frames
DISTANCE = -6.0  # of the made face, model units from the world's origin: it is as large as in a real crop
RELEASED_STEPS, RELEASED_GUIDANCE, RELEASED_TOKENS = 25, 5.0, 264
SCHEDULE = {"prediction_type": "v_prediction"}


def made_source() -> SourceFace:
    """A drawn face with the landmarks that a tracker would see, and its track."""
    face, coefficients = bundled_face(), FaceCoefficients.zeros(1)
    coefficients = coefficients.replace(translation=torch.tensor([[0.0, 0.0, DISTANCE]]))
    colours, mask = render_shaded(face.model, coefficients, CROP_SIZE)
    crop = (colours * mask + 0.5 * (1 - mask))[0] * 2 - 1
    points = face.model.project(face.model.vertices(coefficients))[0] * (CROP_SIZE / 256)
    pupils = []
    for part in ("right_eye", "left_eye"):
        centre = points[face.parts[part]][:24].mean(0)
        pupils += [centre + torch.tensor([x, y, 0.0]) for x, y in ((0, 0), (10, 0), (0, -10), (-10, 0), (0, 10))]
    track = MotionTrack(
        coefficients, torch.zeros(1, 4), plane_alignment(1), torch.ones(1, dtype=torch.bool), Fraction(25)
    )
    landmarks = torch.cat([points[:468], torch.stack(pupils)])
    return SourceFace((crop.permute(1, 2, 0) + 1) / 2, crop, torch.eye(3)[:2], landmarks, track)


def made_motion(source: SourceFace, count: int) -> MotionTrack:
    """The source turning, speaking and blinking."""
    track, when = source.track[[0] * count], torch.arange(count)[:, None] / 25
    expression = track.coefficients.expression.clone()
    expression[:, blendshapes("jawOpen")] = 0.3 + 0.3 * torch.sin(9 * when)
    expression[:, blendshapes("eyeBlink")] = torch.sin(3 * when).clamp(min=0) ** 8
    angles = torch.cat([0.1 * torch.sin(2 * when), 0.3 * torch.sin(1.5 * when), 0.05 * torch.sin(when)], 1)
    return track.replace(coefficients=track.coefficients.replace(expression=expression, angles=angles))


@dataclass
class Parts:
    """What `sample_clips` asks of a pack."""

    unet: nn.Module
    latents: LatentSpace
    scheduler: dict[str, Any]


def bundled(bench: Bench, source: SourceFace, motion: MotionTrack, dtype: torch.dtype) -> Tensor:
    """Each stage of the bundled pack for a clip, and `animate` as a whole; its frames."""
    pack = ModelPack.load(BUNDLED_PACK)  # afresh, since its number type changes
    current, clip = host.current(), motion[:CLIP]
    current.load(pack.unet.to(dtype)), current.load(pack.vae.to(dtype)), current.load(pack.appearance)
    where = f"bundled, {bench.device.type}: "
    least = 3 if bench.device.type == "cuda" else 1
    drawn = ReprojectionRenderer(pack.face, source.crop, source.landmarks, source.track, bench.device)

    def analyse() -> object:
        return ReprojectionRenderer(pack.face, source.crop, source.landmarks, source.track, bench.device)

    def draw() -> Tensor:
        return torch.cat([drawn.draw(clip[start : start + RENDER_BATCH]) for start in range(0, CLIP, RENDER_BATCH)])

    bench.measure(where + "analyse the photograph", analyse, torch.float32, flops=0.0, least=least)
    bench.measure(where + "render", draw, torch.float32, CLIP, flops=0.0, least=least)
    images = draw()
    latents = pack.latents.encode(images[:, :3])
    bench.measure(where + "encode", lambda: pack.latents.encode(images[:, :3]), dtype, CLIP, least=least)
    bench.measure(where + "appearance of the source", lambda: encode(pack, source, clip), torch.float32)
    look = encode(pack, source, clip)
    context = look.context(list(range(CLIP)))
    bench.measure(where + "context", lambda: look.context(list(range(CLIP))), torch.float32, CLIP)
    bench.measure(where + "U-Net, a step", step(pack.unet, latents, context), dtype, CLIP, least=least)
    zero = torch.zeros_like(latents)
    bench.measure(where + "decode", lambda: pack.latents.to_frames(zero, images, latents), dtype, CLIP, least=least)

    def whole() -> Tensor:
        return torch.cat(list(animate(pack, source, motion)))

    bench.measure(where + f"animate {len(motion)} frames", whole, dtype, len(motion), flops=0.0, least=least)
    return whole()


def step(unet: nn.Module, latents: Tensor, context: Tensor, halves: int = 1) -> Callable[[], Tensor]:
    """A function that runs the U-Net once over a clip with latents [F, C, h, w] and context [F or 1, T, D]."""
    noisy = torch.cat([latents] * 3 + [latents[:, :1]], 1).permute(1, 0, 2, 3)[None].expand(halves, -1, -1, -1, -1)
    told = context.expand(len(latents), -1, -1)[None].expand(halves, -1, -1, -1).to(latents.device)
    when = torch.tensor([500] * halves, device=latents.device)
    return lambda: predict(unet, noisy, when, told)


def released(bench: Bench, dtype: torch.dtype) -> None:
    """The published U-Net and autoencoder with weights made of keys: a clip of 12, guided."""
    with bench.device:
        unet = key_weights(build_video_unet({}).to(dtype))
        vae = key_weights(build_vae("AutoencoderKL", dict(CONFIG)).to(dtype))
        images = torch.rand(CLIP, 3, CROP_SIZE, CROP_SIZE) * 2 - 1
        context = torch.randn(1, RELEASED_TOKENS, 768)
    assert isinstance(unet, nn.Module)
    space, where = LatentSpace(vae), f"released, {bench.device.type}: "
    latents = space.encode(images)
    bench.measure(where + "encode", lambda: space.encode(images), dtype, CLIP)
    run = step(unet, latents, context, halves=2)
    bench.measure(where + "U-Net, a step, guided", run, dtype, CLIP)
    bench.measure(where + "decode", lambda: space.decode(latents), dtype, CLIP)
    settings = SamplerSettings(overlap=0, steps=RELEASED_STEPS, guidance=RELEASED_GUIDANCE)
    parts = Parts(unet, space, SCHEDULE)

    def whole() -> list[Tensor]:
        return list(sample_clips(parts, iter(images), lambda _: context, CLIP, settings, previews=False))

    bench.measure(where + f"a clip of 12, {RELEASED_STEPS} steps, guided", whole, dtype, CLIP, flops=0.0, least=1)


def main() -> None:
    parser = argparse.ArgumentParser(description="MIMAFace's stages on the GPU, and on the CPU of the same machine.")
    parser.add_argument("--frames", type=int, default=48, help="of the bundled pack's animation, more than 12")
    parser.add_argument("--dtypes", nargs="+", default=["float16", "bfloat16"], help="of large networks on the GPU")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--threads", type=int, default=16, help="CPU threads of PyTorch")
    parser.add_argument("--skip", nargs="*", default=[], choices=["cpu", "bundled", "released"])
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    begin, source = time.perf_counter(), made_source()
    motion, gpu = made_motion(source, options.frames), host.current().device
    bench = Bench(gpu, options.seconds, options.json)
    print(f"{bench.notes['device']}, torch {torch.__version__}\n\n{HEAD}")
    frames: dict[str, Tensor] = {}
    runs = [(gpu, torch.float32), *((gpu, getattr(torch, name)) for name in options.dtypes if gpu.type == "cuda")]
    if gpu.type == "cuda" and "cpu" not in options.skip:
        runs.append((torch.device("cpu"), torch.float32))
    for device, dtype in runs:
        bench.device = device
        with host.use(host.Host(device=device, dtype=dtype)):
            if "bundled" not in options.skip:
                with bench.attempt(f"bundled, {device}, {dtype}"):
                    part = motion if device.type == "cuda" else motion[: 2 * CLIP]
                    frames[f"{device.type}, {str(dtype)[6:]}"] = bundled(bench, source, part, dtype)
            if device.type == "cuda" and dtype != torch.float32 and "released" not in options.skip:
                with bench.attempt(f"released, {device}, {dtype}"):
                    released(bench, dtype)
    first = next(iter(frames), None)
    for name, drawn in frames.items():
        bench.notes[f"PSNR of the bundled frames, {name} against {first}, dB"] = round(
            apart(drawn[:CLIP], frames[first][:CLIP]), 1
        )
    bench.finish(time.perf_counter() - begin)


if __name__ == "__main__":
    main()
