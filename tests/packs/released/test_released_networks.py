"""The released networks: keys and shapes, parity with the released code, key maps, the clip loop."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.parity import fingerprint, noise, off, stored, weight
from support.tiny_pack import awaken
from torch.nn import functional as F

from mimaface.mimaface_core.appearance.identity import CurricularFace
from mimaface.mimaface_core.appearance.tokens_released import PostFuse
from mimaface.mimaface_core.diffusion.area import whole_area
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.denoise import denoise_clip
from mimaface.mimaface_core.diffusion.schedule import build_scheduler
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.unet import motion_modules, predict
from mimaface.mimaface_core.diffusion.unet_released import (
    build_image_unet,
    build_video_unet,
    combine,
    diffusers_key,
    longest_clip,
    released_keys,
    to_diffusers,
    to_released,
)
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.d3dfr import CoefficientNetwork, regress

EPSILON = {"prediction_type": "epsilon"}
# Fingerprints of all keys and shapes of the released files, see `support.parity.fingerprint`.
FINGERPRINTS = {
    "d3dfr": "b0e4cb2d86ac924a",
    "curricularface": "01f7f8a7e06aa973",
    "mim": "87f950d87a5c67b4",
    "unet3d": "4eb6a880f0183f6a",
}
NETWORKS = {"d3dfr": CoefficientNetwork, "curricularface": CurricularFace, "mim": PostFuse}
GAIN = {"curricularface": 0.7}
SMALL = {"block_out_channels": [32, 32, 64, 64], "layers_per_block": 1, "cross_attention_dim": 16}
SMALL_VIDEO = {**SMALL, "num_attention_heads": 2, "motion_num_attention_heads": 2}
SMALL_IMAGE = {**SMALL, "attention_head_dim": 2}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def empty(build, *arguments):
    """A network on the device `meta`: its keys and shapes, or to be filled."""
    with torch.device("meta"):
        return build(*arguments)


def shapes(state):
    return {key: tuple(value.shape) for key, value in state.items()}


def filled(name):
    """A released network in evaluation mode, with weights that its keys determine."""
    network = empty(NETWORKS[name])
    state = {key: weight(key, shape, GAIN.get(name, 1)) for key, shape in shapes(network.state_dict()).items()}
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def small_unet():
    return awaken(build_video_unet(SMALL_VIDEO)).eval()


# -- keys


@pytest.mark.parametrize("name", NETWORKS)
def test_keys_and_shapes_are_the_released_ones(name):
    assert fingerprint(shapes(empty(NETWORKS[name]).state_dict())) == FINGERPRINTS[name]


def test_the_key_map_of_the_video_unet_is_total():
    ours = empty(build_video_unet, {}).state_dict()
    released = to_released(ours)
    assert len(released) == 1246 and fingerprint(shapes(released)) == FINGERPRINTS["unet3d"]
    assert {diffusers_key(key) for key in released} == set(ours)
    for key in ours:
        assert {diffusers_key(name) for name in released_keys(key)} == {key}
    # Only the position tables are doubled in the released file.
    doubled = [key for key in ours if len(released_keys(key)) == 2]
    assert len(released) - len(ours) == len(doubled) == 20
    assert all(key.endswith("pos_embed.pe") for key in doubled)


def test_the_image_unet_has_the_keys_of_the_video_unet_without_motion():
    image = empty(build_image_unet, {}).state_dict()
    video = to_released(empty(build_video_unet, {}).state_dict())
    assert shapes(image) == shapes({k: v for k, v in video.items() if "motion_modules." not in k})
    assert image["conv_in.weight"].shape == (320, 13, 3, 3)
    with pytest.raises(ValueError, match="13"):
        build_image_unet({"in_channels": 4})


# -- parity with the released code


def test_parity_coefficient_network():
    theirs = stored("regressors")["d3dfr.out"]
    coefficients, eyes = regress(filled("d3dfr"), noise("d3dfr_in", 2, 3, 256, 256).clamp(-1, 1))
    assert coefficients.values.shape == (2, 257) and eyes.shape == (2, 4)
    assert off(torch.cat([coefficients.values, eyes], 1), theirs) <= 1e-4


def test_parity_identity_features():
    theirs = stored("regressors")["curricularface.deep"]
    features = filled("curricularface")(noise("arc_in", 1, 3, 112, 112).clamp(-1, 1))
    assert features.shape == (1, 25088)
    assert off(features[:, ::49], theirs) <= 1e-4


def test_parity_post_fuse_module():
    theirs = stored("mim")["mim.out"]
    parts = {"exp": 64, "tex": 80, "angles": 3, "gamma": 27, "trans": 3, "gaze": 4}
    motion = torch.cat([torch.zeros(3, 80)] + [noise(name, 3, size) for name, size in parts.items()], 1)
    fuse = filled("mim")
    tokens = fuse.source_tokens(noise("clip", 1, 3, 257, 1024)[0], noise("arcface", 3, 25088))
    context = fuse(tokens, motion)
    assert context.shape == (3, 264, 768)
    assert off(context[:, :16], theirs) <= 1e-4


@pytest.fixture(scope="module")
def released_unet():
    """The video U-Net at full size (5 GB), filled through the key map from tensors under released keys."""
    stored("unet3d")  # skips before the network is built
    unet = empty(build_video_unet, {})
    keys = shapes(to_released(unet.state_dict()))
    with ThreadPoolExecutor(2) as pool:
        state = dict(zip(keys, pool.map(weight, keys.keys(), keys.values()), strict=True))
    assert longest_clip(state) == unet.config.motion_max_seq_length == 32
    unet.load_state_dict(to_diffusers(state), strict=True, assign=True)
    return unet.eval()


def test_parity_video_unet(released_unet):
    theirs = stored("unet3d")["unet3d.out"]
    context = noise("unet_ctx", 2, 264, 768)[:, None].expand(-1, 10, -1, -1)
    ours = predict(released_unet, noise("unet_in", 2, 13, 10, 16, 16), torch.tensor(501), context)
    assert off(ours, theirs) <= 1e-4


@pytest.mark.long
def test_parity_two_clips_with_carried_latents(released_unet):
    theirs, latents = stored("sampler"), None
    for clip in range(2):
        scheduler = build_scheduler("euler", EPSILON, 4)
        assert torch.equal(scheduler.timesteps, theirs["pipeline.timesteps"])
        assert torch.allclose(scheduler.sigmas, theirs["pipeline.sigmas"], rtol=1e-6)
        latents = denoise_clip(
            released_unet,
            scheduler,
            noise(f"init{clip}", 1, 4, 10, 8, 8),
            noise(f"render{clip}", 1, 4, 10, 8, 8),
            noise(f"ctx{clip}", 1, 264, 768),
            guidance=5.0,
            previous=latents,
            overlap=3,
        )
        assert off(latents[0].transpose(0, 1), theirs[f"pipeline.clip{clip}"]) <= 1e-4


# -- the U-Nets


def test_the_key_map_and_its_inverse_keep_every_value():
    state = small_unet().state_dict()
    released = to_released(state)
    back = to_diffusers(released)
    assert set(back) == set(state) and all(torch.equal(back[key], state[key]) for key in state)
    block = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0."
    plain = "down_blocks.0.motion_modules.0.transformer_blocks.0."
    for theirs, ours in {
        "attention_blocks.1.to_out.0.bias": "attn2.to_out.0.bias",
        "norms.1.weight": "norm2.weight",
        "ff_norm.weight": "norm3.weight",
        "ff.net.2.weight": "ff.net.2.weight",
    }.items():
        assert torch.equal(released[block + theirs], state[plain + ours])
    for key in ("mid_block.attentions.0.norm.weight", "strange.motion_modules.0.thing"):
        assert diffusers_key(key) == key


def test_position_tables_that_differ_are_refused():
    released = to_released(small_unet().state_dict())
    key = next(key for key in released if key.endswith("attention_blocks.1.pos_encoder.pe"))
    with pytest.raises(InputError, match="differs"):
        to_diffusers({**released, key: released[key] + 1})
    with pytest.raises(InputError, match="2 lengths"):
        longest_clip({**released, key: released[key][:, :24]})
    with pytest.raises(InputError, match="0 lengths"):
        longest_clip({})
    assert longest_clip(released) == longest_clip(to_diffusers(released)) == 32


def test_motion_modules_normalise_each_frame_by_itself():
    module = motion_modules(small_unet())[0]
    x = torch.randn(1, 32, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    x[:, :, 1] *= 5
    norm = module.norm
    each = [F.group_norm(frame, norm.num_groups, norm.weight, norm.bias, norm.eps) for frame in x.unbind(2)]
    assert torch.allclose(norm(x), torch.stack(each, 2), atol=1e-5)


def test_the_video_checkpoint_is_combined_with_the_image_unet():
    image = awaken(build_image_unet(SMALL_IMAGE), 1).state_dict()
    video = to_released(small_unet().state_dict())
    both = combine(image, video)
    assert set(both) == set(video)
    for key, value in both.items():
        origin = video if "motion_modules." in key or "conv_in." in key else image
        assert torch.equal(value, origin[key])
    build_video_unet(SMALL_VIDEO).load_state_dict(to_diffusers(both), strict=True)
    with pytest.raises(InputError, match="conv_in"):
        combine(image, {key: value for key, value in video.items() if "conv_in." not in key})
    with pytest.raises(InputError, match="motion_modules"):
        combine(image, image)


def test_the_image_unet_denoises_frames_one_by_one():
    unet = awaken(build_image_unet(SMALL_IMAGE)).eval()
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 13, 3, 8, 8, generator=generator)
    context = torch.randn(2, 3, 5, 16, generator=generator)
    output = predict(unet, sample, torch.tensor(7), context)
    assert output.shape == (2, 4, 3, 8, 8)
    for frame in range(3):
        alone = unet(sample[:, :, frame], 7, encoder_hidden_states=context[:, frame]).sample
        assert torch.allclose(output[:, :, frame], alone, atol=1e-4)


class Latents:
    """In place of an autoencoder: an image's pixels and its first channel are its latents, latents are frames."""

    batch, light = 4, False

    def encode(self, images, generator):
        return torch.cat([images, images[:, :1]], 1)

    def area(self, renders):
        return whole_area(renders.shape[-2:])

    def to_frames(self, latents, renders, render_latents):
        return latents


