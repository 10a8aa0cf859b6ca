"""Literal inputs: converted to the type of their widget, and checked against its range and options."""

from __future__ import annotations

import math
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.files import shown
from .object_info import InputSlot
from .problems import suggestion

BOOLEAN_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def convert(value: Any, slot: InputSlot, check_range: bool = True) -> Any:
    """Convert a literal to the type of its widget.

    Args:
        value: the literal of the graph, or the text of `--set`.
        slot: the input it is for.
        check_range: whether to check it against the widget's range and options, too.

    Returns:
        The converted value.

    Raises:
        InputError: it is of another type, out of range, or not one of the options.
    """
    if isinstance(value, dict) and "__value__" in value:  # the front end wraps lists so that they are no links
        value = value["__value__"]
    match slot.widget:
        case None:
            if "*" in slot.types:
                return value
            raise InputError(
                f"it takes {' or '.join(slot.types)} over a link, not the value {value!r}; connect a node."
            )
        case "INT" | "FLOAT":
            number = _number(value, whole=slot.widget == "INT")
            return _in_range(number, slot.options) if check_range else number
        case "BOOLEAN":
            return _boolean(value)
        case "COMBO" if not slot.upload:
            return _option(value, slot.options.get("options") or [], check_range)
        case _:
            return str(value)


def _number(value: Any, *, whole: bool) -> int | float:
    noun = "a whole number" if whole else "a number"
    try:
        if isinstance(value, (str, int)) and not isinstance(value, bool) and whole:
            return int(value)  # exact for seeds of 64 bits
        number = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError) as wrong:
        raise InputError(f"{shown(repr(value))} is not {noun}; write one.") from wrong
    if not math.isfinite(number) or (whole and number != int(number)):
        raise InputError(f"{value!r} is not {noun}; write one.")
    return int(number) if whole else number


def _in_range(number: float, options: dict[str, Any]) -> int | float:
    low, high = options.get("min"), options.get("max")
    if (low is not None and number < low) or (high is not None and number > high):
        bounds = [f"{word} {bound}" for word, bound in (("at least", low), ("at most", high)) if bound is not None]
        raise InputError(f"{number} is out of range; use {' and '.join(bounds)}.")
    return number


def _boolean(value: Any) -> bool:
    flag = BOOLEAN_WORDS.get(str(value).strip().lower())
    if flag is None:
        raise InputError(f"{value!r} is neither true nor false; write one of the two.")
    return flag


def _option(value: Any, options: list[Any], required: bool) -> Any:
    """The option that equals the value, also where it is written as text."""
    same = [option for option in options if option == value or str(option) == str(value)]
    if not same and options and required:
        raise InputError(f"{value!r} is not one of its options; {suggestion(str(value), map(str, options))}")
    if same:
        return same[0]
    return str(value) if all(isinstance(option, str) for option in options) else value
