"""Noise schedules and diffusers samplers: Euler (Karras et al. 2022), DDIM (Song et al. 2020), LCM (Luo et al. 2023).

x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε, with the U-Net predicting x_0, ε or v.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from ..errors import InputError

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
LCM_STEPS = 50  # steps of the schedule from which an LCM was distilled; it jumps between them


class Scheduler(Protocol):
    """What sampling and training use of a diffusers scheduler."""

    timesteps: Tensor
    alphas_cumprod: Tensor

    @property
    def init_noise_sigma(self) -> Any:
        """Standard deviation of the initial noise, a float or a Tensor."""

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Choose the timesteps of a run."""

    def scale_model_input(self, sample: Tensor, timestep: Any) -> Tensor:
        """Noisy latents scaled as the U-Net expects them."""

    # diffusers annotates an int for the timestep and takes its Tensors, and allows a tuple as the result
    def step(self, model_output: Tensor, timestep: Any, sample: Tensor, *, generator: torch.Generator | None) -> Any:
        """One denoising step; the result has `prev_sample`, and the clean latents for `clean_estimate`."""


def build_scheduler(name: str, config: dict[str, Any], steps: int, device: torch.device | str = "cpu") -> Scheduler:
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
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
    from diffusers.schedulers.scheduling_lcm import LCMScheduler

    if name not in SCHEDULERS:
        raise InputError(f"Unknown scheduler '{name}'; choose one of {', '.join(SCHEDULERS)}.")
    settings = {**BETAS, "timestep_spacing": "linspace", **config}
    if settings["prediction_type"] not in PREDICTIONS:
        raise InputError(f"Unknown prediction_type '{settings['prediction_type']}'; use {', '.join(PREDICTIONS)}.")
    max_steps = LCM_STEPS if name == "lcm" else settings["num_train_timesteps"]
    if not 1 <= steps <= max_steps:
        raise InputError(f"{name} takes 1 to {max_steps} steps, not {steps}; change the number of steps.")

    # A single step must start from pure noise, which `linspace` does not; DDIM strides as `trailing` does.
    if steps == 1 or name == "ddim":
        settings["timestep_spacing"] = "trailing"
    scheduler: Scheduler
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


def clean_estimate(step: Any) -> Tensor:
    """The estimate of the clean latents in the result of `Scheduler.step`."""
    from diffusers.schedulers.scheduling_lcm import LCMSchedulerOutput

    estimate = step.denoised if isinstance(step, LCMSchedulerOutput) else step.pred_original_sample
    assert estimate is not None, "all three schedulers estimate the clean latents"
    return estimate
