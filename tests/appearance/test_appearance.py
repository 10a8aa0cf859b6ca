"""The paper's appearance encoder: CLIP's pre-processing, equation 1, and the context of each frame."""

import math

import pytest
import torch
from support.tiny_pack import APPEARANCE, awaken

from mimaface.mimaface_core.appearance.clip import CLIP_MEAN, CLIP_STD, clip_pixels
from mimaface.mimaface_core.appearance.mia import AppearanceEncoder, MotionModulation


@pytest.fixture(scope="module")
def encoder() -> AppearanceEncoder:
    return awaken(AppearanceEncoder(**APPEARANCE)).eval().requires_grad_(False)


def test_clip_pixels_normalises_white_and_black():
    for value, level in ((1.0, 1.0), (-1.0, 0.0)):
        pixels = clip_pixels(torch.full((2, 3, 50, 50), value), 32)
        assert pixels.shape == (2, 3, 32, 32)
        expected = [(level - mean) / std for mean, std in zip(CLIP_MEAN, CLIP_STD, strict=True)]
        assert torch.allclose(pixels[0, :, 16, 16], torch.tensor(expected), atol=1e-4)


def test_clip_pixels_agrees_with_the_transformers_processor():
    from transformers import CLIPImageProcessor

    image = torch.randint(0, 256, (96, 96, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    smooth = torch.nn.functional.avg_pool2d(image.permute(2, 0, 1).float()[None], 9, 1, 4)[0].round()
    processor = CLIPImageProcessor(size={"shortest_edge": 48}, crop_size={"height": 48, "width": 48})
    expected = processor(images=smooth.permute(1, 2, 0).byte().numpy(), return_tensors="pt").pixel_values
    ours = clip_pixels(smooth[None] / 127.5 - 1, 48)
    assert (ours - expected).abs().max() < 0.03  # the processor rounds to 8 bits, one level is 0.015


def test_clip_pixels_refuses_other_shapes():
    with pytest.raises(ValueError, match="RGB"):
        clip_pixels(torch.zeros(1, 4, 32, 32), 32)


def test_modulation_is_equation_one():
    generator = torch.Generator().manual_seed(0)
    modulation = MotionModulation(8)
    e, motion = torch.randn(2, 5, 8, generator=generator), torch.randn(2, 71, generator=generator)
    groups = (("angles", 0, 3), ("expression", 3, 67), ("gaze", 67, 71))
    with torch.no_grad():
        result = modulation(e, motion)
        for frame in range(2):
            m = torch.stack([modulation.embed[name](motion[frame, low:high]) for name, low, high in groups])
            for token in range(5):
                weights = torch.softmax(m @ e[frame, token] / math.sqrt(8), dim=0)
                assert torch.allclose(result[frame, token], e[frame, token] + weights @ m, atol=1e-5)


def test_each_frame_has_its_own_context(encoder):
    generator = torch.Generator().manual_seed(0)
    source = torch.rand(1, 3, 40, 40, generator=generator) * 2 - 1
    motion = torch.randn(3, 71, generator=generator)
    motion[2] = motion[0]
    context = encoder(source, motion)
    assert context.shape == (3, 5, 16)  # a class token and four patches
    assert torch.allclose(context[0], context[2], atol=1e-6)
    assert (context[0] - context[1]).abs().max() > 1e-3
    # One frame at a time gives the same: frames do not meet here.
    assert torch.allclose(context[1:2], encoder(source, motion[1:2]), atol=1e-5)


def test_source_is_encoded_apart_from_the_motion(encoder):
    source, motion = torch.zeros(1, 3, 32, 32), torch.zeros(2, 71)
    tokens = encoder.encode_source(source)
    assert tokens.shape == (1, 5, 16)
    assert torch.equal(encoder.modulate(tokens, motion), encoder(source, motion))


def test_every_motion_group_matters(encoder):
    tokens = encoder.encode_source(torch.zeros(1, 3, 32, 32))
    motion = torch.zeros(4, 71)
    motion[1, 0] = motion[2, 10] = motion[3, 70] = 1.0
    context = encoder.modulate(tokens, motion)
    assert all((context[i] - context[0]).abs().max() > 1e-4 for i in (1, 2, 3))


def test_wrong_motion_is_refused(encoder):
    tokens = encoder.encode_source(torch.zeros(2, 3, 32, 32))
    with pytest.raises(ValueError, match="71"):
        encoder.modulate(tokens, torch.zeros(2, 70))
    with pytest.raises(ValueError, match="2 sources do not fit 3 frames"):
        encoder.modulate(tokens, torch.zeros(3, 71))


def test_gradients_reach_every_used_part():
    encoder = awaken(AppearanceEncoder(**APPEARANCE)).train()
    encoder(torch.zeros(1, 3, 32, 32), torch.ones(2, 71)).square().sum().backward()
    without_gradient = [name for name, value in encoder.named_parameters() if value.grad is None]
    assert all("post_layernorm" in name for name in without_gradient)  # CLIP's pooled output is not used
