"""Stages `image` and `video`: the U-Net with its appearance encoder on single frames, then its movement on clips."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ..appearance.mia import AppearanceEncoder
from ..diffusion.denoise import denoise_clip
from ..diffusion.ica import condition, draw_known, perturb
from ..diffusion.schedule import build_scheduler
from ..diffusion.unet import build_unet, motion_modules, predict
from .cache import Latents, code_latents, load_latents
from .loop import Training, load_averaged

LEAST_SNR, MOST_SNR = 1.0, 5.0  # a step counts its signal-to-noise ratio + LEAST, at most MOST


def build_parts(config: dict) -> dict[str, nn.Module]:
    """A new U-Net that does not look at carried latents yet, and a new appearance encoder."""
    torch.manual_seed(config["image"].get("seed", 0))
    unet = build_unet(config["unet"])
    with torch.no_grad():
        unet.conv_in.weight[:, 2 * unet.config.out_channels :] = 0
    return {"unet": unet, "appearance": AppearanceEncoder(**config["appearance"])}


@contextmanager
def still(unet: nn.Module) -> Iterator[None]:
    """Leave the motion modules out while single frames are trained (they do nothing there yet, but cost time)."""
    modules = motion_modules(unet)
    for module in modules:
        module.forward = lambda hidden, *_, **__: hidden
    try:
        yield
    finally:
        for module in modules:
            del module.forward


class Noising:
    """Adds the noise of a random time of the pack's schedule, and says what an error at that time counts."""

    def __init__(self, config: dict) -> None:
        self.alphas = build_scheduler("ddim", config["scheduler"], 1).alphas_cumprod

    def __call__(self, clean: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents like clean [B, …], times [B] and weights [B]."""
        batch = len(clean)
        # more often near pure noise, where most is decided; a tenth of the time exactly there
        time = (1000 * torch.rand(batch, generator=generator).sqrt()).long().clamp(max=999)
        time = torch.where(torch.rand(batch, generator=generator) < 0.1, torch.full_like(time, 999), time)
        alpha = self.alphas[time].view(-1, *[1] * (clean.ndim - 1))
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * torch.randn(clean.shape, generator=generator)
        snr = self.alphas[time] / (1 - self.alphas[time])
        return noisy, time, (snr + LEAST_SNR).clamp(max=MOST_SNR)


def window(side: int, crop: int, generator: torch.Generator) -> tuple[slice, slice]:
    """A random square of the latents."""
    y, x = torch.randint(side - crop + 1, (2,), generator=generator).tolist()
    return slice(y, y + crop), slice(x, x + crop)


def train_image(config: dict, data: Path, out: Path) -> None:
    """Stage `image`; leaves `image.safetensors` in `out`."""
    settings = config["image"]
    code_latents(config, data, out)
    latents, held = split(config, out)
    parts, noising, scale = build_parts(config), Noising(config), latents.scale
    unet, appearance = parts["unet"], parts["appearance"]
    motion = {id(p) for module in motion_modules(unet) for p in module.parameters()}
    trained = [p for part in parts.values() for p in part.parameters() if id(p) not in motion]
    training = Training("image", out, parts, trained, settings)
    side = latents.render.shape[-1]

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(latents.render), (settings["batch"],), generator=generator)
        crop = settings["crops"][int(torch.randint(len(settings["crops"]), (), generator=generator))]
        where = window(side, crop, generator)
        render, target = latents.render[rows].float(), latents.target[rows].float()
        render, clean = (x[(..., *where)][:, :, None] for x in (render, (target - render) * scale))
        weight = latents.weight[rows].float()[(..., *where)][:, None, None]
        noisy, time, counts = noising(clean, generator)
        keep = (torch.rand(len(rows), 1, 1, generator=generator) >= 0.1).float()
        known = torch.zeros(1, dtype=torch.bool)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["autocast"]):
            context = appearance(latents.sources(rows), latents.motion[rows]) * keep
            made = predict(unet, condition(noisy, render, torch.zeros_like(noisy), known), time, context[:, None])
        error = (made.float() - clean).square() * weight
        return (error.mean((1, 2, 3, 4)) * counts).mean()

    with still(unet):
        training.run(loss_of, lambda: measure(config, parts, held, scale))


def train_video(config: dict, out: Path) -> None:
    """Stage `video`: motion modules and the eye for carried latents; leaves `video.safetensors` in `out`."""
    settings = config["video"]
    latents, held = split(config, out)
    parts, noising, scale = build_parts(config), Noising(config), latents.scale
    load_averaged(out / "image.safetensors", parts)
    unet, appearance = parts["unet"], parts["appearance"].eval().requires_grad_(False)
    unet.requires_grad_(False)
    trained = [p for module in motion_modules(unet) for p in module.parameters()] + [unet.conv_in.weight]
    for parameter in trained:
        parameter.requires_grad_(True)
    own = 2 * unet.config.out_channels  # noisy latents and render belong to the image stage
    unet.conv_in.weight.register_hook(lambda grad: torch.cat([torch.zeros_like(grad[:, :own]), grad[:, own:]], 1))
    training = Training("video", out, {"unet": unet}, trained, settings)
    side, frames = latents.render.shape[-1], latents.clips.shape[1]

    def loss_of(generator: torch.Generator) -> Tensor:
        rows = latents.clips[torch.randint(len(latents.clips), (settings["batch"],), generator=generator)]
        where = window(side, settings["crop"], generator)
        render, target = (x[rows].float()[(..., *where)].transpose(1, 2) for x in (latents.render, latents.target))
        clean = (target - render) * scale
        weight = latents.weight[rows].float()[(..., *where)][:, None]
        noisy, time, counts = noising(clean, generator)
        known = draw_known(len(rows), frames, generator)
        sample = condition(noisy, render, perturb(clean, generator), known)
        with torch.autocast("cpu", torch.bfloat16, enabled=settings["autocast"]):
            with torch.no_grad():
                tokens = appearance.encode_source(latents.sources(rows[:, 0]))
                tokens = tokens[:, None].expand(-1, frames, -1, -1).flatten(0, 1)
                context = appearance.modulate(tokens, latents.motion[rows].flatten(0, 1)).unflatten(0, rows.shape)
            made = predict(unet, sample, time, context)
        wrong = made.float() - clean
        # what changes from frame to frame must change as in the truth
        jump = (wrong[:, :, 1:] - wrong[:, :, :-1]).square() * weight[:, :, 1:]
        error = (wrong.square() * weight).mean((1, 2, 3, 4)) + 0.5 * jump.mean((1, 2, 3, 4))
        return (error * counts).mean()

    training.run(loss_of, lambda: measure(config, parts, held, scale))


def split(config: dict, out: Path) -> tuple[Latents, Latents]:
    """Latents to learn from, and those of the first few persons, kept apart to measure."""
    held = config["latents"]["held"]
    return load_latents(out, held), load_latents(out, 0, held)


@torch.no_grad()
def measure(config: dict, parts: dict[str, nn.Module], held: Latents, scale: float) -> dict:
    """Sample the clips of unseen persons as the product does; how much of the render's error is left, in latents.

    left: weighted squared error against that of the bare render; jump: the same for changes between frames.
    """
    unet, appearance = parts["unet"], parts["appearance"]
    left = whole = jump = jump_whole = 0.0
    for rows in held.clips:
        render, target = held.render[rows].float(), held.target[rows].float()
        clean, weight = (target - render) * scale, held.weight[rows].float()[:, None]
        context = appearance(held.sources(rows[:1]), held.motion[rows])
        noise = torch.randn(1, clean.shape[1], len(rows), *clean.shape[2:], generator=torch.Generator().manual_seed(0))
        scheduler = build_scheduler(config["sampling"]["scheduler"], config["scheduler"], config["sampling"]["steps"])
        made = denoise_clip(unet, scheduler, noise, render.transpose(0, 1)[None], context)[0].transpose(0, 1)
        left += float(((made - clean).square() * weight).sum())
        whole += float((clean.square() * weight).sum())
        change = made - clean
        jump += float(((change[1:] - change[:-1]).square() * weight[1:]).sum())
        jump_whole += float(((clean[1:] - clean[:-1]).square() * weight[1:]).sum())
    return {"left": left / max(whole, 1e-9), "jump": jump / max(jump_whole, 1e-9)}


def write_bundled(config: dict, out: Path) -> Path:
    """Stage `pack`: write `out`/pack from the averaged weights; returns the folder."""
    from ..packs.weights import write_pack
    from .vae import load_vae

    parts = build_parts(config)
    load_averaged(out / "image.safetensors", parts)
    load_averaged(out / "video.safetensors", {"unet": parts["unet"]})
    latents, _ = split(config, out)
    manifest = {
        **config["pack"],
        "picture_size": 512,
        "clip_frames": config["data"]["frames"],
        "morphable": {"kind": "procedural"},
        "render": "projected",
        "latents": {"target": "residual", "scale": round(latents.scale, 5), "colour": config["latents"]["colour"]},
        "vae": {"class": "AutoencoderTiny", "config": config["vae"]["config"], "file": "vae.safetensors"},
        "appearance": {"config": config["appearance"], "file": "appearance.safetensors"},
        "unet": {"config": config["unet"], "file": "unet.safetensors"},
        "scheduler": config["scheduler"],
        "sampling": config["sampling"],
    }
    write_pack(out / "pack", manifest, {**parts, "vae": load_vae(config, out)})
    return out / "pack"
