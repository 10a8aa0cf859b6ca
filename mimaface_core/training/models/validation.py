"""What a stage has learned, on people it never saw: the error that is left, how well it tells persons apart, a sheet."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from ...diffusion.clips import clip_schedule
from ...diffusion.denoise import denoise_clip
from ...diffusion.latents import LatentSpace
from ...diffusion.schedule import build_scheduler
from ..data.dataset import StoredSample
from ..engine.plots import save_sheet
from .identity_loss import identity_accuracy
from .latent_cache import Latents, clip_frames
from .networks import clean_latents, clip_context, seen
from .vae import load_vae


class Report:
    """Measures a stage after a save: called with the step, returns what is logged; a sheet of samples goes beside it."""

    def __init__(
        self,
        name: str,
        config: dict,
        parts: dict[str, nn.Module],
        held: Latents,
        scale: float | Tensor,
        data: Path,
        out: Path,
    ) -> None:
        self.name, self.config, self.parts, self.held = name, config, parts, held
        self.scale, self.data, self.out = float(scale), data, out

    @torch.no_grad()
    def __call__(self, step: int) -> dict[str, float]:
        held = self.held
        made = [sample_track(self.config, self.parts, held, int(clip)) for clip in held.clips]
        self._sheet(step, made)
        told = self._told_apart()
        return {**self._left(made), **({} if math.isnan(told) else {"told_apart": told})}

    def _left(self, made: list[Tensor]) -> dict[str, float]:
        """How much of the render's error is left in the clips, by weight: of the frames, and of changes between them."""
        left = whole = jump = jump_whole = 0.0
        for number, clip in zip(self.held.clips.tolist(), made, strict=True):
            sample = {
                name: value.float()
                for name, value in self.held.samples[number].items()
                if name in ("render", "target", "weight")
            }
            clean = clean_latents(self.config, sample["target"], sample["render"], self.scale)
            start = clean_latents(self.config, sample["render"], sample["render"], self.scale)
            weight = sample["weight"][:, None]
            wrong, before = clip - clean, start - clean
            left += float((wrong.square() * weight).sum())
            whole += float((before.square() * weight).sum())
            jump += float(((wrong[1:] - wrong[:-1]).square() * weight[1:]).sum())
            jump_whole += float(((before[1:] - before[:-1]).square() * weight[1:]).sum())
        return {"left": left / max(whole, 1e-9), "jump": jump / max(jump_whole, 1e-9)}

    def _told_apart(self) -> float:
        """How well the ID tokens of held pictures tell persons apart, see `identity.identity_accuracy`."""
        pictures = torch.cat([torch.cat([s["source"][None], s["views"]]) for s in self.held.samples])
        person = self.held.person.repeat_interleave(len(pictures) // len(self.held.samples))
        return identity_accuracy(class_tokens(self.parts["appearance"], pictures), person)

    def _sheet(self, step: int, made: list[Tensor]) -> None:
        """The middle frame of every held clip, a row each: source, render, what was made, the truth."""
        settings = self.config["latents"]
        space = LatentSpace(load_vae(self.config, self.out), settings["target"], self.scale, colour=settings["colour"])
        rows = []
        for number, clip in zip(self.held.clips.tolist(), made, strict=True):
            stored, middle = StoredSample(self.data / self.held.paths[number].name), len(clip) // 2
            side = clip.shape[-1] * 8
            source, render, truth = (
                torch.nn.functional.interpolate(
                    picture[None].float() / 127.5 - 1, (side, side), mode="bilinear", antialias=True
                )
                for picture in (stored.source(), stored.image("render", middle), stored.image("target", middle))
            )
            code = self.held.samples[number]["render"][middle, None].float()
            frame = space.to_frames(clip[middle, None], render, code)
            rows.append([source[0], render[0], frame[0], truth[0]])
        save_sheet(self.out / "samples" / f"{self.name}-{step:06d}.jpg", rows)


@torch.no_grad()
def class_tokens(appearance: nn.Module, pictures: Tensor) -> Tensor:
    """ID tokens [N, D] of pictures, uint8 [N, 3, S, S]."""
    device = next(appearance.parameters()).device
    return torch.cat(
        [appearance.encode_source(part.to(device).float() / 127.5 - 1)[:, 0] for part in pictures.split(16)]
    ).cpu()


def carried_frames(config: dict) -> int:
    """k, frames that a clip is given from the one before."""
    return 0 if config["ablate"].get("ica") else config["pack"]["overlap"]


@torch.no_grad()
def sample_track(config: dict, parts: dict[str, nn.Module], latents: Latents, number: int) -> Tensor:
    """Sample all frames of one coded sample as the product does, clip after clip: clean latents [N, C, h, w]."""
    sample, device = latents.samples[number], next(parts["unet"].parameters()).device
    render, motion = sample["render"].float().to(device), sample["motion"].to(device)
    pixels = sample["source"][None].to(device).float() / 127.5 - 1
    frames, overlap, settings = clip_frames(config), carried_frames(config), config["sampling"]
    noise = torch.randn(1, render.shape[1], frames, *render.shape[2:], generator=torch.Generator().manual_seed(0)).to(
        device
    )
    made, previous = [], None
    for indices in clip_schedule(len(render), frames, overlap):
        scheduler = build_scheduler(settings["scheduler"], config["scheduler"], settings["steps"], device)
        shown = seen(config, render[indices].transpose(0, 1)[None])
        context = clip_context(config, parts["appearance"], pixels, motion[indices])
        options = {"guidance": settings["guidance"], "previous": previous, "overlap": overlap}
        clip = denoise_clip(parts["unet"], scheduler, noise, shown, context, **options)
        made.append(clip[0].transpose(0, 1)[overlap if previous is not None else 0 :])
        previous = clip
    return torch.cat(made)[: len(render)].cpu()
