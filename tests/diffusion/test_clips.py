"""The loop over clips: schedule, carried latents, seeds, progress and cancelling."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from support.tiny_pack import UNET, randn
from support.unets import SAMPLE, RecordingUNet

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clip_schedule import clip_schedule, count_steps
from mimaface.mimaface_core.diffusion.clips import sample_clips
from mimaface.mimaface_core.diffusion.latents import LatentSpace
from mimaface.mimaface_core.diffusion.schedule import SCHEDULERS
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.diffusion.unet import build_unet
from mimaface.mimaface_core.errors import Cancelled, InputError


@pytest.fixture(scope="module")
def parts(unet, vae):
    return SimpleNamespace(unet=unet, latents=LatentSpace(vae, "residual", 2.0), scheduler=SAMPLE)


def run(parts, total, *, on_render=None, context=None, **options):
    """Sample with renders that vary in time; gives the list of clips' frames."""

    def renders():
        for index in range(total):
            if on_render is not None:
                on_render(index)
            yield (randn(3, 32, 32, seed=index) / 3).clamp(-1, 1)

    def per_frame(indices):
        return torch.stack([randn(5, 16, seed=100 + index) for index in indices])

    reporting = {name: options.pop(name) for name in ("progress", "previews") if name in options}
    settings = SamplerSettings(**{"steps": 2, "guidance": 1.0, **options})
    return sample_clips(parts, renders(), context or per_frame, total, settings, **reporting)


@pytest.mark.parametrize("total", [1, 5, 12, 13, 21, 25])
def test_schedule_covers_every_frame_once(total):
    schedule = clip_schedule(total, 12, 3)
    assert all(len(indices) == 12 for indices in schedule)
    shown = []
    for number, indices in enumerate(schedule):
        if number:
            assert indices[:3] == schedule[number - 1][-3:]
        new = sorted(set(indices[3 if number else 0 :]))
        assert new
        shown += new
    assert shown == list(range(total))
    assert len(schedule) == {1: 1, 5: 1, 12: 1, 13: 2, 21: 2, 25: 3}[total]
    assert schedule[-1][-1] == total - 1


def test_impossible_schedules_are_refused():
    for arguments in ((0, 12, 3), (5, 3, 3), (5, 0, 0), (5, 12, -1)):
        with pytest.raises(InputError):
            clip_schedule(*arguments)


@pytest.mark.parametrize("total", [1, 5, 12, 13, 21, 25])
def test_every_total_gives_its_frames(parts, total):
    clips = list(run(parts, total, steps=1))
    assert [len(clip) for clip in clips] == {
        1: [1],
        5: [5],
        12: [12],
        13: [12, 1],
        21: [12, 9],
        25: [12, 9, 4],
    }[total]
    assert all(clip.shape[1:] == (3, 32, 32) and clip.abs().max() <= 1 for clip in clips)


def test_a_clip_carries_the_latents_of_the_clip_before(vae):
    unet = RecordingUNet()
    parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "picture"), scheduler=SAMPLE)
    asked = []
    list(run(parts, 10, frames=6, overlap=2, context=lambda indices: asked.append(indices) or randn(6, 5, 16)))
    first, second = unet.calls[:2], unet.calls[2:]
    assert asked == [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 9]]
    assert (first[0][0][:, 8:] == 0).all()
    # With a prediction of clean latents, the first clip's result is its last prediction.
    sample, _, context = first[1]
    final = 0.3 * sample[:, :4] + 0.2 * sample[:, 4:8] + context.mean((1, 2)).view(1, 1, 6, 1, 1)
    for sample, _, _ in second:
        assert torch.allclose(sample[:, 8:12, :2], final[:, :, 4:], atol=1e-5)
        assert (sample[:, 8:12, 2:] == 0).all() and sample[0, 12, :, 0, 0].tolist() == [1, 1, 0, 0, 0, 0]
    # The overlapping renders are those of the clip before.
    assert torch.equal(second[0][0][:, 4:8, :2], first[0][0][:, 4:8, 4:])


def test_the_tail_repeats_the_last_frame(vae):
    unet = RecordingUNet()
    parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "picture"), scheduler=SAMPLE)
    list(run(parts, 3, frames=6, overlap=2))
    sample, _, context = unet.calls[0]
    assert torch.equal(sample[:, 4:8, 3], sample[:, 4:8, 2]) and torch.equal(context[5], context[2])
    assert not torch.equal(sample[:, 4:8, 2], sample[:, 4:8, 1])


