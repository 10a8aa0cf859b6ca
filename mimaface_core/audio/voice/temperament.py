"""Temperaments: how much of each movement a style has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..checks import check_style

# Each range from the calmest to the liveliest. The square roots of numbers without common factors spread the styles
# evenly over all ranges together (additive recurrence); the two rates of blinking share one.
_RANGES = {
    "blinks_silent": ((12.5, 16.5), 2),
    "blinks_talking": ((14.5, 19.0), 2),
    "nods": ((0.6, 1.4), 3),
    "sway": ((0.65, 1.35), 5),
    "glances": ((0.55, 1.0), 7),
    "brows": ((0.4, 1.0), 11),
    "head_share": ((0.15, 0.35), 13),
}


@dataclass(frozen=True)
class Temperament:
    """A style's amounts.

    Attributes:
        blinks_silent: blinks a minute while listening. Doughty 2001: 8–21.
        blinks_talking: blinks a minute while talking. Doughty 2001: 10–32; Bentivoglio et al. 1997: 26, and 17 at rest.
        nods: factor of the head's accents.
        sway: factor of the head's other movements.
        glances: factor of the size of glances; Lee et al. 2002 measured people free to look about, so at most 1.
        brows: factor of how far the brows rise.
        head_share: share of a large glance that the head takes (Guitton and Volle 1987).
    """

    blinks_silent: float
    blinks_talking: float
    nods: float
    sway: float
    glances: float
    brows: float
    head_share: float

    @classmethod
    def of_style(cls, style: int) -> Temperament:
        """The temperament of a style, 0–45; style 0 is the middle of all ranges.

        Raises:
            InputError: no such style.
        """
        check_style(style)
        return cls(
            **{
                name: low + (high - low) * ((0.5 + style * np.sqrt(root)) % 1)
                for name, ((low, high), root) in _RANGES.items()
            }
        )
