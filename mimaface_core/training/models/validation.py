"""Validation on held-out identities: relative residual error, identity verification AUC, sample grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import interpolate

from ...appearance.mia import AppearanceEncoder
from ...diffusion.clip_schedule import clip_schedule
from ...diffusion.denoise import denoise_clip
from ...diffusion.latents import LatentSpace
from ...diffusion.schedule import build_scheduler
from ...packs.manifest import SamplingDefaults, SchedulerEntry
from ..config import AblateConfig, TrainingConfig
from ..data.dataset import StoredSample
from ..engine.plots import save_sample_grid
from .identity_loss import verification_auc
from .latent_cache import Latents
from .networks import Networks, clean_latents, clip_context, conditioning_render
from .vae import load_vae, signed

TOKEN_BATCH = 16  # images encoded together


@dataclass(frozen=True)
class TrackSampler:
    """Sampling of whole tracks, clip after clip, as in use.

    Attributes:
        frames: F, of a clip.
        overlap: k, latents carried from clip to clip.
        sampling: sampler, steps and guidance.
        scheduler: the noise schedule.
        ablate: parts of the method that are switched off.
    """

    frames: int
    overlap: int
    sampling: SamplingDefaults
    scheduler: SchedulerEntry
    ablate: AblateConfig

    @classmethod
    def of(cls, config: TrainingConfig) -> TrackSampler:
        """The sampler of a configuration."""
        return cls(config.clip_frames, config.overlap, config.sampling, config.scheduler, config.ablate)

    @torch.no_grad()
    def sample(self, networks: Networks, latents: Latents, number: int) -> Tensor:
        """Sample all frames of one encoded sample.

        Args:
            networks: on the device that samples.
            latents: the encoded samples.
            number: of the sample in them.

        Returns:
            clean latents [N, C, h, w], on the CPU.
        """
        sample, device = latents.samples[number], next(networks.unet.parameters()).device
        render, motion = sample["render"].float().to(device), sample["motion"].to(device)
        pixels = signed(sample["source"][None].to(device))
        shape = (1, render.shape[1], self.frames, *render.shape[2:])
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device)
        sampling, arguments = self.sampling, self.scheduler.arguments()
        track: list[Tensor] = []
        previous = None
        for indices in clip_schedule(len(render), self.frames, self.overlap):
            shown = conditioning_render(self.ablate, rearrange(render[indices], "f c h w -> 1 c f h w"))
            clip = denoise_clip(
                networks.unet,
                build_scheduler(sampling.scheduler, arguments, sampling.steps, device),
                noise,
                shown,
                clip_context(networks.appearance, pixels, motion[indices], self.ablate.average),
                guidance=sampling.guidance,
                previous=previous,
                overlap=self.overlap,
            )
            track.append(rearrange(clip, "1 c f h w -> f c h w")[0 if previous is None else self.overlap :])
            previous = clip
        return torch.cat(track)[: len(render)].cpu()


class Validation:
    """Measures a stage after each save; a grid of samples is written beside the checkpoint.

    Args:
        name: of the stage.
        config: of the training.
        networks: as they are trained.
        held: held-out samples.
        scale: of the residual.
        data: folder of the training data.
        out: folder of the checkpoints.
    """

    def __init__(
        self,
        name: str,
        config: TrainingConfig,
        networks: Networks,
        held: Latents,
        scale: float,
        data: Path,
        out: Path,
    ) -> None:
        self.name, self.networks, self.held, self.scale = name, networks, held, scale
        self.latents, self.autoencoder, self.pretrained_vae = config.latents, config.vae, config.pretrained.vae
        self.sampler = TrackSampler.of(config)
        self.data, self.out, self.shared = data, out, config.shared(out)

    @torch.no_grad()
    def __call__(self, step: int) -> dict[str, float]:
        """Errors, and where there are several people `identity_auc`; writes the sample grid of this step."""
        tracks = [self.sampler.sample(self.networks, self.held, clip) for clip in self.held.clips.tolist()]
        self._save_grid(step, tracks)
        auc = self._identity_auc()
        return {**self._residual_errors(tracks), **({} if math.isnan(auc) else {"identity_auc": auc})}

    def _residual_errors(self, tracks: list[Tensor]) -> dict[str, float]:
        """Weighted square errors relative to those of the bare render: of frames, and of changes between frames."""
        error = render_error = change = render_change = 0.0
        for number, track in zip(self.held.clips.tolist(), tracks, strict=True):
            sample = self.held.samples[number]
            render, truth = sample["render"].float(), sample["target"].float()
            clean, start = (clean_latents(self.latents.target, x, render, self.scale) for x in (truth, render))
            weight = sample["weight"].float()[:, None]
            wrong, before = track - clean, start - clean
            error += float((wrong.square() * weight).sum())
            render_error += float((before.square() * weight).sum())
            change += float(((wrong[1:] - wrong[:-1]).square() * weight[1:]).sum())
            render_change += float(((before[1:] - before[:-1]).square() * weight[1:]).sum())
        return {
            "residual_error": error / max(render_error, 1e-9),
            "residual_change_error": change / max(render_change, 1e-9),
        }

    def _identity_auc(self) -> float:
        """`verification_auc` of the ID tokens of held-out images."""
        images = torch.cat([torch.cat([s["source"][None], s["views"]]) for s in self.held.samples])
        person = self.held.person.repeat_interleave(len(images) // len(self.held.samples))
        return verification_auc(class_tokens(self.networks.appearance, images), person)

    def _save_grid(self, step: int, tracks: list[Tensor]) -> None:
        """A row for the middle frame of each held-out clip: source, render, sampled frame, truth."""
        vae = load_vae(self.autoencoder, self.pretrained_vae, self.shared)
        space = LatentSpace(vae, self.latents.target, self.scale, colour=self.latents.colour)
        rows = []
        for number, track in zip(self.held.clips.tolist(), tracks, strict=True):
            stored, middle = StoredSample(self.data / self.held.paths[number].name), len(track) // 2
            side = track.shape[-1] * 8
            source, render, truth = (
                interpolate(signed(image[None]), (side, side), mode="bilinear", antialias=True)
                for image in (stored.source(), stored.image("render", middle), stored.image("target", middle))
            )
            render_latents = self.held.samples[number]["render"][middle, None].float()
            frame = space.to_frames(track[middle, None], render, render_latents)
            rows.append([source[0], render[0], frame[0], truth[0]])
        save_sample_grid(self.out / "samples" / f"{self.name}-{step:06d}.jpg", rows)


@torch.no_grad()
def class_tokens(appearance: AppearanceEncoder, images: Tensor) -> Tensor:
    """ID tokens [N, D] of images, uint8 [N, 3, S, S], on the CPU."""
    device = next(appearance.parameters()).device
    tokens = [appearance.encode_source(signed(part.to(device)))[:, 0] for part in images.split(TOKEN_BATCH)]
    return torch.cat(tokens).cpu()