def test_renders_are_taken_clip_by_clip(parts):
    taken = []
    clips = run(parts, 25, on_render=taken.append, steps=1)
    assert inspect.isgenerator(clips) and taken == []
    for expected in (12, 21, 25):
        next(clips)
        assert taken == list(range(expected))


def test_too_few_renders_are_refused(parts):
    clips = sample_clips(
        parts, iter([torch.zeros(3, 32, 32)] * 13), lambda i: randn(1, 5, 16), 15, SamplerSettings(steps=1)
    )
    assert len(next(clips)) == 12
    with pytest.raises(InputError, match="13 of 15"):
        next(clips)


def test_seeds_reproduce(parts):
    first, again, other = (torch.cat(list(run(parts, 13, seed=seed))) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 1e-4
    # Lengthening the video does not change the clips before.
    assert torch.equal(next(run(parts, 30, seed=3)), first[:12])


def test_noise_is_shared_or_per_clip(vae):
    def starts(noise):
        unet = RecordingUNet()
        parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "picture"), scheduler=SAMPLE)
        list(run(parts, 13, steps=1, noise=noise))
        return [sample[:, :4] for sample, _, _ in unet.calls]

    shared, apart = starts("shared"), starts("per clip")
    assert torch.equal(shared[0], shared[1]) and torch.equal(shared[0], apart[0])
    assert not torch.equal(apart[0], apart[1])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_and_guidance_run(parts, name):
    plain, guided = (torch.cat(list(run(parts, 5, frames=5, scheduler=name, guidance=g))) for g in (1.0, 3.0))
    assert torch.isfinite(guided).all() and (plain - guided).abs().max() > 1e-4


def test_zero_initialised_unet_gives_the_render(vae):
    parts = SimpleNamespace(unet=build_unet(UNET).eval(), latents=LatentSpace(vae, "residual", 2.0), scheduler=SAMPLE)
    frames = torch.cat(list(run(parts, 13, steps=4)))
    renders = torch.stack([(randn(3, 32, 32, seed=index) / 3).clamp(-1, 1) for index in range(13)])
    assert torch.allclose(frames, renders, atol=1e-5)


def test_progress_counts_steps_and_shows_previews(parts):
    previews = []
    progress = SimpleNamespace(update=lambda n=1, preview=None: previews.append((n, preview)))
    list(run(parts, 13, steps=2, progress=progress))
    (none, at_once), *steps = previews
    assert none == 0 and at_once.size == (32, 32), "the first render, before anything is denoised"
    assert len(steps) == count_steps(13, SamplerSettings(steps=2)) == 4
    assert all(n == 1 and image.size == (16, 16) for n, image in steps)
    previews.clear()
    list(run(parts, 1, steps=2, progress=progress, previews=False))
    assert previews == [(1, None)] * 2


def test_cancel_is_honoured_within_a_step(vae):
    unet, calm = RecordingUNet(), host.Host()
    parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "picture"), scheduler=SAMPLE)
    with host.use(calm):
        progress = SimpleNamespace(update=lambda n, preview: calm.cancel() if len(unet.calls) == 3 else None)
        clips = run(parts, 30, steps=10, progress=progress, previews=False)
        with pytest.raises(Cancelled):
            next(clips)
    assert len(unet.calls) == 4  # the step under way when the flag was raised, no more


def test_cancel_is_honoured_without_progress(parts):
    stopped = host.Host()
    stopped.cancel()
    with host.use(stopped), pytest.raises(Cancelled):
        next(run(parts, 5))


def test_settings_are_refused_before_anything_runs(parts):
    taken = []
    for options in (
        {"guidance": -1.0},
        {"seed": -1},
        {"noise": "pink"},
        {"scheduler": "heun"},
        {"steps": 0},
        {"frames": 17},
        {"frames": 3},
        {"overlap": 12},
    ):
        with pytest.raises(InputError):
            run(parts, 5, on_render=taken.append, **options)
    assert taken == []


def test_frames_have_no_gradient(parts):
    for clip in run(parts, 13, steps=1):
        assert not clip.requires_grad and torch.is_grad_enabled()
