"""Groups of motion dimensions that move one part of the face, where a generator's directions keep them apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError

HEAD, MOUTH, EYES, BROWS = GROUPS = ("head", "mouth", "eyes", "brows")

Groups = Mapping[str, Sequence[int]]  # name of GROUPS → dimensions


@dataclass(frozen=True)
class GroupFactors:
    """Factors by which each group's movement is scaled: 0 holds still, 1 leaves it as it is, 2 doubles it.

    Raises:
        InputError: a factor below 0 or not finite.
    """

    head: float = 1.0
    mouth: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0

    def __post_init__(self) -> None:
        for name, factor in vars(self).items():
            if not (math.isfinite(factor) and factor >= 0):
                raise InputError(
                    f"Movement cannot be scaled by {name} = {factor}; use 0 for none, 1 for as it is, 2 for double."
                )

    @property
    def changed(self) -> dict[str, float]:
        """Those that are not 1."""
        return {name: factor for name, factor in vars(self).items() if factor != 1}


def check_groups(groups: Groups, dimensions: int) -> None:
    """Raises ValueError where groups do not fit motion codes of K dimensions."""
    unknown = [name for name in groups if name not in GROUPS]
    if unknown:
        raise ValueError(f"groups.{unknown[0]} is not one of {', '.join(GROUPS)}")
    members = [dimension for group in groups.values() for dimension in group]
    if len(set(members)) != len(members) or any(not 0 <= one < dimensions for one in members):
        raise ValueError(f"groups name a dimension twice, or one beyond the {dimensions} of a motion code")


def require_groups(groups: Groups, names: Sequence[str]) -> None:
    """Refuse to move parts of the face apart that motion codes do not keep apart.

    Raises:
        InputError: one of the names is no group.
    """
    missing = [name for name in names if name not in groups]
    if missing:
        raise InputError(
            f"This pack's motion codes do not keep {' and '.join(missing)} apart from the rest of the face; leave"
            " what is theirs as it is, or use the pack bundled-implicit."
        )
