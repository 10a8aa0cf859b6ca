"""JSON objects read into dataclasses: defaults merged, types checked, unknown keys refused with a suggestion."""

from __future__ import annotations

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import InputError

# Ours: ComfyUI lists pydantic as non-essential only, dacite and cattrs would be new dependencies, and none of the three
# names the closest key.

Config = TypeVar("Config")


class _Fault(ValueError):
    """The middle of the sentence: which key, and what is wrong with it."""


def read_config(cls: type[Config], data: object, where: str, remedy: str = "correct it") -> Config:
    """Read a JSON object into a dataclass, nested ones included.

    A field takes the value under its own name, or under `field(metadata={"key": "class"})` where the key is no name in
    Python. Annotations may be `bool`, `int`, `float` (an int counts), `str`, `object` or `Any` (taken as it is),
    `Literal`, dataclasses, `X | Y`, `X | None`, and `list`, `tuple` and `dict`, with the types of their elements or
    bare. A `__post_init__` refuses values that do not fit each other by `ValueError`.

    Args:
        cls: the dataclass.
        data: the content of the file.
        where: the file, for the beginning of the sentence.
        remedy: what to do, for the end of the sentence.

    Returns:
        The dataclass, with its defaults where `data` leaves a key out.

    Raises:
        InputError: a key is missing, unknown or of another type; the sentence names it as `section.key`.
    """
    try:
        return _read_object(cls, data, "")
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{where}: {error}; {remedy}.") from error


@cache
def _keys(cls: Any) -> dict[str, tuple[Field, Any]]:
    """Key in the file → field and its resolved annotation."""
    hints = get_type_hints(cls)
    return {field.metadata.get("key", field.name): (field, hints[field.name]) for field in fields(cls) if field.init}


def _read_object(cls: Any, data: object, path: str) -> Any:
    if not isinstance(data, dict):
        raise _Fault(f"'{path}' is not of type dict" if path else "it is not a JSON object")
    keys, prefix = _keys(cls), f"{path}." if path else ""
    for key in data:
        if key not in keys:
            close = get_close_matches(str(key), keys, 1)
            known = f"the closest known key is '{close[0]}'" if close else f"known keys are {', '.join(keys)}"
            raise _Fault(f"'{prefix}{key}' is unknown, {known}")
    for key, (field, _) in keys.items():
        if key not in data and field.default is MISSING and field.default_factory is MISSING:
            raise _Fault(f"'{prefix}{key}' is missing")
    values = {keys[key][0].name: _read_value(keys[key][1], value, prefix + key) for key, value in data.items()}
    try:
        return cls(**values)
    except InputError:
        raise
    except ValueError as error:
        raise _Fault(f"{path}: {error}" if path else str(error)) from error


def _read_value(kind: Any, value: object, key: str) -> Any:
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin in (object, Any):
        return value
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in arguments):
            return value
        raise _Fault(f"{key} {value!r} is not one of {', '.join(map(str, arguments))}")
    if origin in (Union, types.UnionType):
        return _read_union(arguments, value, key)
    if is_dataclass(origin):
        return _read_object(origin, value, key)
    if origin in (list, tuple) and isinstance(value, (list, tuple)):
        return origin(_read_elements(origin, arguments, value, key))
    if origin is dict and isinstance(value, dict):
        return {k: _read_value(arguments[1], v, f"{key}.{k}") for k, v in value.items()} if arguments else value
    if origin is float and type(value) is int:
        try:
            return float(value)
        except OverflowError as error:
            raise _Fault(f"'{key}' is too large for a number") from error
    # bool is a subclass of int, but true and false are no numbers
    if isinstance(value, origin) and (origin is bool or not isinstance(value, bool)):
        return value
    raise _Fault(f"'{key}' is not of type {origin.__name__}")


def _read_union(kinds: tuple, value: object, key: str) -> Any:
    """The value by the first type that takes it; the fault of the last, where all refuse it."""
    if value is None and types.NoneType in kinds:
        return None
    *others, last = (kind for kind in kinds if kind is not types.NoneType)
    for kind in others:
        try:
            return _read_value(kind, value, key)
        except ValueError:
            continue
    return _read_value(last, value, key)


def _read_elements(origin: type, kinds: tuple, values: list | tuple, key: str) -> list:
    fixed = origin is tuple and kinds and kinds[-1] is not Ellipsis
    if fixed and len(kinds) != len(values):
        raise _Fault(f"'{key}' has {len(values)} elements instead of {len(kinds)}")
    each = kinds if fixed else (kinds[0] if kinds else object,) * len(values)
    return [_read_value(kind, value, f"{key}[{i}]") for i, (kind, value) in enumerate(zip(each, values, strict=True))]
