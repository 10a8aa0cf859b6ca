"""The published appearance encoder: what it is shown of a person, and the tokens it makes of that."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import affine_transform
from support.published import VISION
from support.tiny_pack import awaken
from torch.nn import functional as F

from mimaface.mimaface_core.appearance.clip import CLIP_MEAN, CLIP_STD
from mimaface.mimaface_core.appearance.frames import Appearance
from mimaface.mimaface_core.appearance.identity import CurricularFace, identity_crop
from mimaface.mimaface_core.appearance.tokens_released import ReleasedAppearance, released_pixels, vision_state
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.d3dfr import CoefficientNetwork
from mimaface.mimaface_core.motion.alignment import aligned


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def empty(build, *arguments):
    """A network without memory, to look at its keys or to be filled tensor by tensor."""
    with torch.device("meta"):
        return build(*arguments)


def test_cutting_out_agrees_with_scipy():
    generator = np.random.default_rng(0)
    picture = torch.from_numpy(generator.uniform(-1, 1, (1, 3, 60, 80)).astype(np.float32))
    matrix = torch.tensor([[[0.6, -0.1, 12.0], [0.1, 0.6, -5.0]]])
    ours = aligned(picture, matrix, 50)
    linear = np.linalg.inv(matrix[0, :, :2].numpy())[::-1, ::-1]
    offset = -linear @ matrix[0, :, 2].numpy()[::-1]
    for channel in range(3):
        image = picture[0, channel].numpy()
        theirs = affine_transform(image, linear, offset, (50, 50), order=1, mode="grid-constant")
        assert np.abs(ours[0, channel].numpy() - theirs).max() < 1e-4


def test_identity_crop_is_the_released_one():
    """The face is drawn at 256 on a canvas of 512, so after shrinking and cropping half of it is left."""
    picture = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    crop = identity_crop(picture, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]))
    # The identity matrix leaves the canvas as the picture: four by four pixels become one.
    expected = F.avg_pool2d(picture[:, :, :448, 32:480], 4)
    assert crop.shape == (1, 3, 112, 112) and torch.allclose(crop, expected, atol=1e-4)
    half = identity_crop(torch.ones(1, 3, 512, 512), torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert half[0, 0, 10, 10] == 1 and half[0, 0, 80, 10] == 0 and half[0, 0, 10, 80] == 0


def test_crops_refuse_what_does_not_fit():
    flat = torch.tensor([[[1.0, 0, 0], [1, 0, 0]]])
    with pytest.raises(InputError, match="line"):
        identity_crop(torch.zeros(1, 3, 64, 64), flat)
    with pytest.raises(InputError, match="matrices"):
        aligned(torch.zeros(2, 3, 64, 64), flat)
    with pytest.raises(InputError, match="112"):
        CurricularFace()(torch.zeros(1, 3, 256, 256))
    with pytest.raises(InputError, match="256"):
        CoefficientNetwork()(torch.zeros(1, 3, 224, 224))
    with pytest.raises(InputError, match="square"):
        released_pixels(torch.zeros(1, 3, 64, 32), 32)


@pytest.mark.parametrize("side", [512, 224, 100])
def test_clip_sees_what_the_processor_makes_of_a_picture(side):
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC))
    expected = (torch.from_numpy(small.copy()) / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    ours = released_pixels(torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1, 224)
    assert torch.allclose(ours[0].permute(1, 2, 0), expected, atol=1e-5)


@pytest.fixture(scope="module")
def encoder():
    return awaken(ReleasedAppearance(VISION, context_dim=16, layers=1)).eval().requires_grad_(False)


def test_context_of_a_clip_is_the_mean_of_its_frames(encoder):
    generator = torch.Generator().manual_seed(0)
    crop = (torch.randn(1, 3, 64, 64, generator=generator) / 2).clamp(-1, 1)
    tokens = encoder.encode_source(crop, torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert tokens.shape == (1, 6, 16)  # identity, class, four patches
    motion = torch.randn(3, 261, generator=generator)
    each = encoder.modulate(tokens, motion, average=False)
    assert each.shape == (3, 12, 16)
    assert torch.allclose(each[1:2], encoder.modulate(tokens, motion[1:2], average=False), atol=1e-5)
    as_released = encoder.modulate(tokens, motion)
    assert torch.allclose(as_released, each.mean(0, keepdim=True), atol=1e-6)
    assert torch.equal(Appearance(encoder, tokens, motion).context([0, 1, 2]), as_released)
    with pytest.raises(InputError, match="261"):
        encoder.modulate(tokens, motion[:, :71])
    with pytest.raises(InputError, match="2 sources do not fit 3 frames"):
        encoder.modulate(tokens.expand(2, -1, -1), motion)


def test_every_number_of_the_motion_but_identity_has_its_token(encoder):
    motion = torch.zeros(1, 261)
    tokens = torch.zeros(1, 6, 16)
    seen = []
    encoder.fuse.mapper.resblocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0]))
    groups = {
        "gaze": 257,
        "expression": 80,
        "texture": 144,
        "lighting": 227,
        "angles": 224,
        "translation": 254,
    }
    encoder.modulate(tokens, motion)
    for number in [0, *groups.values()]:
        changed = motion.clone()
        changed[0, number] = 1
        encoder.modulate(tokens, changed)
    changes = [(x - seen[0]).abs().amax((0, 2)) > 1e-6 for x in seen[1:]]
    assert not changes[0].any()
    for place, change in enumerate(changes[1:], 1):
        assert change.nonzero().flatten().tolist() == [place]


def test_vision_tokens_are_taken_before_the_last_norm(encoder):
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = encoder.vision(pixel_values=pixels).last_hidden_state
    states = encoder.vision(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert torch.equal(before, states[-1]) and before.shape == (1, 5, 16)


def test_an_encoder_without_memory_is_filled_from_its_files():
    made = empty(ReleasedAppearance, VISION, 16, 1)
    whole = ReleasedAppearance(VISION, 16, 1).eval()
    saved = {f"vision_model.{key}": value for key, value in whole.vision.state_dict().items()}
    extras = {"vision_model.embeddings.position_ids": torch.arange(5)[None], "logit_scale": torch.zeros(())}
    extras |= {
        "text_model.final_layer_norm.bias": torch.zeros(2),
        "visual_projection.weight": torch.zeros(2, 2),
    }
    made.vision.load_state_dict(vision_state({**saved, **extras}), strict=True, assign=True)
    made.identity.load_state_dict(whole.identity.state_dict(), strict=True, assign=True)
    made.fuse.load_state_dict(whole.fuse.state_dict(), strict=True, assign=True)
    crop, matrix = torch.zeros(1, 3, 32, 32), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    assert torch.equal(made.eval().encode_source(crop, matrix), whole.encode_source(crop, matrix))
