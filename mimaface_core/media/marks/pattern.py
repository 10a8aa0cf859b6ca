"""The watermark's pattern: waves of one lattice, some known (the pilot), the others signed by the payload."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .payload import CODED_BITS, encode

# The public key. Whoever has this file can detect the mark; a secret one would not make it harder to remove.
_KEY = 20261202
PERIODS = 3  # of the lattice along the image's shorter side
SHORTEST_PERIOD = 64.0  # pixels: of small images
SQUARE = 2  # pixels: the mark is the same in squares of this side, as colours are in most videos
LOWEST, HIGHEST = 3.5, 10.9  # waves a period: 16 to 49 pixels each in an image of 512
_PILOTS = 72
_PILOT_SHARE = 0.5  # of the mark's power


@dataclass(frozen=True)
class Lattice:
    """The waves of the mark, one of each pair ±k.

    Attributes:
        pilots: wave numbers (x, y) [P, 2] of the pilot.
        pilot_phases: their factors [P], complex, of size 1.
        waves: wave numbers [W, 2] of the payload, one or two for a coded bit.
        phases: their factors [W].
        bit: which coded bit signs each of them [W].
    """

    pilots: np.ndarray
    pilot_phases: np.ndarray
    waves: np.ndarray
    phases: np.ndarray
    bit: np.ndarray


@lru_cache
def lattice() -> Lattice:
    """The lattice of the public key."""
    key = np.random.Generator(np.random.PCG64(_KEY))
    side = np.arange(-int(HIGHEST), int(HIGHEST) + 1)
    waves = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
    radius = np.hypot(*waves.T)
    half = (waves[:, 1] > 0) | ((waves[:, 1] == 0) & (waves[:, 0] > 0))
    waves = waves[half & (radius >= LOWEST) & (radius <= HIGHEST)]
    waves = waves[key.permutation(len(waves))]
    pilots, rest = waves[:_PILOTS], waves[_PILOTS:]
    # By radius, so that each bit has waves of several lengths.
    rest = rest[np.argsort(np.hypot(*rest.T), kind="stable")]
    bit = np.concatenate([key.permutation(CODED_BITS) for _ in range(-(-len(rest) // CODED_BITS))])[: len(rest)]
    turns = np.exp(2j * np.pi * key.random(len(waves)))
    return Lattice(pilots, turns[:_PILOTS], rest, turns[_PILOTS:], bit)


def pattern(height: int, width: int, bits: np.ndarray) -> np.ndarray:
    """The mark of an image of this size, one value for each square, mean square 1.

    Args:
        height: of the image in pixels.
        width: likewise.
        bits: the payload's 48.

    Returns:
        float32 [ceil(height / SQUARE), ceil(width / SQUARE)].
    """
    marks = lattice()
    signs = encode(bits)[marks.bit]
    top = int(HIGHEST)
    spectrum = np.zeros((2 * top + 1, 2 * top + 1), np.complex128)
    pilot, rest = np.sqrt(2 * _PILOT_SHARE / _PILOTS), np.sqrt(2 * (1 - _PILOT_SHARE) / len(signs))
    spectrum[marks.pilots[:, 1] + top, marks.pilots[:, 0] + top] = pilot * marks.pilot_phases
    spectrum[marks.waves[:, 1] + top, marks.waves[:, 0] + top] = rest * signs * marks.phases
    period = max(min(height, width) / PERIODS, SHORTEST_PERIOD)
    numbers = np.arange(-top, top + 1)
    x, y = (
        np.exp(2j * np.pi / period * numbers[:, None] * (np.arange(0, n, SQUARE) + SQUARE / 2 - n / 2)[None])
        for n in (width, height)
    )
    return np.ascontiguousarray((y.T @ (spectrum @ x)).real, dtype=np.float32)
