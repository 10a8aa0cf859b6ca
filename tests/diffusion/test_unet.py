"""The motion U-Net: initialisation, input channels, and which frames a context reaches."""

import copy

import pytest
import torch
from support.tiny_pack import UNET, randn

from mimaface.mimaface_core.diffusion.unet import build_unet, max_clip_frames, motion_modules, predict


def test_new_unet_is_zero_and_its_motion_modules_the_identity():
    unet = build_unet(UNET)
    assert unet.conv_in.in_channels == 13 and len(motion_modules(unet)) == 7
    sample = randn(1, 13, 3, 4, 4)
    assert unet(sample, 5, encoder_hidden_states=randn(3, 5, 16)).sample.abs().max() == 0
    for module in motion_modules(unet):
        x = randn(6, module.in_channels, 4, 4)
        assert torch.equal(module(x, num_frames=3), x)


def test_a_level_may_do_without_motion_modules():
    levels = len(UNET["block_out_channels"])
    unet = build_unet({**UNET, "temporal_transformer_layers_per_block": [0] * levels})
    assert len(motion_modules(unet)) == 1, "that of the middle"
    with_them = build_unet(UNET)
    with_them.load_state_dict(unet.state_dict(), strict=False)
    for network in (unet, with_them):
        torch.nn.init.normal_(network.conv_out.weight, generator=torch.Generator().manual_seed(0))
    sample, context = randn(1, 13, 3, 4, 4), randn(3, 5, 16)
    alike = [network(sample, 5, encoder_hidden_states=context).sample for network in (unet, with_them)]
    assert torch.allclose(*alike, atol=1e-5) and alike[0].abs().max() > 0


def test_clips_are_as_long_as_the_motion_modules_allow(unet):
    from diffusers import UNet2DConditionModel

    shape = {"block_out_channels": [8], "norm_num_groups": 4, "layers_per_block": 1}
    blocks = {"down_block_types": ["DownBlock2D"], "up_block_types": ["UpBlock2D"]}
    assert max_clip_frames(unet) == UNET["motion_max_seq_length"]
    assert max_clip_frames(UNet2DConditionModel(**shape, **blocks)) == 1


def test_unet_refuses_other_input_channels():
    with pytest.raises(ValueError, match="13"):
        build_unet({**UNET, "in_channels": 4})


def test_context_reaches_its_own_frame_only_without_motion_modules():
    unet = build_unet(UNET).eval()  # motion modules are the identity
    torch.nn.init.normal_(unet.conv_out.weight, generator=torch.Generator().manual_seed(0))
    context = randn(2, 4, 5, 16, seed=1)
    changed = context.clone()
    changed[1, 2] += 1
    sample, t = randn(2, 13, 4, 4, 4), torch.tensor(7)
    with torch.no_grad():
        moved = (predict(unet, sample, t, context) - predict(unet, sample, t, changed)).abs().amax((1, 3, 4))
    assert moved[1, 2] > 1e-4
    moved[1, 2] = 0
    assert moved.max() < 1e-5


def test_context_reaches_other_frames_through_motion_modules(unet):
    context = randn(1, 4, 5, 16, seed=1)
    changed = context.clone()
    changed[0, 2] += 1
    sample, t = randn(1, 13, 4, 4, 4), torch.tensor(7)
    moved = (predict(unet, sample, t, context) - predict(unet, sample, t, changed)).abs().amax((1, 3, 4))
    assert (moved > 1e-4).all()


def test_motion_modules_in_bfloat16_are_as_near_as_with_diffusers_own_attention(unet):
    from diffusers.models.attention_processor import Attention, AttnProcessor2_0

    def drawn(network):
        return predict(network, randn(1, 13, 4, 8, 8), torch.tensor(7), randn(1, 4, 5, 16, seed=1))

    exact, half = drawn(unet), copy.deepcopy(unet).bfloat16()
    own = (drawn(half) - exact).abs().mean()
    for module in motion_modules(half):
        for part in module.modules():
            if isinstance(part, Attention):
                part.set_processor(AttnProcessor2_0())
    theirs = (drawn(half) - exact).abs().mean()
    assert 0 < own < 1.1 * theirs and own < 0.02 * exact.abs().mean(), (own, theirs)


@pytest.mark.parametrize("frames", [1, 5])
def test_motion_modules_that_are_made_fast_compute_what_those_of_diffusers_do(unet, monkeypatch, frames):
    from diffusers.models.activations import GEGLU
    from diffusers.models.attention import BasicTransformerBlock

    from mimaface.mimaface_core.diffusion import time_attention

    kinds = {time_attention.BlockInPieces: BasicTransformerBlock, time_attention.HalvesApart: GEGLU}
    plain = copy.deepcopy(unet)
    for part in plain.modules():
        part.__class__ = kinds.get(type(part), type(part))
    assert not any(isinstance(part, tuple(kinds)) for part in plain.modules())
    assert plain.state_dict().keys() == unet.state_dict().keys()
    monkeypatch.setattr(time_attention, "PIECE", 7 * frames * 8)  # seven places of the first level at once
    sample, context = randn(1, 13, frames, 6, 4), randn(1, frames, 5, 16, seed=2)
    with torch.no_grad():
        expected = predict(plain, sample, torch.tensor(7), context)
        assert torch.allclose(predict(unet, sample, torch.tensor(7), context), expected, atol=1e-5)