def test_the_clip_loop_as_released():
    """Seed 0 for every clip, three frames carried, one context for a clip: sampled clip by clip by hand."""
    unet = small_unet()
    generator = torch.Generator().manual_seed(1)
    renders = torch.randn(17, 3, 8, 8, generator=generator)
    contexts = {0: torch.randn(1, 5, 16, generator=generator), 7: torch.randn(1, 5, 16, generator=generator)}
    parts = SimpleNamespace(unet=unet, latents=Latents(), scheduler=EPSILON)
    settings = SamplerSettings(frames=10, overlap=3, steps=2, guidance=5.0)
    clips = list(sample_clips(parts, iter(renders), lambda numbers: contexts[numbers[0]], 17, settings))

    latents = None
    for start, clip in zip((0, 7), clips, strict=True):
        latents = denoise_clip(
            unet,
            build_scheduler("euler", EPSILON, 2),
            torch.randn(1, 4, 10, 8, 8, generator=torch.Generator().manual_seed(0)),
            Latents().encode(renders[start : start + 10], None).transpose(0, 1)[None],
            contexts[start],
            guidance=5.0,
            previous=latents,
            overlap=3,
        )
        new = latents[0].transpose(0, 1)[3 if start else 0 :]
        assert torch.allclose(clip, new, rtol=1e-4, atol=1e-4)


def test_an_image_unet_draws_clips_of_one_frame():
    parts = SimpleNamespace(unet=awaken(build_image_unet(SMALL_IMAGE)).eval(), latents=Latents(), scheduler=EPSILON)
    renders, context = torch.randn(2, 3, 8, 8), torch.randn(1, 5, 16)
    settings = SamplerSettings(frames=1, overlap=0, steps=2, guidance=5.0)
    clips = list(sample_clips(parts, iter(renders), lambda numbers: context, 2, settings))
    assert [clip.shape for clip in clips] == [(1, 4, 8, 8)] * 2 and torch.isfinite(torch.cat(clips)).all()
    with pytest.raises(InputError, match="at most 1 frames"):
        sample_clips(parts, iter(renders), lambda numbers: context, 2, replace(settings, frames=2))
