"""The noise schedules that a pack can be sampled with: diffusers' Euler, DDIM and LCM."""

from typing import TYPE_CHECKING

import torch

from ..errors import InputError

if TYPE_CHECKING:
    from diffusers import SchedulerMixin

SCHEDULERS = ("euler", "ddim", "lcm")
PREDICTIONS = ("sample", "epsilon", "v_prediction")

# Stable Diffusion 1.5: 1000 steps, √β linear from √0.00085 to √0.012.
BETAS = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
}
# An LCM jumps between the 50 steps of the schedule that it was distilled from.
LCM_STEPS = 50


def build_scheduler(name: str, config: dict, steps: int, device: torch.device | str = "cpu") -> "SchedulerMixin":
    """Build a scheduler with its timesteps set.

    Args:
        name: `euler` (as released), `ddim` or `lcm`.
        config: the pack's `prediction_type` (`sample`, `epsilon`, `v_prediction`), and where they differ from
            Stable Diffusion 1.5 its betas; `timestep_spacing` (default `linspace`, as released) is Euler's.
        steps: denoising steps.
        device: where the timesteps live.

    Returns:
        A diffusers scheduler; `init_noise_sigma` scales standard normal noise to its first step.

    Raises:
        InputError: an unknown scheduler, step count or setting.
    """
    from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler

    if name not in SCHEDULERS:
        raise InputError(f"Unknown scheduler '{name}'; choose one of {', '.join(SCHEDULERS)}.")
    settings = {**BETAS, "timestep_spacing": "linspace", **config}
    if settings["prediction_type"] not in PREDICTIONS:
        raise InputError(f"Unknown prediction_type '{settings['prediction_type']}'; use {', '.join(PREDICTIONS)}.")
    most = LCM_STEPS if name == "lcm" else settings["num_train_timesteps"]
    if not 1 <= steps <= most:
        raise InputError(f"{name} takes 1 to {most} steps, not {steps}; change the number of steps.")

    # A single step must start from pure noise, which `linspace` does not; DDIM strides as `trailing` does.
    if steps == 1 or name == "ddim":
        settings["timestep_spacing"] = "trailing"
    try:
        if name == "euler":
            scheduler = EulerDiscreteScheduler(**settings)
        elif name == "ddim":
            scheduler = DDIMScheduler(**settings, clip_sample=False, set_alpha_to_one=True)
        else:
            scheduler = LCMScheduler(**settings, original_inference_steps=LCM_STEPS)
        scheduler.set_timesteps(steps, device=device)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"The pack's scheduler settings are not usable: {error}; correct its manifest.") from error
    return scheduler
