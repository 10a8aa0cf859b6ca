"""What is not computed does not show: the area of the change, the folded autoencoder, small number types."""

import threading

import pytest
import torch

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion import latents as latents_module
from mimaface.mimaface_core.diffusion.area import Area, free_area, whole_area
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.tiny import TinyCoder
from mimaface.mimaface_core.packs.pack import BUNDLED_PACK, ModelPack
from mimaface.mimaface_core.tensors import blur


def psnr(image, other):
    return float(10 * torch.log10(4 / (image - other).square().mean()))


def test_the_area_holds_all_that_is_free():
    freedom = torch.zeros(2, 512, 512)
    freedom[0, 200:260, 150], freedom[1, 300, 310] = 1, 0.5
    area = free_area(freedom, (64, 64))
    assert (area.rows, area.columns) == (slice(16, 42), slice(8, 42))
    assert area.cut(freedom, 8).sum() == freedom.sum()
    assert torch.equal(area.placed(area.cut(torch.ones(1, 64, 64))).nonzero()[0], torch.tensor([0, 16, 8]))
    assert area.placed(area.cut(torch.ones(64, 64)), torch.nan)[:16].isnan().all()
    assert area.grown(10) == Area(slice(6, 52), slice(0, 52), (64, 64))


@pytest.mark.parametrize("corner", [(0, 0), (511, 511), None])
def test_an_area_at_a_corner_and_of_nothing_fits_the_image(corner):
    freedom = torch.zeros(1, 512, 512)
    if corner:
        freedom[0, corner[0], corner[1]] = 1
    area = free_area(freedom, (64, 64))
    assert min(area.cut(torch.ones(64, 64)).shape) >= 16
    assert area.cut(freedom, 8).sum() == freedom.sum()


WIDTHS = ("encoder_block_out_channels", "decoder_block_out_channels")


@pytest.mark.parametrize("colour", [False, True])
def test_the_folded_autoencoder_is_the_autoencoder(colour):
    vae = ModelPack.load(BUNDLED_PACK).vae
    exact, quick = LatentSpace(vae, "residual", 2.0, colour=colour), TinyCoder.of(vae, colour, torch.float32)
    generator = torch.Generator().manual_seed(4)
    images = blur(torch.rand(1, 3, 320, 320, generator=generator) * 2 - 1, 2.0)
    coded = exact.encode(images)
    inside, pixels = slice(16, -16), slice(128, -128)  # farther than the zeros at the border reach
    assert torch.allclose(quick.encode(images)[..., inside, inside], coded[..., inside, inside], atol=1e-4)
    other = coded + torch.randn(coded.shape, generator=generator) / 10
    change = (exact.decode(other) - exact.decode(coded))[..., pixels, pixels]
    change = change if colour else change.mean(1, keepdim=True)
    assert torch.allclose(quick.change(other, coded)[..., pixels, pixels], change, atol=1e-4)


@pytest.mark.parametrize("threads", [1, 2])
def test_layers_are_folded_however_their_sums_are_rounded(threads):
    vae, before = build_vae("AutoencoderTiny", {key: [8, 8, 8, 8] for key in WIDTHS}).eval(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert TinyCoder.of(vae, True, torch.float32) is not None
    finally:
        torch.set_num_threads(before)


def test_other_autoencoders_are_left_as_they_are():
    kl = build_vae("AutoencoderKL", {"block_out_channels": [8], "norm_num_groups": 4})
    assert TinyCoder.of(kl.eval(), True, torch.float32) is None


@pytest.fixture
def renders():
    generator = torch.Generator().manual_seed(3)
    colours = blur(torch.rand(4, 3, 256, 256, generator=generator) * 2 - 1, 3.0)
    freedom = torch.zeros(4, 1, 256, 256)
    freedom[..., 90:160, 60:150] = 1
    freedom[3, :, 90:160, 60:230] = 1  # the second clip is free where the first one was not
    return torch.cat([colours, blur(freedom, 3.0)], 1)


def clips_of(pack, renders, context=lambda numbers: torch.zeros(1, 5, 128)):
    """Two clips."""
    return sample_clips(pack, iter(renders), context, 4, SamplerSettings.of(pack, frames=3, overlap=1))


def threads_of_ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith(("mimaface-ahead", "mimaface-beside"))]


def test_clips_that_are_drawn_at_once_are_those_drawn_one_after_the_other(renders):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        frames = torch.cat(list(clips_of(ModelPack.load(BUNDLED_PACK), renders)))
        with host.use(host.Host(low_memory=True)):
            alone = torch.cat(list(clips_of(ModelPack.load(BUNDLED_PACK), renders)))
    finally:
        torch.set_num_threads(before)
    assert torch.allclose(frames, alone, atol=1e-4) and len(frames) == 4 and not threads_of_ours()


def test_a_fault_in_a_clip_comes_after_the_frames_before_it_and_leaves_no_thread(renders):
    def context(numbers):
        if numbers[0]:
            raise ValueError("the second clip")
        return torch.zeros(1, 5, 128)

    clips = clips_of(ModelPack.load(BUNDLED_PACK), renders, context)
    assert len(next(clips)) == 3
    with pytest.raises(ValueError, match="the second clip"):
        next(clips)
    assert not threads_of_ours()
    clips = clips_of(ModelPack.load(BUNDLED_PACK), renders)
    next(clips)
    clips.close()
    assert not threads_of_ours()


def test_frames_are_those_of_the_plain_path(monkeypatch, renders):
    def drawn(pack):
        return torch.cat(list(clips_of(pack, renders)))

    frames = drawn(ModelPack.load(BUNDLED_PACK))
    with monkeypatch.context() as patch, host.use(host.Host(dtype=torch.float32)):
        patch.setattr(latents_module, "free_area", lambda freedom, size: whole_area(size))
        patch.setattr(TinyCoder, "of", lambda *arguments: None)
        plain = drawn(ModelPack.load(BUNDLED_PACK))
    assert all(psnr(frame, other) > 52 for frame, other in zip(frames, plain))
    assert psnr(frames, plain) > psnr(renders[:, :3], plain) + 6  # there is something to compare
    assert torch.equal(frames[..., :64, :], renders[:, :3, :64])
