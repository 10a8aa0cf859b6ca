"""Schedulers: the released timesteps and sigmas, first and last step, refusals."""

from types import SimpleNamespace

import pytest
import torch
from support.tiny_pack import randn
from support.unets import SAMPLE, RecordingUNet

from mimaface.mimaface_core.diffusion.denoise import denoise_clip
from mimaface.mimaface_core.diffusion.schedule import SCHEDULERS, build_scheduler
from mimaface.mimaface_core.errors import InputError


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
    unet = RecordingUNet()
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


def test_unusable_settings_are_refused():
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
