"""Sampling of motion codes: diffusion with a learned variance, ancestral (Nichol and Dhariwal 2021) or DDIM.

diffusers' schedulers split and draw the noise themselves; the published network's output is split along the last
dimension, and its windows must start from given noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError

TRAINING_STEPS = 1000
FIRST_BETA, LAST_BETA = 1e-4, 0.02
ANCESTRAL, DDIM = SAMPLERS = ("ancestral", "ddim")

Network = Callable[[Tensor, Tensor], Tensor]  # codes [B, 64, K] and steps [B] → [B, 64, 2K]
Noise = Callable[[], Tensor]


@dataclass(frozen=True)
class Schedule:
    """The kept steps of the noise schedule, the noisiest last.

    Attributes:
        steps: [n], numbers of the training steps.
        betas: [n], float64, recomputed for the kept steps.
        ancestral: whether noise is added at each step but the last.
    """

    steps: Tensor
    betas: Tensor
    ancestral: bool = True

    @classmethod
    def of(cls, count: int, sampler: str = ANCESTRAL) -> Schedule:
        """The schedule with `count` steps.

        Raises:
            InputError: an unknown sampler, or a number of steps that it cannot do.
        """
        if sampler not in SAMPLERS:
            raise InputError(f"A sampler can be {' or '.join(SAMPLERS)}, not {sampler!r}.")
        if sampler == DDIM:
            strides = [n for n in range(1, TRAINING_STEPS) if len(range(0, TRAINING_STEPS, n)) == count]
            if not strides:
                raise InputError(f"DDIM cannot take {count} steps of {TRAINING_STEPS}; use 10, 20, 25 or 50.")
            steps = torch.arange(0, TRAINING_STEPS, strides[0])
        else:
            if not 2 <= count <= TRAINING_STEPS:
                raise InputError(f"The ancestral sampler takes from 2 to {TRAINING_STEPS} steps, not {count}.")
            share = (TRAINING_STEPS - 1) / (count - 1)
            steps = torch.tensor([round(i * share) for i in range(count)])
        kept = alphas_cumprod()[steps]
        before = torch.cat([kept.new_ones(1), kept[:-1]])
        return cls(steps, 1 - kept / before, sampler == ANCESTRAL)


def alphas_cumprod() -> Tensor:
    """ᾱ of every training step, [1000], float64: the share of the signal's variance that is left."""
    return (1 - torch.linspace(FIRST_BETA, LAST_BETA, TRAINING_STEPS, dtype=torch.float64)).cumprod(0)


@torch.no_grad()
def sample(network: Network, codes: Tensor, schedule: Schedule, noise: Noise, clamp: bool = True) -> Tensor:
    """Motion codes out of noise.

    Args:
        network: gives noise and variance.
        codes: the noise to start from, [B, 64, K].
        schedule: the steps.
        noise: draws [B, 64, K] for each step, also for the last one, which does not add it.
        clamp: whether estimates are kept within ±1, where motion codes are.

    Returns:
        [B, 64, K].
    """
    kept = alphas_cumprod()[schedule.steps]
    before = torch.cat([kept.new_ones(1), kept[:-1]])
    variance = schedule.betas * (1 - before) / (1 - kept)
    floor = torch.cat([variance[1:2], variance[1:]]).log()  # the first is 0
    for i in reversed(range(len(schedule.steps))):
        t = schedule.steps[i].expand(len(codes)).to(codes.device)
        epsilon, fraction = network(codes, t).chunk(2, -1)
        signal, rest = float(kept[i].sqrt()), float((1 - kept[i]).sqrt())
        start = (codes - rest * epsilon) / signal
        if clamp:
            start = start.clamp(-1, 1)
        if schedule.ancestral:
            beta, share = schedule.betas[i], (fraction + 1) / 2
            mean = float(beta * before[i].sqrt() / (1 - kept[i])) * start
            mean = mean + float((1 - before[i]) * (1 - beta).sqrt() / (1 - kept[i])) * codes
            deviation = torch.exp((share * float(beta.log()) + (1 - share) * float(floor[i])) / 2)
            codes = mean + (deviation * noise() if i else 0 * noise())
        else:
            epsilon = (codes - signal * start) / rest
            codes = float(before[i].sqrt()) * start + float((1 - before[i]).sqrt()) * epsilon
    return codes
