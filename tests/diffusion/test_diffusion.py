"""The motion U-Net, its conditions, the denoising loop and the loop over clips, on tiny random models."""

import inspect
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from support.tiny_pack import UNET, VAE, awaken, randn

from mimaface.mimaface_core import host
from mimaface.mimaface_core.diffusion.clips import SamplerSettings, clip_schedule, count_steps, sample_clips
from mimaface.mimaface_core.diffusion.denoise import denoise_clip
from mimaface.mimaface_core.diffusion.ica import CARRIED_NOISE, carry, condition, draw_known, perturb
from mimaface.mimaface_core.diffusion.latents import LatentSpace, build_vae
from mimaface.mimaface_core.diffusion.schedule import SCHEDULERS, build_scheduler
from mimaface.mimaface_core.diffusion.unet import build_unet
from mimaface.mimaface_core.errors import Cancelled, InputError

SAMPLE = {"prediction_type": "sample", "timestep_spacing": "trailing"}


@pytest.fixture(scope="module")
def vae():
    return awaken(build_vae("AutoencoderTiny", VAE)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def unet():
    return awaken(build_unet(UNET)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def parts(unet, vae):
    return SimpleNamespace(unet=unet, latents=LatentSpace(vae, "residual", 2.0), scheduler=SAMPLE)


class Recorder(torch.nn.Module):
    """Stands in for the U-Net: notes its inputs and answers with a simple function of them."""

    dtype = torch.float32

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(motion_max_seq_length=32)
        self.calls = []

    def forward(self, sample, timestep, encoder_hidden_states):
        self.calls.append((sample.clone(), float(timestep), encoder_hidden_states.clone()))
        context = encoder_hidden_states.mean((1, 2)).view(sample.shape[0], 1, sample.shape[2], 1, 1)
        return SimpleNamespace(sample=0.3 * sample[:, :4] + 0.2 * sample[:, 4:8] + 0.1 * sample[:, 8:12] + context)


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


# Carried frames


def test_condition_places_thirteen_channels():
    noisy, render, carried = (
        randn(2, 4, 3, 2, 2),
        randn(2, 4, 3, 2, 2, seed=1),
        torch.full((2, 4, 3, 2, 2), torch.nan),
    )
    carried[:, :, 0] = 5.0
    sample = condition(noisy, render, carried, torch.tensor([True, False, False]))
    assert sample.shape == (2, 13, 3, 2, 2)
    assert torch.equal(sample[:, :4], noisy) and torch.equal(sample[:, 4:8], render)
    assert (sample[:, 8:12, 0] == 5).all() and (sample[:, 8:12, 1:] == 0).all()
    assert (sample[:, 12, 0] == 1).all() and (sample[:, 12, 1:] == 0).all()
    rows = condition(noisy, render, render, torch.tensor([[True] * 3, [False] * 3]))
    assert (rows[0, 12] == 1).all() and (rows[1, 8:] == 0).all()


def test_carry_moves_the_last_frames_to_the_front():
    previous = randn(1, 4, 6, 2, 2)
    carried, known = carry(previous, previous, 2)
    assert torch.equal(carried[:, :, :2], previous[:, :, 4:]) and known.tolist() == [True] * 2 + [False] * 4
    for nothing in (carry(None, previous, 2), carry(previous, previous, 0)):
        assert not nothing[1].any() and (nothing[0] == 0).all()


def test_training_draws():
    generator = torch.Generator().manual_seed(0)
    known = draw_known(400, 12, generator)
    assert sorted(set(known.sum(1).tolist())) == [0, 1, 2, 3] and not known[:, 3:].any()
    assert (known.int().diff(dim=1) <= 0).all()
    noise = perturb(torch.zeros(50, 4, 3, 8, 8), generator)
    assert abs(noise.std().item() - CARRIED_NOISE) < 0.005


# Schedulers


def test_euler_is_the_released_schedule():
    scheduler = build_scheduler("euler", {"prediction_type": "epsilon"}, 4)
    assert scheduler.timesteps.tolist() == [999, 666, 333, 0]
    sigmas = torch.tensor([14.61464691, 2.91830850, 0.93235838, 0.02916753, 0.0])
    assert torch.allclose(scheduler.sigmas, sigmas, rtol=1e-5)
    assert torch.allclose(torch.as_tensor(scheduler.init_noise_sigma), sigmas[0])


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 4])
def test_every_scheduler_starts_at_pure_noise_and_ends_clean(name, steps):
    scheduler = build_scheduler(name, SAMPLE, steps)
    assert len(scheduler.timesteps) == steps and scheduler.timesteps[0] == 999
    unet = Recorder()
    unet.forward = lambda sample, timestep, encoder_hidden_states: SimpleNamespace(sample=sample[:, 4:8])
    target = randn(1, 4, 3, 2, 2, seed=1)
    result = denoise_clip(
        unet,
        scheduler,
        randn(1, 4, 3, 2, 2),
        target,
        torch.zeros(3, 5, 16),
        generator=torch.Generator().manual_seed(0),
    )
    assert torch.allclose(result, target, atol=1e-4)


