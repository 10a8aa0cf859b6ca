"""Denoise the latents of one clip: the motion U-Net with classifier-free guidance (Ho & Salimans 2022), step by step.

The guided prediction is u + s·(c − u): c under the context of equation 1 (`appearance/mia.py`), u under zeros.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .ica import carry, condition
from .schedule import Scheduler, clean_estimate
from .unet import predict


@torch.no_grad()
def denoise_clip(
    unet: nn.Module,
    scheduler: Scheduler,
    noise: Tensor,
    render: Tensor,
    context: Tensor,
    *,
    guidance: float = 1.0,
    previous: Tensor | None = None,
    overlap: int = 0,
    generator: torch.Generator | None = None,
    on_step: Callable[[Tensor], None] | None = None,
    apart: bool = False,
) -> Tensor:
    """Sample the latents of one clip.

    Args:
        unet: the motion U-Net.
        scheduler: from `schedule.build_scheduler`, used for this clip only.
        noise: [1, C, F, h, w], standard normal; it is scaled to the scheduler's first sigma here.
        render: [1, C, F, h, w], latents of the render.
        context: [F, T, D], or [1, T, D] for one context in all frames (as released).
        guidance: s of classifier-free guidance, u + s·(c − u). Unconditional means a context of zeros; render
            and carried latents stay. At 1 only the conditional half is computed.
        previous: latents [1, C, F, h, w] of the clip before, whose last `overlap` frames are carried.
        overlap: k.
        generator: for the scheduler that draws noise between steps (LCM); the others are deterministic.
        on_step: called after every step with the current estimate of the clean latents [1, C, F, h, w]; an
            exception that it raises (a cancel) ends the clip.
        apart: compute the two halves of guidance one after another, which needs less memory.

    Returns:
        Clean latents [1, C, F, h, w], float32.
    """
    frames = noise.shape[2]
    context = context.expand(frames, -1, -1)[None]
    if guidance != 1:
        context = torch.cat([torch.zeros_like(context), context])
    halves = len(context)
    carried, known = carry(previous, render, overlap)

    latents = noise * scheduler.init_noise_sigma
    for timestep in scheduler.timesteps:
        noisy = scheduler.scale_model_input(latents, timestep)
        sample = condition(noisy, render, carried, known).expand(halves, -1, -1, -1, -1)
        parts = halves if apart else 1
        output = torch.cat(
            [predict(unet, x, timestep, c) for x, c in zip(sample.chunk(parts), context.chunk(parts), strict=True)]
        )
        if guidance != 1:
            unconditional, conditional = output.chunk(2)
            output = unconditional + guidance * (conditional - unconditional)
        step = scheduler.step(output, timestep, latents, generator=generator)
        latents = step.prev_sample
        if on_step is not None:
            on_step(clean_estimate(step))
    return latents
