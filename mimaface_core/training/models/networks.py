"""The networks of the stages `image` and `video`, new or from weights to start from, and the noise they are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from ...appearance.mia import AppearanceEncoder
from ...diffusion.schedule import build_scheduler
from ...diffusion.unet import motion_modules
from ...errors import InputError
from ...packs.parts import BUILDERS
from .latent_cache import Latents, clip_frames, code_latents, load_latents
from .pretrained import fill_start

LEAST_SNR, MOST_SNR = 1.0, 5.0  # an error of the clean latents counts its signal-to-noise ratio + LEAST, at most MOST


def unet_entry(config: dict) -> dict:
    """The U-Net as a pack's manifest names it: `class`, where it has one, and `config`."""
    arguments = dict(config["unet"])
    name = arguments.pop("class", None)
    return {**({"class": name} if name else {}), "config": arguments}


def build_parts(config: dict) -> dict[str, nn.Module]:
    """A U-Net that does not look at carried latents yet, and an appearance encoder, by the configuration's seed."""
    torch.manual_seed(config["image"].get("seed", 0))
    entry = unet_entry(config)
    unet = BUILDERS["unet"][entry.get("class")](entry["config"])
    appearance = AppearanceEncoder(**config["appearance"])
    fill_start(config, unet, appearance)
    with torch.no_grad():
        unet.conv_in.weight[:, 2 * unet.config.out_channels :] = 0
        if config["ablate"].get("motion"):
            # tokens of zeros change nothing: e' = e + softmax(0)·0
            for parameter in appearance.modulation.parameters():
                parameter.zero_().requires_grad_(False)
    return {"unet": unet, "appearance": appearance}


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


def clean_latents(config: dict, target: Tensor, render: Tensor, scale: float) -> Tensor:
    """The variable that is diffused: the picture's latents, or those of its difference from the render."""
    return target if config["latents"]["target"] == "picture" else (target - render) * scale


def seen(config: dict, render: Tensor) -> Tensor:
    """The render as the U-Net sees it: nothing of it where that is what is tried out."""
    return torch.zeros_like(render) if config["ablate"].get("render") else render


def clip_context(config: dict, appearance: nn.Module, pixels: Tensor, motion: Tensor) -> Tensor:
    """The context [F, T, D] of one source [1, 3, S, S] for a clip's motion [F, 71]."""
    average = bool(config["ablate"].get("average"))
    context = appearance.modulate(appearance.encode_source(pixels), motion, average)
    return context.expand(len(motion), -1, -1)


def split(config: dict, data: Path, out: Path) -> tuple[Latents, Latents, str]:
    """Latents to learn from, those of a few persons kept apart to measure, and the key of both; coded where needed."""
    from accelerate import PartialState

    with PartialState().main_process_first():
        key = code_latents(config, data, out)
    learned, held = load_latents(config, out, key)
    for latents, what in ((learned, "to learn from"), (held, "kept apart to measure")):
        if not len(latents.clips):
            raise InputError(
                f"There is no clip of {clip_frames(config)} frames among the people {what}; raise latents.clips or lower latents.held."
            )
    return learned, held, key


class Noising(nn.Module):
    """Noise at random times of the schedule; what the U-Net is to say there, and what an error at that time counts.

    times: `late`, more often near pure noise, where most is decided when few steps are taken, and a tenth of the time
    exactly there; or `even`, as the paper's.
    """

    def __init__(self, config: dict, times: str) -> None:
        super().__init__()
        if times not in ("late", "even"):
            raise InputError(f"times is '{times}' in the configuration; use late or even.")
        self.late, self.kind = times == "late", config["scheduler"]["prediction_type"]
        self.register_buffer(
            "alphas", build_scheduler("ddim", config["scheduler"], 1).alphas_cumprod.clone(), persistent=False
        )

    def draw_times(self, batch: int, generator: torch.Generator) -> Tensor:
        """Times [batch] of the schedule."""
        if not self.late:
            return torch.randint(1000, (batch,), generator=generator)
        time = (1000 * torch.rand(batch, generator=generator).sqrt()).long().clamp(max=999)
        return torch.where(torch.rand(batch, generator=generator) < 0.1, torch.full_like(time, 999), time)

    def forward(self, clean: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents and what is to be predicted, both like clean [B, …], and weights [B].

        An error of the clean latents counts the same whichever of sample and v_prediction is predicted; for
        epsilon it is min-SNR (Hang et al. 2023), since near pure noise little of the sample can be told from it.
        """
        alpha = self.alphas[time].view(-1, *[1] * (clean.ndim - 1))
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        snr = self.alphas[time] / (1 - self.alphas[time])
        counts = (snr + LEAST_SNR).clamp(max=MOST_SNR)
        if self.kind == "epsilon":
            return noisy, noise, snr.clamp(max=MOST_SNR) / snr
        if self.kind == "v_prediction":
            return noisy, alpha.sqrt() * noise - (1 - alpha).sqrt() * clean, counts / (snr + 1)
        return noisy, clean, counts
