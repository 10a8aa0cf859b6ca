"""The released appearance encoder: its crops of the source, and its tokens."""

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import affine_transform
from support.released import VISION
from support.tiny_pack import awaken
from support.tracks import track
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
    """A network on the device `meta`: its keys and shapes, or to be filled."""
    with torch.device("meta"):
        return build(*arguments)


def test_crops_agree_with_scipy():
    generator = np.random.default_rng(0)
    image = torch.from_numpy(generator.uniform(-1, 1, (1, 3, 60, 80)).astype(np.float32))
    matrix = torch.tensor([[[0.6, -0.1, 12.0], [0.1, 0.6, -5.0]]])
    ours = aligned(image, matrix, 50)
    linear = np.linalg.inv(matrix[0, :, :2].numpy())[::-1, ::-1]
    offset = -linear @ matrix[0, :, 2].numpy()[::-1]
    for channel in range(3):
        theirs = affine_transform(image[0, channel].numpy(), linear, offset, (50, 50), order=1, mode="grid-constant")
        assert np.abs(ours[0, channel].numpy() - theirs).max() < 1e-4


def test_identity_crop_is_the_released_one():
    """The face is drawn at 256 on a canvas of 512, so after shrinking and cropping half of it is left."""
    image = torch.randn(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    crop = identity_crop(image, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]))
    # The identity matrix leaves the canvas unchanged: four by four pixels become one.
    expected = F.avg_pool2d(image[:, :, :448, 32:480], 4)
    assert crop.shape == (1, 3, 112, 112) and torch.allclose(crop, expected, atol=1e-4)
    half = identity_crop(torch.ones(1, 3, 512, 512), torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert half[0, 0, 10, 10] == 1 and half[0, 0, 80, 10] == 0 and half[0, 0, 10, 80] == 0


def test_crops_refuse_unfit_sizes_and_matrices():
    flat = torch.tensor([[[1.0, 0, 0], [1, 0, 0]]])
    with pytest.raises(InputError, match="line"):
        identity_crop(torch.zeros(1, 3, 64, 64), flat)
    with pytest.raises(ValueError, match="matrices"):
        aligned(torch.zeros(2, 3, 64, 64), flat)
    with pytest.raises(ValueError, match="112"):
        CurricularFace()(torch.zeros(1, 3, 256, 256))
    with pytest.raises(ValueError, match="256"):
        CoefficientNetwork()(torch.zeros(1, 3, 224, 224))
    with pytest.raises(ValueError, match="square"):
        released_pixels(torch.zeros(1, 3, 64, 32), 32)


@pytest.mark.parametrize("side", [512, 224, 100])
def test_pixels_for_clip_are_those_of_the_processor(side):
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    small = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC))
    expected = (torch.from_numpy(small.copy()) / 255 - torch.tensor(CLIP_MEAN)) / torch.tensor(CLIP_STD)
    ours = released_pixels(torch.from_numpy(image).permute(2, 0, 1)[None] / 127.5 - 1, 224)
    assert torch.allclose(ours[0].permute(1, 2, 0), expected, atol=1e-5)


@pytest.fixture(scope="module")
def encoder():
    return awaken(ReleasedAppearance(VISION, context_dim=16, layers=1)).eval().requires_grad_(False)


def test_context_of_a_clip_is_the_mean_of_its_frames(encoder):
    generator = torch.Generator().manual_seed(0)
    crop = (torch.randn(1, 3, 64, 64, generator=generator) / 2).clamp(-1, 1)
    tokens = encoder.encode_source(crop, torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]]))
    assert tokens.shape == (1, 6, 16)  # identity, class, four patches
    moved = track(3)
    motion = encoder.motion_of(moved)
    assert motion.shape == (3, 261)
    each = encoder.modulate(tokens, motion, average=False)
    assert each.shape == (3, 12, 16)
    assert torch.allclose(each[1:2], encoder.modulate(tokens, motion[1:2], average=False), atol=1e-5)
    as_released = encoder.modulate(tokens, motion)
    assert torch.allclose(as_released, each.mean(0, keepdim=True), atol=1e-6)
    assert torch.equal(Appearance(encoder, tokens, moved).context([0, 1, 2]), as_released)
    with pytest.raises(ValueError, match="261"):
        encoder.modulate(tokens, motion[:, :71])
    with pytest.raises(ValueError, match="2 sources do not fit 3 frames"):
        encoder.modulate(tokens.expand(2, -1, -1), motion)


def test_every_number_of_the_motion_but_identity_changes_its_own_token(encoder):
    motion = torch.zeros(1, 261)
    tokens = torch.zeros(1, 6, 16)
    inputs_of_block = []
    encoder.fuse.mapper.resblocks[0].register_forward_pre_hook(lambda block, inputs: inputs_of_block.append(inputs[0]))
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
    changes = [(x - inputs_of_block[0]).abs().amax((0, 2)) > 1e-6 for x in inputs_of_block[1:]]
    assert not changes[0].any()
    for place, change in enumerate(changes[1:], 1):
        assert change.nonzero().flatten().tolist() == [place]


def test_vision_tokens_are_taken_before_the_last_norm(encoder):
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = encoder.vision(pixel_values=pixels).last_hidden_state
    states = encoder.vision(pixel_values=pixels, output_hidden_states=True).hidden_states
    assert torch.equal(before, states[-1]) and before.shape == (1, 5, 16)


def test_an_encoder_on_the_meta_device_is_filled_from_its_files():
    encoder = empty(ReleasedAppearance, VISION, 16, 1)
    whole = ReleasedAppearance(VISION, 16, 1).eval()
    saved = {f"vision_model.{key}": value for key, value in whole.vision.state_dict().items()}
    extras = {"vision_model.embeddings.position_ids": torch.arange(5)[None], "logit_scale": torch.zeros(())}
    extras |= {
        "text_model.final_layer_norm.bias": torch.zeros(2),
        "visual_projection.weight": torch.zeros(2, 2),
    }
    encoder.vision.load_state_dict(vision_state({**saved, **extras}), strict=True, assign=True)
    encoder.identity.load_state_dict(whole.identity.state_dict(), strict=True, assign=True)
    encoder.fuse.load_state_dict(whole.fuse.state_dict(), strict=True, assign=True)
    crop, matrix = torch.zeros(1, 3, 32, 32), torch.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    assert torch.equal(encoder.eval().encode_source(crop, matrix), whole.encode_source(crop, matrix))
