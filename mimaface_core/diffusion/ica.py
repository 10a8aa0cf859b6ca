"""Inter-clip affinity: what the U-Net is told about the frames that an earlier clip has already made."""

import torch
from torch import Tensor

# Standard deviation of the noise on carried latents in training: at inference they are slightly wrong too.
CARRIED_NOISE = 0.1


def condition(noisy: Tensor, render: Tensor, carried: Tensor, known: Tensor) -> Tensor:
    """Assemble the U-Net's input.

    Args:
        noisy: [B, C, F, h, w], scaled by the scheduler.
        render: [B, C, F, h, w], latents of the render.
        carried: [B, C, F, h, w]; only the known frames are read, the others become zero.
        known: [F] or [B, F] bool, frames whose latents are carried.

    Returns:
        [B, 3·C + 1, F, h, w]: noisy, render, carried, mask (13 channels for C = 4).
    """
    batch, _, frames, height, width = noisy.shape
    mask = known.to(noisy.device, noisy.dtype).expand(batch, frames)[:, None, :, None, None]
    # A choice, not a product: whatever the unknown frames hold, it does not pass.
    carried = torch.where(mask > 0, carried.to(noisy.dtype), torch.zeros_like(noisy))
    return torch.cat([noisy, render.to(noisy.dtype), carried, mask.expand(-1, -1, -1, height, width)], dim=1)


def carry(previous: Tensor | None, like: Tensor, overlap: int) -> tuple[Tensor, Tensor]:
    """Carry the last latents of one clip to the first frames of the next.

    Args:
        previous: [B, C, F, h, w], the clip before, or None for the first clip.
        like: [B, C, F, h, w], gives the next clip's shape.
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
    """Draw the overlap of each training clip, k ~ U{0..⌊F/4⌋}; returns known [batch, frames] bool."""
    k = torch.randint(frames // 4 + 1, (batch, 1), generator=generator)
    return torch.arange(frames) < k


def perturb(carried: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Add the training-time noise, σ = 0.1, to carried latents of any shape."""
    noise = torch.randn(carried.shape, generator=generator).to(carried.device, carried.dtype)
    return carried + CARRIED_NOISE * noise
