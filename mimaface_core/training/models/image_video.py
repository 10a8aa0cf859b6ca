"""Stages `image` and `video`: the U-Net with its appearance encoder on single frames, then its movement on clips."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ...diffusion.ica import condition, draw_known, perturb
from ...diffusion.unet import motion_modules, predict
from ..engine.checkpoint import load_averaged, read_checkpoint
from ..engine.trainer import Training
from .identity_loss import IdentityLoss, Photometric
from .latent_cache import clip_frames
from .networks import Noising, build_parts, clean_latents, clip_context, seen, split, still
from .validation import Report

DROPPED = 0.1  # share of pictures that go without appearance, for classifier-free guidance
JUMP_COSTS = 0.5  # what a wrong change from frame to frame counts
# Settings that a checkpoint depends on beside its own section.
SECTIONS = ("latents", "unet", "appearance", "scheduler", "start", "ablate")


class ImageModel(nn.Module):
    """U-Net and appearance encoder with their loss on single frames: denoising, and L_id.

    scale: of the residual, see `latents.LatentSpace`.
    """

    def __init__(self, config: dict, parts: dict[str, nn.Module], scale: float) -> None:
        super().__init__()
        self.config, self.unet, self.appearance = config, parts["unet"], parts["appearance"]
        self.noising = Noising(config, config["image"]["times"])
        self.register_buffer("scale", torch.tensor(scale))
        settings = config["identity"]
        self.identity_weight = 0.0 if config["ablate"].get("identity") else settings["weight"]
        self.photometric = Photometric()
        self.identity = IdentityLoss(config["appearance"]["context_dim"], settings["bank"], settings["temperature"])

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
        """The losses of B pictures.

        source: uint8 [B, 3, 224, 224]; views: other pictures of the first n of them, uint8 [n, 3, 224, 224], and person [n];
        seed: of the photometric changes; keep [B]: 0 where appearance is dropped; time [B]; noise and frame's render and
        target [B, C, h, w], weight [B, h, w], motion [B, 71].
        """
        tokens = self.appearance.encode_source(_signed(source))
        context = self.appearance.modulate(tokens, frame["motion"]) * keep[:, None, None]
        render = frame["render"][:, :, None]
        clean = clean_latents(self.config, frame["target"][:, :, None], render, self.scale)
        noisy, wanted, counts = self.noising(clean, time, noise[:, :, None])
        nothing = torch.zeros(1, dtype=torch.bool, device=noisy.device)
        sample = condition(noisy, seen(self.config, render), torch.zeros_like(noisy), nothing)
        made = predict(self.unet, sample, time, context[:, None])
        error = (made.float() - wanted).square() * frame["weight"][:, None, None]
        denoise = (error.mean((1, 2, 3, 4)) * counts).mean()
        if not self.identity_weight:
            return {"loss": denoise}
        who = self._identity(source[: len(views)], views, person, tokens[: len(views), 0], seed)
        return {"loss": denoise + self.identity_weight * who, "denoise": denoise, "identity": who}

    def _identity(self, source: Tensor, views: Tensor, person: Tensor, token: Tensor, seed: int) -> Tensor:
        """L_id: the source against itself as another camera would show it, and against another picture of the person."""
        changed = self.photometric(source.float() / 255, seed) * 2 - 1
        tokens = self.appearance.encode_source(torch.cat([changed, _signed(views)]))[:, 0]
        return self.identity(token, list(tokens.chunk(2)), person)


class VideoModel(nn.Module):
    """The motion U-Net with its loss on clips, of which leading frames may be given (ICA); appearance is frozen."""

    def __init__(self, config: dict, parts: dict[str, nn.Module], scale: float) -> None:
        super().__init__()
        self.config, self.unet = config, parts["unet"].requires_grad_(False)
        self.appearance = parts["appearance"].eval().requires_grad_(False)
        self.noising, self.scale = Noising(config, config["video"]["times"]), scale
        for parameter in (self.unet.conv_in.weight, *(p for m in motion_modules(self.unet) for p in m.parameters())):
            parameter.requires_grad_(True)
        # of the input layer only W_cond learns: noisy latents and render belong to the image stage
        own = 2 * self.unet.config.out_channels
        self.unet.conv_in.weight.register_hook(
            lambda grad: torch.cat([torch.zeros_like(grad[:, :own]), grad[:, own:]], 1)
        )

    def forward(
        self, source: Tensor, time: Tensor, noise: Tensor, known: Tensor, blur: Tensor, **clip: Tensor
    ) -> dict[str, Tensor]:
        """The losses of B clips.

        source: uint8 [B, 3, 224, 224]; time [B]; noise and blur (of the carried latents) [B, C, F, h, w]; known [B, F];
        clip's render and target [B, F, C, h, w], weight [B, F, h, w], motion [B, F, 71].
        """
        render, target = clip["render"].transpose(1, 2), clip["target"].transpose(1, 2)
        clean = clean_latents(self.config, target, render, self.scale)
        noisy, wanted, counts = self.noising(clean, time, noise)
        sample = condition(noisy, seen(self.config, render), clean + blur, known)
        with torch.no_grad():
            context = torch.stack(
                [
                    clip_context(self.config, self.appearance, one[None], motion)
                    for one, motion in zip(_signed(source), clip["motion"], strict=True)
                ]
            )
        wrong = predict(self.unet, sample, time, context).float() - wanted
        weight = clip["weight"][:, None]
        # what changes from frame to frame must change as in the truth
        jump = ((wrong[:, :, 1:] - wrong[:, :, :-1]).square() * weight[:, :, 1:]).mean((1, 2, 3, 4))
        error = (wrong.square() * weight).mean((1, 2, 3, 4))
        return {"loss": ((error + JUMP_COSTS * jump) * counts).mean()}


def train_image(config: dict, data: Path, out: Path) -> None:
    """Stage `image`; leaves `image.safetensors` in `out`."""
    settings, parts = config["image"], build_parts(config)
    latents, held, key = split(config, data, out)
    unet = parts["unet"]
    for module in motion_modules(unet):
        module.requires_grad_(False)
    if settings.get("checkpointing"):
        unet.enable_gradient_checkpointing()
    model = ImageModel(config, parts, latents.residual_scale())
    depends = {**_sections(config), "identity": config["identity"], "autoencoder": key}
    training = Training("image", out, model, ("unet", "appearance", "identity", "scale"), config, depends)

    def draw(generator: torch.Generator) -> dict:
        rows = latents.rows[torch.randint(len(latents.rows), (settings["batch"],), generator=generator)]
        where = window(latents.samples[0]["render"].shape[-1], settings["crops"], generator)
        frame = {name: x[(..., *where)] if name != "motion" else x for name, x in latents.frames(rows).items()}
        some = rows[: config["identity"]["pictures"], 0]
        return {
            **frame,
            "source": latents.sources(rows[:, 0]),
            "views": latents.views(some, generator),
            "person": latents.person[some],
            "seed": int(torch.randint(1 << 31, (), generator=generator)),
            "keep": (torch.rand(len(rows), generator=generator) >= DROPPED).float(),
            "time": model.noising.draw_times(len(rows), generator),
            "noise": torch.randn(frame["render"].shape, generator=generator),
        }

    with still(unet):
        training.run(draw, Report("image", config, parts, held, model.scale, data, out))


def train_video(config: dict, data: Path, out: Path) -> None:
    """Stage `video`: motion modules and the eye for carried latents; leaves `video.safetensors` in `out`."""
    settings, frames = config["video"], clip_frames(config)
    parts, scale, step = trained_image(config, out)
    latents, held, key = split(config, data, out)
    if settings.get("checkpointing"):
        parts["unet"].enable_gradient_checkpointing()
    model = VideoModel(config, parts, scale)
    training = Training(
        "video", out, model, ("unet",), config, {**_sections(config), "autoencoder": key, "image": {"step": step}}
    )

    def draw(generator: torch.Generator) -> dict:
        chosen = latents.clips[torch.randint(len(latents.clips), (settings["batch"],), generator=generator)]
        where = window(latents.samples[0]["render"].shape[-1], [settings["crop"]], generator)
        starts = [
            int(torch.randint(len(latents.samples[i]["motion"]) - frames + 1, (), generator=generator)) for i in chosen
        ]
        clip = latents.clip(chosen, torch.tensor(starts), frames)
        clip = {name: x[(..., *where)] if name != "motion" else x for name, x in clip.items()}
        shape = clip["render"].transpose(1, 2).shape
        known = draw_known(len(chosen), shape[2], generator)
        return {
            **clip,
            "source": latents.sources(chosen),
            "time": model.noising.draw_times(len(chosen), generator),
            "noise": torch.randn(shape, generator=generator),
            "known": torch.zeros_like(known) if config["ablate"].get("ica") else known,
            "blur": perturb(torch.zeros(shape), generator),
        }

    training.run(draw, Report("video", config, parts, held, scale, data, out))


def trained_image(config: dict, out: Path) -> tuple[dict[str, nn.Module], float, int]:
    """The parts as stage `image` left them, the residual's scale, and the steps that were taken."""
    parts = build_parts({key: value for key, value in config.items() if key != "start"})
    path = out / "image.safetensors"
    load_averaged(path, parts)
    tensors, metadata = read_checkpoint(path)
    return parts, float(tensors["weights/scale"]), int(metadata["step"])


def window(side: int, crops: list[int], generator: torch.Generator) -> tuple[slice, slice]:
    """A random square of the latents, as wide as one of `crops`."""
    crop = min(crops[int(torch.randint(len(crops), (), generator=generator))], side)
    y, x = torch.randint(side - crop + 1, (2,), generator=generator).tolist()
    return slice(y, y + crop), slice(x, x + crop)


def _signed(pictures: Tensor) -> Tensor:
    """uint8 pictures in ±1."""
    return pictures.float() / 127.5 - 1


def _sections(config: dict) -> dict:
    return {name: config[name] for name in SECTIONS if name in config}
