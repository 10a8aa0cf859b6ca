"""Stage `distill`: the trained motion U-Net learns to sample in few steps, by latent consistency distillation.

Luo et al. 2023, arXiv:2310.04378. The student's estimate of the clean latents at one timestep is led to its own at the
timestep before, whose noisy latents the teacher, the U-Net as it was, finds by a guided step of DDIM. So guidance is
learned, too. The target is the student itself without a gradient (Song & Dhariwal 2023, arXiv:2310.14189).
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ...diffusion.ica import condition, draw_known, perturb
from ...diffusion.schedule import LCM_STEPS, build_scheduler
from ...diffusion.unet import predict
from ...packs.manifest import SamplingDefaults
from ..config import DistillConfig, TrainingConfig
from ..engine.checkpoint import load_averaged, read_checkpoint
from ..engine.trainer import Batch, Trainer
from .image_video import random_clips, sections, trained_image
from .networks import (
    TIMESTEPS,
    ForwardDiffusion,
    Networks,
    clean_latents,
    clip_contexts,
    conditioning_render,
    split_latents,
)
from .vae import signed
from .validation import Validation

if TYPE_CHECKING:
    from diffusers.schedulers.scheduling_lcm import LCMScheduler

STRIDE = TIMESTEPS // LCM_STEPS  # timesteps between which the student jumps
HUBER = 0.001  # of the pseudo-Huber loss: smaller errors count by their square


class DistillationModel(nn.Module):
    """The student with its loss on clips with carried latents; the teacher and the appearance encoder are frozen.

    Args:
        config: sections `distill`, `latents`, `scheduler` and `ablate` are read.
        networks: as stage `video` left them; the U-Net is trained in place.
        scale: of the residual.
    """

    def __init__(self, config: TrainingConfig, networks: Networks, scale: float) -> None:
        super().__init__()
        assert config.distill is not None
        self.unet = networks.unet.requires_grad_(True)
        self.teacher = deepcopy(networks.unet).eval().requires_grad_(False)
        self.appearance = networks.appearance.eval().requires_grad_(False)
        self.target, self.ablate, self.scale = config.latents.target, config.ablate, scale
        self.guidance = config.distill.guidance
        self.diffusion = ForwardDiffusion(config.scheduler, "even")
        self._boundary: LCMScheduler = build_scheduler("lcm", config.scheduler.arguments(), 1)  # type: ignore[assignment]

    def forward(
        self, source: Tensor, number: Tensor, noise: Tensor, known: Tensor, blur: Tensor, **clip: Tensor
    ) -> dict[str, Tensor]:
        """The loss of B clips.

        Args:
            source: uint8 [B, 3, 224, 224].
            number: [B], 1 to LCM_STEPS, of the timestep from which the student jumps.
            noise: [B, C, F, h, w].
            known: [B, F] bool, frames with carried latents.
            blur: [B, C, F, h, w], noise of the carried latents.
            clip: `render` and `target` [B, F, C, h, w], `weight` [B, F, h, w], `motion` [B, F, 71].
        """
        render, truth = (rearrange(clip[name], "b f c h w -> b c f h w") for name in ("render", "target"))
        clean = clean_latents(self.target, truth, render, self.scale)
        late, early = number * STRIDE - 1, (number - 1) * STRIDE - 1
        noisy, _, _ = self.diffusion(clean, late, noise)
        shown, carried = conditioning_render(self.ablate, render), clean + blur
        context = clip_contexts(self.appearance, signed(source), clip["motion"], self.ablate.average)

        def predicted(unet: nn.Module, latents: Tensor, time: Tensor, context: Tensor) -> Tensor:
            return predict(unet, condition(latents, shown, carried, known), time, context).float()

        with torch.no_grad():
            output = predicted(self.teacher, noisy, late, context)
            if self.guidance != 1:
                without = predicted(self.teacher, noisy, late, torch.zeros_like(context))
                output = without + self.guidance * (output - without)
            solved = self.diffusion.moved(noisy, output, late, early)
            meant = self._jumped(solved, predicted(self.unet, solved, early.clamp(min=0), context), early)
        jumped = self._jumped(noisy, predicted(self.unet, noisy, late, context), late)
        error = ((jumped - meant).square() + HUBER**2).sqrt() - HUBER
        return {"loss": (error * clip["weight"][:, None]).mean()}

    def _jumped(self, latents: Tensor, output: Tensor, time: Tensor) -> Tensor:
        """The student's estimate of the clean latents; at −1, where nothing is noise, the latents themselves."""
        time = time.clamp(min=0)
        timesteps: Any = time.view(-1, *[1] * (latents.ndim - 1))  # diffusers annotates an int, and takes tensors
        kept, taken = self._boundary.get_scalings_for_boundary_condition_discrete(timesteps)
        return kept * latents + taken * self.diffusion.clean(latents, output, time)


def few_steps(settings: DistillConfig) -> SamplingDefaults:
    """The sampling that the student is for."""
    return SamplingDefaults(scheduler="lcm", steps=settings.sampled, guidance=1.0)


def train_distill(config: TrainingConfig, data: Path, out: Path) -> None:
    """Stage `distill`: writes `distill.safetensors` to `out`.

    Args:
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints, with those of `image` and `video`.

    Raises:
        InputError: data or an earlier stage are missing, or the checkpoint has other settings.
    """
    settings = config.distill
    assert settings is not None
    networks, scale, _ = trained_image(config, out)
    load_averaged(out / "video.safetensors", {"unet": networks.unet})
    latents, held, key = split_latents(config, data, out)
    if settings.checkpointing:
        networks.unet.enable_gradient_checkpointing()
    model = DistillationModel(config, networks, scale)
    taught = {"step": int(read_checkpoint(out / "video.safetensors")[1]["step"])}
    depends = {**sections(config), "autoencoder": key, "video": taught}
    trainer = Trainer("distill", out, model, ("unet",), settings, config.precision, depends)
    latents = latents.near(trainer.accelerator.device)

    def draw(generator: torch.Generator) -> Batch:
        chosen, clip = random_clips(latents, settings.batch, settings.crop, config.clip_frames, generator)
        shape = rearrange(clip["render"], "b f c h w -> b c f h w").shape
        known = draw_known(len(chosen), config.clip_frames, generator)
        return {
            **clip,
            "source": latents.sources(chosen),
            "number": torch.randint(1, LCM_STEPS + 1, (len(chosen),), generator=generator),
            "noise": torch.randn(shape, generator=generator),
            "known": torch.zeros_like(known) if config.ablate.ica else known,
            "blur": perturb(torch.zeros(shape), generator),
        }

    sampled = replace(config, sampling=few_steps(settings))
    trainer.run(draw, Validation("distill", sampled, networks, held, scale, data, out))
