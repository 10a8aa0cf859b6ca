"""Distillation: the teacher's step is DDIM's, what is consistent has no loss, and the student alone learns."""

from dataclasses import replace

import pytest
import torch

from mimaface.mimaface_core.diffusion.schedule import build_scheduler
from mimaface.mimaface_core.packs.manifest import SchedulerEntry
from mimaface.mimaface_core.training.config import load_config
from mimaface.mimaface_core.training.models import distillation as module
from mimaface.mimaface_core.training.models.distillation import LCM_STEPS, STRIDE, DistillationModel
from mimaface.mimaface_core.training.models.networks import ForwardDiffusion, build_networks

FRAMES, SIDE = 4, 8


def latents(seed=0):
    return torch.randn(2, 4, FRAMES, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def model(guidance=1.0):
    config = load_config("tiny")
    config = replace(config, distill=replace(config.distill, guidance=guidance))
    return DistillationModel(config, build_networks(config), scale=1.0)


def batch(clean, number):
    """A batch whose clean latents are these: the residual of a render of zeros, at scale 1."""
    by_frame = clean.transpose(1, 2)
    return {
        "source": torch.zeros(2, 3, 224, 224, dtype=torch.uint8),
        "number": torch.tensor(number),
        "noise": latents(1),
        "known": torch.zeros(2, FRAMES, dtype=torch.bool),
        "blur": torch.zeros_like(clean),
        "render": torch.zeros_like(by_frame),
        "target": by_frame,
        "weight": torch.ones(2, FRAMES, SIDE, SIDE),
        "motion": torch.zeros(2, FRAMES, 71),
    }


@pytest.mark.parametrize("kind", ["sample", "epsilon", "v_prediction"])
def test_the_teacher_s_step_is_that_of_ddim(kind):
    diffusion = ForwardDiffusion(SchedulerEntry(prediction_type=kind, timestep_spacing="trailing"), "even")
    scheduler = build_scheduler("ddim", {"prediction_type": kind}, LCM_STEPS)
    noisy, output = latents(), latents(1)
    for late in (999, 499, 19):
        moved = diffusion.moved(noisy, output, torch.full((2,), late), torch.full((2,), late - STRIDE))
        step = scheduler.step(output, late, noisy, generator=None)
        assert torch.allclose(moved, step.prev_sample, atol=1e-5)
        assert torch.allclose(
            diffusion.clean(noisy, output, torch.full((2,), late)), step.pred_original_sample, rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_who_always_means_the_same_clean_latents_is_consistent(monkeypatch, guidance):
    clean, one = latents(), model(guidance)
    monkeypatch.setattr(module, "predict", lambda *_: clean)
    assert one(**batch(clean, [1, LCM_STEPS]))["loss"] < 1e-4


def test_a_student_that_forgets_has_a_loss_and_guidance_changes_what_it_is_led_to(monkeypatch):
    clean, one = latents(), model()
    monkeypatch.setattr(module, "predict", lambda unet, *_: clean if unet is one.teacher else clean * 0)
    assert one(**batch(clean, [25, LCM_STEPS]))["loss"] < 1e-4  # it forgets everywhere, so it is consistent…
    assert one(**batch(clean, [1, 1]))["loss"] > 0.5  # …but not with the beginning, where nothing is to be guessed
    guided = model(3.0)
    monkeypatch.setattr(module, "predict", lambda *of: clean * (1 + of[3].abs().amax()))
    losses = [float(of(**batch(clean, [1, 1]))["loss"]) for of in (one, guided)]
    assert losses[1] != pytest.approx(losses[0], rel=0.05)


def test_at_the_beginning_the_latents_are_their_own_estimate():
    one, noisy = model(), latents()
    assert torch.equal(one._jumped(noisy, latents(1), torch.tensor([-1, -1])), noisy)


def test_the_student_alone_gets_a_gradient():
    one = model(1.5)
    for network in (one.unet, one.teacher):
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0, 0.05, torch.Generator().manual_seed(parameter.numel()))
    one(**batch(latents(), [30, 2]))["loss"].backward()
    assert all(p.grad is not None for p in one.unet.parameters())
    assert not any(p.grad is not None for part in (one.teacher, one.appearance) for p in part.parameters())
