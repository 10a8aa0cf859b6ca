"""Stages `image` and `video`: U-Net and appearance encoder on frames, then motion modules and W_cond on clips."""

from __future__ import annotations

from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor, nn

from ...diffusion.ica import condition, draw_known, perturb
from ...diffusion.unet import motion_modules, predict
from ..config import TrainingConfig
from ..engine.checkpoint import load_averaged, read_checkpoint
from ..engine.trainer import Batch, Trainer
from .identity_loss import IdentityLoss, Photometric
from .latent_cache import Latents
from .networks import (
    ForwardDiffusion,
    Networks,
    build_networks,
    clean_latents,
    clip_contexts,
    conditioning_render,
    split_latents,
    without_motion_modules,
)
from .vae import signed
from .validation import Validation

DROP_PROBABILITY = 0.1  # of the appearance, for classifier-free guidance
CHANGE_WEIGHT = 0.5  # of errors in changes from frame to frame
MAX_SEED = 1 << 31
# Sections that a checkpoint depends on, beside its own.
SECTIONS = ("latents", "unet", "appearance", "scheduler", "start", "ablate")


class ImageModel(nn.Module):
    """U-Net and appearance encoder with their loss on single frames: denoising, and L_id.

    Args:
        config: sections `image`, `latents`, `identity`, `appearance`, `scheduler` and `ablate` are read.
        networks: trained in place.
        scale: of the residual, see `diffusion.latents.LatentSpace`.
    """

    scale: Tensor

    def __init__(self, config: TrainingConfig, networks: Networks, scale: float) -> None:
        super().__init__()
        self.unet, self.appearance = networks.unet, networks.appearance
        self.target, self.ablate = config.latents.target, config.ablate
        self.diffusion = ForwardDiffusion(config.scheduler, config.image.times)
        self.register_buffer("scale", torch.tensor(scale))
        settings = config.identity
        self.identity_weight = 0.0 if config.ablate.identity else settings.weight
        self.photometric = Photometric()
        self.identity = IdentityLoss(config.appearance.context_dim, settings.bank, settings.temperature)

    def forward(
        self,
        source: Tensor,
        views: Tensor,
        person: Tensor,
        seed: int,
        keep: Tensor,
        time: Tensor,
        noise: Tensor,
        **frame: Tensor,
    ) -> dict[str, Tensor]:
        """The losses of B images.

        Args:
            source: uint8 [B, 3, 224, 224].
            views: uint8 [n, 3, 224, 224], other images of the first n persons.
            person: [n], identity numbers.
            seed: of the photometric changes.
            keep: [B], 0 where the appearance is dropped.
            time: [B], timesteps.
            noise: [B, C, h, w].
            frame: `render` and `target` [B, C, h, w], `weight` [B, h, w], `motion` [B, 71].
        """
        tokens = self.appearance.encode_source(signed(source))
        context = self.appearance.modulate(tokens, frame["motion"]) * keep[:, None, None]
        render, truth, noise = (rearrange(x, "b c h w -> b c 1 h w") for x in (frame["render"], frame["target"], noise))
        clean = clean_latents(self.target, truth, render, self.scale)
        noisy, target, loss_weight = self.diffusion(clean, time, noise)
        known = torch.zeros(1, dtype=torch.bool, device=noisy.device)
        sample = condition(noisy, conditioning_render(self.ablate, render), torch.zeros_like(noisy), known)
        predicted = predict(self.unet, sample, time, context[:, None])
        error = (predicted.float() - target).square() * rearrange(frame["weight"], "b h w -> b 1 1 h w")
        denoise = (error.mean((1, 2, 3, 4)) * loss_weight).mean()
        if not self.identity_weight:
            return {"loss": denoise}
        identity = self._identity_loss(source[: len(views)], views, person, tokens[: len(views), 0], seed)
        return {"loss": denoise + self.identity_weight * identity, "denoise": denoise, "identity": identity}

    def _identity_loss(self, source: Tensor, views: Tensor, person: Tensor, token: Tensor, seed: int) -> Tensor:
        """L_id of the source's tokens; positives are its photometric change and another image of the person."""
        changed = self.photometric(source.float() / 255, seed) * 2 - 1
        tokens = self.appearance.encode_source(torch.cat([changed, signed(views)]))[:, 0]
        return self.identity(token, list(tokens.chunk(2)), person)


