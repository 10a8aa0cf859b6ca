"""Inter-clip affinity (ICA): the U-Net's condition on latents that an earlier clip has already denoised.

Input of the U-Net, 13 channels for 4 of latents: [z_t, E(I_R), z_carried, mask]. In training the first k frames of a
clip are given, k ~ U{0..⌊F/4⌋}, with noise σ on their latents; in inference they are the last k of the clip before.
"""

from __future__ import annotations

import torch
from torch import Tensor

CARRIED_NOISE = 0.1  # σ of the noise on carried latents in training: at inference they are slightly wrong too


def condition(noisy: Tensor, render: Tensor, carried: Tensor, known: Tensor) -> Tensor:
    """The U-Net's input: noisy latents, render, carried latents and their mask.

    Args:
        noisy: z_t, [B, C, F, h, w], scaled by the scheduler.
        render: E(I_R), [B, C, F, h, w], latents of the render.
        carried: [B, C, F, h, w]; zeros take the place of frames that are not known, whatever they hold.
        known: [F] or [B, F] bool, frames whose latents are carried.

    Returns:
        [B, 3·C + 1, F, h, w] (13 channels for C = 4).
    """
    batch, _, frames, height, width = noisy.shape
    mask = known.to(noisy.device, noisy.dtype).expand(batch, frames)[:, None, :, None, None]
    # A choice, not a product: NaN of an unknown frame must not pass.
    carried = torch.where(mask > 0, carried.to(noisy.dtype), torch.zeros_like(noisy))
    return torch.cat([noisy, render.to(noisy.dtype), carried, mask.expand(-1, -1, -1, height, width)], dim=1)


def carry(previous: Tensor | None, like: Tensor, overlap: int) -> tuple[Tensor, Tensor]:
    """The last latents of one clip at the first frames of the next.

    Args:
        previous: [B, C, F, h, w], the clip before, or None for the first clip.
        like: [B, C, F, h, w], of the next clip's shape and dtype.
        overlap: k, frames carried.

    Returns:
        carried [B, C, F, h, w] and known [F] bool, as `condition` takes them.
    """
    carried = torch.zeros_like(like)
    known = torch.zeros(like.shape[2], dtype=torch.bool, device=like.device)
    if previous is not None and overlap:
        carried[:, :, :overlap] = previous[:, :, -overlap:]
        known[:overlap] = True
    return carried, known


def draw_known(batch: int, frames: int, generator: torch.Generator | None = None) -> Tensor:
    """Random overlaps of training clips, k ~ U{0..⌊F/4⌋}, as known [batch, frames] bool."""
    k = torch.randint(frames // 4 + 1, (batch, 1), generator=generator)
    return torch.arange(frames) < k


def perturb(carried: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Carried latents of any shape with the training-time noise, σ = 0.1, drawn on the CPU."""
    noise = torch.randn(carried.shape, generator=generator).to(carried.device, carried.dtype)
    return carried + CARRIED_NOISE * noise
