"""The released pack beside the published inference: one clip of 12 frames, the same weights, noise and steps.

`MIMAFACE_COMPILE=1 python benchmarks/published.py --mimaface DIR --json published.json`, with a copy of
github.com/MIMAFace2024/MIMAFace in DIR. Theirs runs as its `infer_video.py` does, in float32: the clip's renders are
encoded at once, its own U-Net denoises both halves of guidance together by diffusers' Euler, the clip is decoded at
once. Tracking, the face model and the appearance encoders are left out on both sides. Weights are made of keys: speed
does not depend on them.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers.models import attention, attention_processor, normalization
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from einops import rearrange
from gpu import CLIP, RELEASED_GUIDANCE, RELEASED_STEPS, RELEASED_TOKENS, Parts
from measuring import HEAD, Bench, apart, key_weights
from torch import Tensor, nn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.schedule import BETAS
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.unet_released import build_video_unet, to_released
from mimaface.mimaface_core.face.crop import CROP_SIZE
from mimaface.mimaface_core.packs.released.autoencoder import CONFIG, SCALING_FACTOR

MOTION = {
    "use_inflated_groupnorm": True,
    "use_motion_module": True,
    "motion_module_resolutions": [1, 2, 4, 8],
    "motion_module_mid_block": False,
    "motion_module_type": "Vanilla",
    "motion_module_kwargs": {
        "num_attention_heads": 8,
        "num_transformer_block": 1,
        "attention_block_types": ["Temporal_Self", "Temporal_Self"],
        "temporal_position_encoding": True,
        "temporal_position_encoding_max_len": 32,
        "temporal_attention_dim_div": 1,
        "zero_initialize": True,
    },
}


def published_unet(folder: Path, state: dict[str, Tensor], sizes: dict[str, Any]) -> nn.Module:
    """The published U-Net with a state dict under its own keys; moved names of diffusers are put back for it."""
    for name, home in (("Attention", attention_processor), ("AdaLayerNorm", normalization)):
        if not hasattr(attention, name):
            setattr(attention, name, getattr(home, name))
    sys.path.insert(0, str(folder))
    from models.animatediff.unet import UNet3DConditionModel  # type: ignore[import-not-found]

    with contextlib.redirect_stdout(io.StringIO()):
        unet = UNet3DConditionModel(sample_size=64, in_channels=13, cross_attention_dim=768, **sizes, **MOTION)
    unet.load_state_dict(state)
    return unet.eval().requires_grad_(False)


@torch.no_grad()
def published_clip(unet: nn.Module, vae: Any, renders: Tensor, context: Tensor, steps: int, guidance: float) -> Tensor:
    """A clip [F, 3, H, W] in ±1 of renders [F, 3, H, W] and one context [1, T, D], as published."""
    render = vae.encode(renders).latent_dist.mode() * vae.config.scaling_factor
    render = rearrange(render, "f c h w -> 1 c f h w")
    scheduler = EulerDiscreteScheduler(**BETAS, timestep_spacing="linspace")
    scheduler.set_timesteps(steps, device=renders.device)
    noise = torch.randn(render.shape, generator=torch.Generator().manual_seed(0)).to(renders.device)
    latents = noise * scheduler.init_noise_sigma
    contexts, nothing = torch.cat([torch.zeros_like(context), context]), torch.zeros_like(render)
    for timestep in scheduler.timesteps:
        noisy = scheduler.scale_model_input(latents, timestep)
        sample = torch.cat([noisy, render, nothing, nothing[:, :1]], 1).repeat(2, 1, 1, 1, 1)
        output = unet(sample, timestep, encoder_hidden_states=contexts, return_dict=False)[0]
        unconditional, conditional = output.chunk(2)
        output = unconditional + guidance * (conditional - unconditional)
        latents = scheduler.step(output, timestep, latents).prev_sample
    return vae.decode(rearrange(latents, "1 c f h w -> f c h w") / SCALING_FACTOR).sample.clamp(-1, 1)


class Both:
    """The networks of both sides, and what both are given.

    Args:
        device: where they run.
        options: of the command line.
    """

    def __init__(self, device: torch.device, options: argparse.Namespace) -> None:
        width = options.width
        self.sizes = {"block_out_channels": [width, 2 * width, 4 * width, 4 * width]}
        self.guided = SamplerSettings(overlap=0, frames=options.frames, steps=options.steps, guidance=RELEASED_GUIDANCE)
        with device:
            self.unet = key_weights(build_video_unet(dict(self.sizes)))
            self.vae = key_weights(build_vae("AutoencoderKL", dict(CONFIG)))
            self.tiny = key_weights(build_vae("AutoencoderTiny", {}))  # TAESD's sizes
            generator = torch.Generator(device).manual_seed(1)
            shape = (options.frames, 3, options.size, options.size)
            self.renders = torch.rand(shape, generator=generator) * 2 - 1
            self.context = torch.randn(1, RELEASED_TOKENS, 768, generator=generator)

    def published(self, bench: Bench, folder: Path) -> Tensor:
        """Time the published inference; its frames."""
        peer = published_unet(folder, to_released(self.unet.state_dict()), self.sizes).to(bench.device)
        given, steps = (self.renders, self.context), self.guided.steps
        published_clip(peer, self.vae, *given, 2, RELEASED_GUIDANCE)  # warm-up
        return measured(
            bench,
            f"published, {steps} steps",
            lambda: published_clip(peer, self.vae, *given, steps, RELEASED_GUIDANCE),
            torch.float32,
            len(self.renders),
        )

    def ours(self, bench: Bench, settings: SamplerSettings, coder: nn.Module, dtype: torch.dtype, what: str) -> Tensor:
        """Time ours with one autoencoder; its frames."""
        parts = Parts(self.unet, LatentSpace(coder, sampled=False), {})

        def run(settings: SamplerSettings) -> Tensor:
            given = iter(self.renders)
            made = sample_clips(parts, given, lambda _: self.context, len(self.renders), settings, previews=False)
            return torch.cat(list(made))

        start = time.perf_counter()
        run(replace(settings, steps=min(2, settings.steps)))  # warm-up
        bench.sync()
        bench.notes[f"first clip of {what}, {dtype}, s"] = round(time.perf_counter() - start, 1)
        name = f"{what}, {settings.steps} steps{', guided' if settings.guidance != 1 else ''}"
        return measured(bench, name, lambda: run(settings), dtype, len(self.renders))


def main() -> None:
    parser = argparse.ArgumentParser(description="The released pack beside the published inference.")
    parser.add_argument("--mimaface", type=Path, help="folder of the published code; without it, ours alone")
    parser.add_argument("--steps", type=int, default=RELEASED_STEPS)
    parser.add_argument("--few", type=int, nargs="*", default=[1, 2, 4], help="steps of the few-step mode")
    parser.add_argument("--frames", type=int, default=CLIP, help="of the clip")
    parser.add_argument("--size", type=int, default=CROP_SIZE, help="pixels of a frame's side")
    parser.add_argument("--width", type=int, default=320, help="of the U-Net's first level; smaller for a trial")
    parser.add_argument("--dtypes", nargs="+", default=["bfloat16"], help="of ours")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    begin, device = time.perf_counter(), host.current().device
    torch.set_grad_enabled(False)
    bench, both, theirs = Bench(device, options.seconds, options.json), Both(device, options), None
    bench.notes["compiled"] = host.current().compiles
    print(f"{bench.notes['device']}, torch {torch.__version__}\n\n{HEAD}")
    if options.mimaface:
        with bench.attempt("published"):
            theirs = both.published(bench, options.mimaface)
    for dtype in (getattr(torch, name) for name in options.dtypes):
        for network in (both.unet, both.vae, both.tiny):
            network.to(dtype)
        with bench.attempt(f"ours in {dtype}"):
            frames = both.ours(bench, both.guided, both.vae, dtype, "ours")
            if theirs is not None:
                bench.notes[f"PSNR of ours in {dtype} against the published, dB"] = round(apart(frames, theirs), 1)
                times = bench.rows[0].seconds / bench.rows[-1].seconds
                bench.notes[f"times as fast as the published, {dtype}"] = round(times, 2)
            for steps in options.few:
                few = replace(both.guided, scheduler="lcm", steps=steps, guidance=1.0)
                both.ours(bench, few, both.tiny, dtype, "ours with TAESD")
    bench.finish(time.perf_counter() - begin)


def measured(bench: Bench, what: str, work: Callable[[], Tensor], dtype: torch.dtype, count: int) -> Tensor:
    """Time work; what it made last."""
    made: list[Tensor] = []
    bench.measure(what, lambda: made.append(work()), dtype, count, flops=0.0, least=1, warm=True)
    return made[-1]


if __name__ == "__main__":
    main()
