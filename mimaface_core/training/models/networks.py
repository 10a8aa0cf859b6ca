"""The networks of stages `image` and `video`, and the forward diffusion that they are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ...appearance.mia import AppearanceEncoder
from ...diffusion.schedule import build_scheduler
from ...diffusion.unet import PassThrough, motion_lists
from ...errors import InputError
from ...packs.manifest import SchedulerEntry
from ...packs.parts import BUILDERS
from ..config import AblateConfig, Timesteps, TrainingConfig
from .latent_cache import Latents, encode_latents, load_latents
from .pretrained import fill_start
from .vae import load_vae

if TYPE_CHECKING:
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

# Loss weight of an error of the clean latents: its signal-to-noise ratio + SNR_OFFSET, at most MAX_SNR_WEIGHT.
SNR_OFFSET, MAX_SNR_WEIGHT = 1.0, 5.0
TIMESTEPS = 1000
LAST_TIMESTEP_SHARE = 0.1  # of the `late` timesteps that are exactly the last


@dataclass(frozen=True)
class Networks:
    """The motion U-Net and the appearance encoder."""

    unet: UNetMotionModel
    appearance: AppearanceEncoder

    def modules(self) -> dict[str, nn.Module]:
        """Name in checkpoints and packs → network."""
        return {"unet": self.unet, "appearance": self.appearance}


def unet_entry(arguments: dict[str, Any]) -> dict[str, Any]:
    """The U-Net as a manifest names it, `class` (where there is one) and `config`.

    Args:
        arguments: the configuration's section `unet`.
    """
    config = dict(arguments)
    name = config.pop("class", None)
    return {**({"class": name} if name else {}), "config": config}


def build_networks(config: TrainingConfig, pretrained: bool = True) -> Networks:
    """A new U-Net, with zero weights for carried latents, and a new appearance encoder; seeded by stage `image`.

    Args:
        config: of the training.
        pretrained: fill them with the weights that the configuration names under `start`.

    Raises:
        InputError: a network refuses its arguments, or pretrained weights are missing.
    """
    from diffusers.models.unets.unet_motion_model import UNetMotionModel

    torch.manual_seed(config.image.seed)
    entry, encoder = unet_entry(config.unet), config.appearance
    try:
        unet = BUILDERS["unet"][entry.get("class")](entry["config"])
        appearance = AppearanceEncoder(
            encoder.vision, encoder.context_dim, encoder.adapter_layers, encoder.adapter_heads
        )
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"The configuration's networks cannot be built ({error}); correct unet or appearance."
        ) from error
    if not isinstance(unet, UNetMotionModel):
        raise InputError(f"unet.class is '{entry['class']}', which has no motion modules; use video, or leave it out.")
    if pretrained:
        fill_start(config.pretrained, unet, appearance)
    with torch.no_grad():
        unet.conv_in.weight[:, 2 * unet.conv_out.out_channels :] = 0
        if config.ablate.motion:
            # tokens of zeros change nothing: e' = e + softmax(0)·0
            for parameter in appearance.modulation.parameters():
                parameter.zero_().requires_grad_(False)
    return Networks(unet, appearance)


@contextmanager
def without_motion_modules(unet: nn.Module) -> Iterator[None]:
    """A context without motion modules, for single frames: they would change nothing, but take time."""
    lists = motion_lists(unet)
    own = [list(modules) for modules in lists]
    for modules in lists:
        for place in range(len(modules)):
            modules[place] = PassThrough()
    try:
        yield
    finally:
        for modules, before in zip(lists, own, strict=True):
            for place, module in enumerate(before):
                modules[place] = module


def clean_latents(target: str, truth: Tensor, render: Tensor, scale: float | Tensor) -> Tensor:
    """The diffused variable z₀ of frames, see `diffusion.latents.LatentSpace`.

    Args:
        target: `picture` (latents of the truth) or `residual` (their difference from the render, scaled).
        truth: latents of any shape.
        render: latents like `truth`.
        scale: of the residual.
    """
    return truth if target == "picture" else (truth - render) * scale


def conditioning_render(ablate: AblateConfig, render: Tensor) -> Tensor:
    """The render's latents as the U-Net's input: zeros where the render is ablated."""
    return torch.zeros_like(render) if ablate.render else render


def clip_context(appearance: AppearanceEncoder, pixels: Tensor, motion: Tensor, average: bool) -> Tensor:
    """The context of a clip.

    Args:
        appearance: the encoder.
        pixels: [1, 3, S, S] in ±1, the source.
        motion: [F, 71].
        average: the mean over the clip instead of a context for each frame.

    Returns:
        [F, T, D].
    """
    context = appearance.modulate(appearance.encode_source(pixels), motion, average)
    return context.expand(len(motion), -1, -1)


@torch.no_grad()
def clip_contexts(appearance: AppearanceEncoder, pixels: Tensor, motion: Tensor, average: bool) -> Tensor:
    """Contexts [B, F, T, D] of clips, as `clip_context`, of an encoder that is frozen.

    Args:
        appearance: the encoder.
        pixels: [B, 3, S, S] in ±1, the sources.
        motion: [B, F, 71].
        average: see `clip_context`.
    """
    clips = zip(pixels, motion, strict=True)
    return torch.stack([clip_context(appearance, source[None], of_clip, average) for source, of_clip in clips])


def split_latents(config: TrainingConfig, data: Path, out: Path) -> tuple[Latents, Latents, str]:
    """Latents to train on and held-out ones, encoded where they are missing.

    Args:
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.

    Returns:
        the latents to train on, those of the held-out people, and the key of both (see `latent_cache.cache_key`).

    Raises:
        InputError: there are too few people or clips.
    """
    from accelerate import PartialState

    folder = config.shared(out)
    with PartialState().main_process_first():
        vae = load_vae(config.vae, config.pretrained.vae, folder)
        key = encode_latents(config.latents, vae, data, folder / "latents", config.precision == "bf16")
    learned, held = load_latents(folder / "latents", key, config.latents.held, config.clip_frames)
    for latents, use in ((learned, "to train on"), (held, "held out for validation")):
        if not len(latents.clips):
            raise InputError(
                f"There is no clip of {config.clip_frames} frames among the people {use}; raise latents.clips or "
                "lower latents.held."
            )
    return learned, held, key


class ForwardDiffusion(nn.Module):
    """Forward diffusion at random timesteps; prediction target and SNR loss weight.

    Args:
        scheduler: the noise schedule.
        times: distribution of the timesteps. `even`, as the paper's, or `late`: more often near pure noise, where most
            is decided when few steps are sampled, and for a tenth of the draws exactly there.
    """

    alphas: Tensor  # ᾱ of every timestep

    def __init__(self, scheduler: SchedulerEntry, times: Timesteps) -> None:
        from diffusers.schedulers.scheduling_ddim import DDIMScheduler

        super().__init__()
        self.late, self.prediction_type = times == "late", scheduler.prediction_type
        schedule = build_scheduler("ddim", scheduler.arguments(), 1)
        assert isinstance(schedule, DDIMScheduler)
        self.register_buffer("alphas", schedule.alphas_cumprod.clone(), persistent=False)

    def draw_times(self, batch: int, generator: torch.Generator) -> Tensor:
        """Random timesteps [batch]."""
        if not self.late:
            return torch.randint(TIMESTEPS, (batch,), generator=generator)
        time = (TIMESTEPS * torch.rand(batch, generator=generator).sqrt()).long().clamp(max=TIMESTEPS - 1)
        is_last = torch.rand(batch, generator=generator) < LAST_TIMESTEP_SHARE
        return torch.where(is_last, torch.full_like(time, TIMESTEPS - 1), time)

    def forward(self, clean: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Noisy latents, prediction target, loss weight.

        An error of the clean latents counts the same for `sample` and `v_prediction`. For `epsilon` the weight is
        min-SNR (Hang et al. 2023), since near pure noise the prediction hardly determines the clean latents.

        Args:
            clean: [B, …].
            time: [B], timesteps.
            noise: like `clean`, standard normal.

        Returns:
            noisy latents and prediction target like `clean`, and weights [B].
        """
        signal, share = self._shares(time, clean.ndim)
        noisy = signal * clean + share * noise
        # ours: diffusers' compute_snr squares √ᾱ/√(1 − ᾱ), which rounds otherwise (3e-7) and takes 25 µs instead of 9
        snr = self.alphas[time] / (1 - self.alphas[time])
        weight = (snr + SNR_OFFSET).clamp(max=MAX_SNR_WEIGHT)
        if self.prediction_type == "epsilon":
            return noisy, noise, snr.clamp(max=MAX_SNR_WEIGHT) / snr
        if self.prediction_type == "v_prediction":
            return noisy, signal * noise - share * clean, weight / (snr + 1)
        return noisy, clean, weight

    def clean(self, latents: Tensor, output: Tensor, time: Tensor) -> Tensor:
        """Clean latents, of noisy ones and what a U-Net has predicted of them.

        Args:
            latents: [B, …], at timesteps `time`.
            output: like `latents`, the prediction.
            time: [B].
        """
        signal, noise = self._shares(time, latents.ndim)
        if self.prediction_type == "epsilon":
            return (latents - noise * output) / signal
        if self.prediction_type == "v_prediction":
            return signal * latents - noise * output
        return output

    def moved(self, latents: Tensor, output: Tensor, time: Tensor, earlier: Tensor) -> Tensor:
        """Noisy latents at earlier timesteps, by a step of DDIM without noise (Song et al. 2020).

        Args:
            latents: [B, …], as `clean` takes them.
            output: likewise.
            time: likewise.
            earlier: [B], timesteps; −1 where nothing is noise.
        """
        clean, (signal, noise) = self.clean(latents, output, time), self._shares(time, latents.ndim)
        signal_then, noise_then = self._shares(earlier, latents.ndim)
        return signal_then * clean + noise_then * (latents - signal * clean) / noise

    def _shares(self, time: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
        """√ᾱ and √(1 − ᾱ) of timesteps [B], as they multiply tensors of so many dimensions."""
        alpha = torch.where(time < 0, 1, self.alphas[time.clamp(min=0)]).view(-1, *[1] * (dimensions - 1))
        return alpha.sqrt(), (1 - alpha).sqrt()
