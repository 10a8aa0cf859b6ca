"""Procedural noise from a seeded generator: fractal, strand-like, periodic."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

GRID_VARIANCE = 0.45  # of unit noise after bilinear interpolation, averaged over all places
STRAND_TABLE = (32, 256)  # noise values along and across the strands, beyond which they repeat mirrored
STRAND_PERSISTENCE = 0.75  # amplitude of an octave across the strands against the one before
STRAND_LACUNARITY = 1.9  # its frequency against the one before


def fractal_noise(
    rng: np.random.Generator,
    size: int,
    cells: int = 4,
    octaves: int = 4,
    persistence: float = 0.5,
    channels: int = 1,
) -> Tensor:
    """Fractal value noise: octaves of bilinearly interpolated random grids.

    Args:
        rng: source of randomness.
        size: side in pixels.
        cells: grid cells along a side at the coarsest octave; every octave doubles them.
        octaves: number of octaves.
        persistence: amplitude of an octave against the one before.
        channels: independent fields.

    Returns:
        Noise [channels, size, size] of about unit variance.
    """
    total, power = torch.zeros(1, channels, size, size), 0.0
    for octave in range(octaves):
        side = min(size, cells * 2**octave)
        grid = torch.from_numpy(rng.standard_normal((1, channels, side, side), dtype=np.float32))
        total += persistence**octave * F.interpolate(grid, (size, size), mode="bilinear", align_corners=False)
        power += persistence ** (2 * octave) * (1.0 if side == size else GRID_VARIANCE)
    return total[0] / math.sqrt(power)


def strand_noise(
    rng: np.random.Generator,
    across: Tensor,
    along: Tensor,
    across_frequency: float,
    along_frequency: float,
    octaves: int = 3,
) -> Tensor:
    """Anisotropic noise, fine across strands and coarse along them.

    Args:
        rng: source of randomness.
        across: coordinate [H, W] across the strands.
        along: coordinate [H, W] along the strands.
        across_frequency: noise cells a unit of `across`.
        along_frequency: noise cells a unit of `along`.
        octaves: number of octaves, which refine the noise across the strands only.

    Returns:
        Noise [H, W] of about unit variance.
    """
    total, power = torch.zeros_like(across), 0.0
    rows, columns = STRAND_TABLE
    for octave in range(octaves):
        table = torch.from_numpy(rng.standard_normal((1, 1, rows, columns), dtype=np.float32))
        u = _mirrored(across * across_frequency * STRAND_LACUNARITY**octave / columns)
        place = torch.stack([u, _mirrored(along * along_frequency / rows)], -1)
        sampled = F.grid_sample(table, place[None], mode="bilinear", padding_mode="border", align_corners=False)
        total += STRAND_PERSISTENCE**octave * sampled[0, 0]
        power += GRID_VARIANCE * STRAND_PERSISTENCE ** (2 * octave)
    return total / math.sqrt(power)


def _mirrored(x: Tensor) -> Tensor:
    """Triangle wave: any number folded into ±1 without a jump."""
    return 1 - 2 * ((x % 2) - 1).abs()


def periodic_noise(rng: np.random.Generator, angle: Tensor, harmonics: int, decay: float = 1.0) -> Tensor:
    """Smooth random function of an angle: a sum of harmonics with random phases.

    Args:
        rng: source of randomness.
        angle: rad, any shape.
        harmonics: number of harmonics.
        decay: exponent with which their amplitude falls with frequency.

    Returns:
        Noise of the angle's shape, of about unit variance.
    """
    total, power = torch.zeros_like(angle), 0.0
    for k in range(1, harmonics + 1):
        amplitude, phase = rng.standard_normal() / k**decay, rng.uniform(0, 2 * math.pi)
        total += amplitude * torch.cos(k * angle + phase)
        power += 0.5 / k ** (2 * decay)
    return total / math.sqrt(power)
