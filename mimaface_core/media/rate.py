"""Frame rates as exact fractions: 29.97 means 30000/1001."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real

from ..errors import InputError

_NTSC_RATES = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 90, 120, 240))
# A decimal such as 23.976 or 29.97, or a rate measured over a video, is within this share of the rate that is meant.
_TOLERANCE = 1e-4
_LARGEST_DENOMINATOR = 1001


def exact_rate(fps: Fraction | float) -> Fraction:
    """The exact frame rate that a decimal stands for.

    >>> exact_rate(29.97)
    Fraction(30000, 1001)

    Args:
        fps: frames a second. Fractions and whole numbers stay as they are. A decimal becomes the whole or NTSC rate
            within 0.01 % of it, or else the nearest fraction with a denominator up to 1001.

    Raises:
        InputError: the rate is no number, or not above zero.
    """
    if not isinstance(fps, Real):
        raise InputError(f"A frame rate must be a number, not {fps!r}; give one above zero, such as 25.")
    if not math.isfinite(fps) or fps <= 0:
        raise InputError(f"A frame rate of {fps} is not possible; give one above zero, such as 25.")
    if isinstance(fps, (Fraction, int)):
        return Fraction(fps)
    usual = [Fraction(max(1, round(fps))), *_NTSC_RATES]
    nearest = min(usual, key=lambda rate: abs(float(rate) - fps))
    if abs(float(nearest) - fps) <= _TOLERANCE * fps:
        return nearest
    return Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR)
