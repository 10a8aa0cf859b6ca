"""Latent space: images and residuals, encoded and decoded."""

import pytest
import torch
from support.tiny_pack import VAE, awaken, randn

from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.errors import InputError


def test_residual_zero_is_the_render(vae):
    space = LatentSpace(vae, "residual", 3.0)
    renders = (randn(5, 3, 32, 32) / 2).clamp(-1, 1)
    coded = space.encode(renders)
    assert coded.shape == (5, 4, 4, 4)
    assert torch.equal(space.to_frames(torch.zeros_like(coded), renders, coded), renders)


def test_a_fourth_channel_of_the_renders_scales_the_change(vae):
    space = LatentSpace(vae, "residual", 3.0)
    renders = (randn(2, 3, 32, 32) / 2).clamp(-1, 1)
    share = torch.zeros(2, 1, 32, 32)
    share[..., 16:] = 1
    latents = randn(2, 4, 4, 4)
    free = space.to_frames(latents, renders, space.encode(renders))
    held = space.to_frames(latents, torch.cat([renders, share], 1), space.encode(renders))
    assert torch.equal(held[..., :16], renders[..., :16]) and torch.equal(held[..., 16:], free[..., 16:])
    assert not torch.equal(free[..., :16], renders[..., :16])


def test_residual_target_returns_through_the_decoder(vae):
    space = LatentSpace(vae, "residual", 3.0)
    images, renders = ((randn(3, 3, 32, 32, seed=seed) / 3).clamp(-1, 1) for seed in (0, 1))
    coded = space.encode(renders)
    frames = space.to_frames(space.to_target(images, coded), renders, coded)
    expected = (renders + space.decode(space.encode(images)) - space.decode(coded)).clamp(-1, 1)
    assert torch.allclose(frames, expected, atol=1e-4)


def test_picture_target_with_autoencoder_kl():
    config = {
        "block_out_channels": [4, 4],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "norm_num_groups": 2,
    }
    space = LatentSpace(build_vae("AutoencoderKL", config).eval().requires_grad_(False), "picture")
    images = (randn(3, 3, 16, 16) / 3).clamp(-1, 1)
    mode = space.encode(images)
    raw = space.vae.encode(images).latent_dist.mode()
    assert torch.allclose(mode, raw * 0.18215, atol=1e-5)
    drawn = [space.encode(images, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    expected = space.vae.decode(raw).sample.clamp(-1, 1)
    assert torch.allclose(space.to_frames(mode, images, mode), expected, atol=1e-4)
    assert torch.equal(space.to_target(images, mode), mode)


def test_overflow_of_half_precision_is_repeated_in_float32():
    weak = awaken(build_vae("AutoencoderTiny", VAE)).eval().requires_grad_(False)
    space = LatentSpace(weak, "picture")
    latents = randn(2, 4, 4, 4)
    weak.decoder.layers[0].weight *= 1e5
    expected = space.decode(latents)
    weak.decoder.layers[0].weight.clamp_(-65504, 65504)
    weak.half()
    frames = space.decode(latents)
    assert torch.isfinite(frames).all() and frames.shape == expected.shape
    assert next(weak.parameters()).dtype == torch.float32


def test_unknown_targets_scales_and_autoencoders_are_refused(vae):
    for arguments in (("pixels", 1.0), ("residual", 0.0)):
        with pytest.raises(InputError):
            LatentSpace(vae, *arguments)
    with pytest.raises(InputError, match="VQModel"):
        build_vae("VQModel", {})