class VideoModel(nn.Module):
    """The motion U-Net with its loss on clips with carried latents (ICA); the appearance encoder is frozen.

    Args:
        config: sections `video`, `latents`, `scheduler` and `ablate` are read.
        networks: trained in place.
        scale: of the residual.
    """

    def __init__(self, config: TrainingConfig, networks: Networks, scale: float) -> None:
        super().__init__()
        self.unet = networks.unet.requires_grad_(False)
        self.appearance = networks.appearance.eval().requires_grad_(False)
        self.target, self.ablate, self.scale = config.latents.target, config.ablate, scale
        self.diffusion = ForwardDiffusion(config.scheduler, config.video.times)
        for parameter in (self.unet.conv_in.weight, *(p for m in motion_modules(self.unet) for p in m.parameters())):
            parameter.requires_grad_(True)
        # of the input layer only W_cond is trained: noisy latents and render belong to the image stage
        frozen = 2 * self.unet.conv_out.out_channels
        self.unet.conv_in.weight.register_hook(
            lambda grad: torch.cat([torch.zeros_like(grad[:, :frozen]), grad[:, frozen:]], 1)
        )

    def forward(
        self, source: Tensor, time: Tensor, noise: Tensor, known: Tensor, blur: Tensor, **clip: Tensor
    ) -> dict[str, Tensor]:
        """The loss of B clips.

        Args:
            source: uint8 [B, 3, 224, 224].
            time: [B], timesteps.
            noise: [B, C, F, h, w].
            known: [B, F] bool, frames with carried latents.
            blur: [B, C, F, h, w], noise of the carried latents.
            clip: `render` and `target` [B, F, C, h, w], `weight` [B, F, h, w], `motion` [B, F, 71].
        """
        render, truth = (rearrange(clip[name], "b f c h w -> b c f h w") for name in ("render", "target"))
        clean = clean_latents(self.target, truth, render, self.scale)
        noisy, target, loss_weight = self.diffusion(clean, time, noise)
        sample = condition(noisy, conditioning_render(self.ablate, render), clean + blur, known)
        contexts = clip_contexts(self.appearance, signed(source), clip["motion"], self.ablate.average)
        difference = predict(self.unet, sample, time, contexts).float() - target
        weight = clip["weight"][:, None]
        # changes from frame to frame must be those of the truth
        change = ((difference[:, :, 1:] - difference[:, :, :-1]).square() * weight[:, :, 1:]).mean((1, 2, 3, 4))
        error = (difference.square() * weight).mean((1, 2, 3, 4))
        return {"loss": ((error + CHANGE_WEIGHT * change) * loss_weight).mean()}


def train_image(config: TrainingConfig, data: Path, out: Path) -> None:
    """Stage `image`: train U-Net and appearance encoder; writes `image.safetensors` to `out`.

    Args:
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.

    Raises:
        InputError: data or pretrained weights are missing, or the checkpoint has other settings.
    """
    settings, networks = config.image, build_networks(config)
    latents, held, key = split_latents(config, data, out)
    for module in motion_modules(networks.unet):
        module.requires_grad_(False)
    if settings.checkpointing:
        networks.unet.enable_gradient_checkpointing()
    model = ImageModel(config, networks, latents.residual_scale())
    depends = {**sections(config), "identity": config.identity, "autoencoder": key}
    saved = ("unet", "appearance", "identity", "scale")
    trainer = Trainer("image", out, model, saved, settings, config.precision, depends)
    latents = latents.near(trainer.accelerator.device)

    def draw(generator: torch.Generator) -> Batch:
        rows = latents.rows[torch.randint(len(latents.rows), (settings.batch,), generator=generator)]
        frame = cropped(latents.frames(rows), random_window(latents, settings.crops, generator))
        first = rows[: config.identity.pictures, 0]
        return {
            **frame,
            "source": latents.sources(rows[:, 0]),
            "views": latents.views(first, generator),
            "person": latents.person[first],
            "seed": int(torch.randint(MAX_SEED, (), generator=generator)),
            "keep": (torch.rand(len(rows), generator=generator) >= DROP_PROBABILITY).float(),
            "time": model.diffusion.draw_times(len(rows), generator),
            "noise": torch.randn(frame["render"].shape, generator=generator),
        }

    with without_motion_modules(networks.unet):
        trainer.run(draw, Validation("image", config, networks, held, float(model.scale), data, out))


