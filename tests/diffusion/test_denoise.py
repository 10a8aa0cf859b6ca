"""Denoising of one clip: Euler's method, classifier-free guidance, carried latents."""

from itertools import pairwise

import torch
from support.tiny_pack import randn
from support.unets import SAMPLE, RecordingUNet

from mimaface.mimaface_core.diffusion.denoise import denoise_clip
from mimaface.mimaface_core.diffusion.schedule import build_scheduler


def test_denoise_is_eulers_method_with_guidance_and_carried_latents():
    noise, render, previous = randn(1, 4, 5, 2, 2), randn(1, 4, 5, 2, 2, seed=1), randn(1, 4, 5, 2, 2, seed=2)
    context = randn(5, 3, 16, seed=3)
    unet, estimates = RecordingUNet(), []
    result = denoise_clip(
        unet,
        build_scheduler("euler", {"prediction_type": "epsilon"}, 4),
        noise,
        render,
        context,
        guidance=5.0,
        previous=previous,
        overlap=2,
        on_step=lambda estimate: estimates.append(estimate),
    )

    # The same by hand: x ← x + (σ' − σ)·ε, ε guided from a context of zeros.
    carried = torch.zeros_like(noise)
    carried[:, :, :2] = previous[:, :, 3:]
    sigmas = build_scheduler("euler", {"prediction_type": "epsilon"}, 4).sigmas
    x = noise * 14.61464691
    for sigma, following in pairwise(sigmas):
        base = 0.3 * x / (sigma**2 + 1) ** 0.5 + 0.2 * render + 0.1 * carried
        x = x + (following - sigma) * (base + 5.0 * context.mean((1, 2)).view(1, 1, 5, 1, 1))
    assert torch.allclose(result, x, rtol=1e-4, atol=1e-4)

    # Both halves see render, carried latents and mask; only the context differs.
    assert len(unet.calls) == 4 and [call[1] for call in unet.calls] == [999, 666, 333, 0]
    for sample, _, tokens in unet.calls:
        assert torch.equal(sample[0], sample[1])
        assert torch.equal(sample[0, 12].amax((1, 2)), torch.tensor([1.0, 1, 0, 0, 0]))
        assert torch.equal(tokens, torch.cat([torch.zeros_like(context), context]))
    assert torch.allclose(estimates[-1], result, atol=1e-4)


def test_guidance_one_computes_one_half():
    unet, arguments = RecordingUNet(), (randn(1, 4, 5, 2, 2), randn(1, 4, 5, 2, 2, seed=1), randn(1, 3, 16))
    scheduler = build_scheduler("euler", SAMPLE, 2)
    denoise_clip(unet, scheduler, *arguments, guidance=1.0)
    assert all(len(sample) == 1 and len(tokens) == 5 for sample, _, tokens in unet.calls)
    assert torch.equal(unet.calls[0][2][0], unet.calls[0][2][4])  # one context for all frames