def test_scheduler_refusals():
    for name, config, steps in (
        ("heun", SAMPLE, 4),
        ("lcm", SAMPLE, 51),
        ("euler", SAMPLE, 0),
        ("euler", {"prediction_type": "noise"}, 4),
        ("euler", {"prediction_type": "sample", "betas": 1}, 4),
        ("euler", {"prediction_type": "sample", "timestep_spacing": "odd"}, 4),
    ):
        with pytest.raises(InputError):
            build_scheduler(name, config, steps)


# One clip


def test_denoise_is_eulers_method_with_guidance_and_carried_latents():
    noise, render, previous = randn(1, 4, 5, 2, 2), randn(1, 4, 5, 2, 2, seed=1), randn(1, 4, 5, 2, 2, seed=2)
    context = randn(5, 3, 16, seed=3)
    unet, seen = Recorder(), []
    result = denoise_clip(
        unet,
        build_scheduler("euler", {"prediction_type": "epsilon"}, 4),
        noise,
        render,
        context,
        guidance=5.0,
        previous=previous,
        overlap=2,
        on_step=lambda estimate: seen.append(estimate),
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
    assert torch.allclose(seen[-1], result, atol=1e-4)


def test_guidance_one_computes_one_half():
    unet, arguments = Recorder(), (randn(1, 4, 5, 2, 2), randn(1, 4, 5, 2, 2, seed=1), randn(1, 3, 16))
    scheduler = build_scheduler("euler", SAMPLE, 2)
    denoise_clip(unet, scheduler, *arguments, guidance=1.0)
    assert all(len(sample) == 1 and len(tokens) == 5 for sample, _, tokens in unet.calls)
    assert torch.equal(unet.calls[0][2][0], unet.calls[0][2][4])  # one context for all frames


# The loop over clips


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


def test_schedule_refusals():
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
    unet = Recorder()
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
    unet = Recorder()
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
        unet = Recorder()
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


def test_silent_unet_gives_the_render(vae):
    parts = SimpleNamespace(unet=build_unet(UNET).eval(), latents=LatentSpace(vae, "residual", 2.0), scheduler=SAMPLE)
    frames = torch.cat(list(run(parts, 13, steps=4)))
    renders = torch.stack([(randn(3, 32, 32, seed=index) / 3).clamp(-1, 1) for index in range(13)])
    assert torch.allclose(frames, renders, atol=1e-5)


def test_progress_counts_steps_and_shows_previews(parts):
    previews = []
    progress = SimpleNamespace(update=lambda n=1, preview=None: previews.append((n, preview)))
    list(run(parts, 13, steps=2, progress=progress))
    assert len(previews) == count_steps(13, SamplerSettings(steps=2)) == 4
    assert all(n == 1 and image.size == (16, 16) for n, image in previews)
    previews.clear()
    list(run(parts, 1, steps=2, progress=progress, previews=False))
    assert previews == [(1, None)] * 2


def test_cancel_is_honoured_within_a_step(vae):
    unet, calm = Recorder(), host.Host()
    parts = SimpleNamespace(unet=unet, latents=LatentSpace(vae, "picture"), scheduler=SAMPLE)
    with host.use(calm):
        progress = SimpleNamespace(update=lambda n, preview: calm.cancel() if len(unet.calls) == 3 else None)
        clips = run(parts, 30, steps=10, progress=progress, previews=False)
        with pytest.raises(Cancelled):
            next(clips)
    assert len(unet.calls) == 4  # the step under way when the flag was raised, no more


def test_cancel_without_progress(parts):
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


def test_gradients_are_not_kept(parts):
    for clip in run(parts, 13, steps=1):
        assert not clip.requires_grad and torch.is_grad_enabled()