def train_video(config: TrainingConfig, data: Path, out: Path) -> None:
    """Stage `video`: train motion modules and W_cond, conv_in's weights for the carried latents.

    Writes `video.safetensors` to `out`.

    Args:
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints, with `image.safetensors`.

    Raises:
        InputError: data or the image stage are missing, or the checkpoint has other settings.
    """
    settings, frames = config.video, config.clip_frames
    networks, scale, step = trained_image(config, out)
    latents, held, key = split_latents(config, data, out)
    if settings.checkpointing:
        networks.unet.enable_gradient_checkpointing()
    model = VideoModel(config, networks, scale)
    depends = {**sections(config), "autoencoder": key, "image": {"step": step}}
    trainer = Trainer("video", out, model, ("unet",), settings, config.precision, depends)
    latents = latents.near(trainer.accelerator.device)

    def draw(generator: torch.Generator) -> Batch:
        chosen, clip = random_clips(latents, settings.batch, settings.crop, frames, generator)
        shape = rearrange(clip["render"], "b f c h w -> b c f h w").shape
        known = draw_known(len(chosen), frames, generator)
        return {
            **clip,
            "source": latents.sources(chosen),
            "time": model.diffusion.draw_times(len(chosen), generator),
            "noise": torch.randn(shape, generator=generator),
            "known": torch.zeros_like(known) if config.ablate.ica else known,
            "blur": perturb(torch.zeros(shape), generator),
        }

    trainer.run(draw, Validation("video", config, networks, held, scale, data, out))


def trained_image(config: TrainingConfig, out: Path) -> tuple[Networks, float, int]:
    """The networks as stage `image` left them, the residual's scale, and the steps of that stage.

    Raises:
        InputError: the checkpoint is missing or does not fit.
    """
    networks = build_networks(config, pretrained=False)
    path = out / "image.safetensors"
    load_averaged(path, networks.modules())
    tensors, metadata = read_checkpoint(path)
    return networks, float(tensors["weights/scale"]), int(metadata["step"])


def random_clips(
    latents: Latents, batch: int, crop: int, frames: int, generator: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Random clips of so many frames, cut to one square of `crop` latents: samples [batch], and their tensors."""
    chosen = latents.clips[torch.randint(len(latents.clips), (batch,), generator=generator)]
    window = random_window(latents, (crop,), generator)
    starts = [
        int(torch.randint(len(latents.samples[i]["motion"]) - frames + 1, (), generator=generator)) for i in chosen
    ]
    return chosen, cropped(latents.clip(chosen, torch.tensor(starts), frames), window)


def random_window(latents: Latents, crops: tuple[int, ...], generator: torch.Generator) -> tuple[slice, slice]:
    """A random square of the latents, its side drawn from `crops`."""
    side = latents.samples[0]["render"].shape[-1]
    crop = min(crops[int(torch.randint(len(crops), (), generator=generator))], side)
    y, x = torch.randint(side - crop + 1, (2,), generator=generator).tolist()
    return slice(y, y + crop), slice(x, x + crop)


def cropped(tensors: dict[str, Tensor], window: tuple[slice, slice]) -> dict[str, Tensor]:
    """Tensors [..., h, w] cut to a window; `motion` stays whole."""
    return {name: x if name == "motion" else x[(..., *window)] for name, x in tensors.items()}


def sections(config: TrainingConfig) -> dict[str, object]:
    """The sections that a checkpoint depends on, those that the configuration has."""
    return {name: getattr(config, name) for name in SECTIONS if getattr(config, name) is not None}
