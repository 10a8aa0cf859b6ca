"""An edit as the page writes it: positions of controls, and whether the source's own expression goes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import InputError
from ...motion.json_value import finite, read_object, shortened
from .controls import CONTROLS, check_name


@dataclass(frozen=True)
class EditValue:
    """Positions of controls.

    Attributes:
        controls: control → position; absent ones rest.
        neutral_first: whether the face is made neutral before.
    """

    controls: Mapping[str, float] = field(default_factory=dict)
    neutral_first: bool = False

    @classmethod
    def read(cls, value: str | Mapping[str, Any]) -> EditValue:
        """An edit from its JSON `{"version": 1, "controls": {"yaw": 12.5}, "neutral_first": false}`.

        Raises:
            InputError: no such JSON, another version, an unknown control, or a position out of its range.
        """
        data = read_object(value, "edit", ("controls", "neutral_first"))
        controls, neutral = data.get("controls", {}), data.get("neutral_first", False)
        if not isinstance(controls, Mapping):
            raise InputError(f"The edit's controls must be an object of numbers by name, not {shortened(controls)}.")
        if not isinstance(neutral, bool):
            raise InputError(f"The edit's neutral_first must be true or false, not {shortened(neutral)}.")
        return cls(check_positions(controls), neutral)


def check_positions(controls: Mapping[str, Any]) -> dict[str, float]:
    """Positions by control as numbers within their ranges. Raises InputError for others."""
    checked = {}
    for name, position in controls.items():
        check_name(name)
        checked[name] = finite(position, f"The control {name}", CONTROLS[name].low, CONTROLS[name].high)
    return checked
