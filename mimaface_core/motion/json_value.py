"""Values that a page writes as JSON: read strictly, each fault in one sentence."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InputError
from ..files import parse_json

VERSION = 1
MOST_CHARACTERS = 4_000_000  # of a text; a thousand frames in every control are a quarter of it
SHOWN = 60  # characters of a wrong value that a sentence repeats


def read_object(value: str | Mapping[str, Any], what: str, keys: Collection[str]) -> dict[str, Any]:
    """The object that a text holds, of this version and with known keys only.

    Args:
        value: JSON, of which an empty text is {}, or the object itself.
        what: the value is, for sentences, such as "edit".
        keys: that it may have beside `version`.

    Raises:
        InputError: no JSON, no object, another version, or an unknown key.
    """
    data: Any = value
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise InputError(f"The {what} has {len(value)} characters; at most {MOST_CHARACTERS} are read.")
        try:
            data = parse_json(value) if value.strip() else {}
        except ValueError as error:
            raise InputError(f"The {what} is no JSON ({error}); copy it whole, or reset it to {{}}.") from error
    if not isinstance(data, Mapping):
        raise InputError(f"The {what} must be a JSON object, not {shortened(data)}; reset it to {{}}.")
    version = data.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        raise InputError(
            f"The {what} is of version {shortened(version)}, but version {VERSION} is read here; update this extension"
            " if a newer one wrote it."
        )
    unknown = next((key for key in data if key not in {"version", *keys}), None)
    if unknown is not None:
        raise InputError(f"The {what} has an unknown entry {shortened(unknown)}; known are {', '.join(keys)}.")
    return dict(data)


def finite(value: Any, name: str, low: float = -math.inf, high: float = math.inf) -> float:
    """A number within a range.

    Raises:
        InputError: another kind of value, NaN, infinite, or out of range.
    """
    try:
        number = math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name} must be a number, not {shortened(value)}.")
    if not low <= number <= high:
        raise InputError(f"{name} {number:g} is out of range; use at least {low:g} and at most {high:g}.")
    return number


def shortened(value: Any) -> str:
    """A wrong value, as a sentence can repeat it."""
    try:
        text = repr(value)
    except ValueError:  # of whole numbers with thousands of digits
        text = "a huge number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
