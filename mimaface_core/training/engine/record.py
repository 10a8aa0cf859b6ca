"""The JSON form of typed settings in checkpoints."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

# Metadata of a field that is recorded even where it has its default: an argument of a network.
ALWAYS = {"recorded": "always"}


def recorded(settings: object) -> Any:
    """Settings in the JSON form that checkpoints record: what has its default is left out, as a file leaves it out.

    Args:
        settings: a section, or a single value, which is returned as it is.
    """
    if not is_dataclass(settings) or isinstance(settings, type):
        return settings
    values = {f: getattr(settings, f.name) for f in fields(settings)}
    return {_key(f): recorded(value) for f, value in values.items() if f.metadata == ALWAYS or value != _default(f)}


def defaults(settings: object, name: str) -> dict[str, object]:
    """Dotted name → default of the settings that a record of this section may lack.

    Args:
        settings: a section, or a single value, which has none.
        name: of the section in the record.
    """
    if not is_dataclass(settings) or isinstance(settings, type):
        return {}
    values: dict[str, object] = {}
    for f in fields(settings):
        values |= defaults(getattr(settings, f.name), f"{name}.{_key(f)}")
        if _default(f) is not MISSING:
            values[f"{name}.{_key(f)}"] = _default(f)
    return values


def _key(f: Field) -> str:
    return f.metadata.get("key", f.name)


def _default(f: Field) -> object:
    return f.default if f.default_factory is MISSING else f.default_factory()
