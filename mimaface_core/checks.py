"""Checks of arguments at the public edge: kinds, numbers and choices, each refused in one sentence."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from .errors import InputError

Check = Callable[[str, Any], None]  # of an argument's name and value; raises InputError
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # names of this machine


def checked(**checks: Check) -> Callable[[Callable[Arguments, Result]], Callable[Arguments, Result]]:
    """A decorator that checks arguments by name before the function runs; defaults are not checked.

    A generator's arguments are checked when it is called, not when its first value is asked for.
    """

    def decorate(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        signature = inspect.signature(function)

        @wraps(function)
        def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                if name in checks:
                    checks[name](name, value)
            return function(*args, **kwargs)

        return call

    return decorate


def kind(*kinds: type, remedy: str, others: Mapping[type, str] | None = None) -> Check:
    """An argument of one of these classes.

    Args:
        kinds: the classes.
        remedy: where such an argument comes from.
        others: classes that are easily taken for these, with what they are and the remedy.
    """

    def check(name: str, value: Any) -> None:
        for other, sentence in (others or {}).items():
            if isinstance(value, other):
                raise InputError(f"{name} is {sentence}.")
        if not isinstance(value, kinds):
            raise InputError(f"{name} cannot be {_article(type(value).__name__)}; {remedy}.")

    return check


def optional(check: Check) -> Check:
    """None, or what `check` takes."""
    return lambda name, value: None if value is None else check(name, value)


def number(low: float = -math.inf, high: float = math.inf) -> Check:
    """A finite number from `low` to `high`."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, Real) or not math.isfinite(value):
            raise InputError(f"{name} must be a number, not {value!r}.")
        _check_range(name, value, low, high)

    return check


def whole(low: int, high: int) -> Check:
    """A whole number from `low` to `high`."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, Integral):
            raise InputError(f"{name} must be a whole number, not {value!r}.")
        _check_range(name, value, low, high)

    return check


def choice(options: Sequence[str]) -> Check:
    """One of a few words."""

    def check(name: str, value: Any) -> None:
        if value not in options:
            raise InputError(f"{name} can be {', '.join(options[:-1])} or {options[-1]}, not {value!r}.")

    return check


def pair(name: str, value: Any) -> None:
    """Two finite numbers, x and y."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise InputError(f"{name} must be two numbers (x, y), not {value!r}.")
    for each in value:
        number()(name, each)


def numbers_by_name(name: str, value: Any) -> None:
    """A mapping to finite numbers."""
    if not isinstance(value, Mapping):
        raise InputError(f"{name} must be a dict of numbers by name, not {value!r}.")
    for key, each in value.items():
        number()(f"{name} '{key}'", each)


def _check_range(name: str, value: Any, low: float, high: float) -> None:
    if not low <= value <= high:
        limits = f"at least {low}" if high == math.inf else f"at least {low} and at most {high}"
        raise InputError(f"{name} {value} is out of range; use {limits}.")


def _article(noun: str) -> str:
    return noun if noun == "NoneType" else f"{'an' if noun[0] in 'AEIOUaeiou' else 'a'} {noun}"


def names_this_machine(host: str) -> bool:
    """Whether a `Host` header is a name of this machine; a site may give itself its address, not its name."""
    return re.sub(r":[0-9]+$", "", host.lower()).strip("[]") in LOOPBACK


def from_other_site(headers: Mapping[str, str]) -> bool:
    """Whether a page of another site makes a request, by its headers, whose names count in any case."""
    try:
        origin = urlsplit(headers.get("Origin", "")).netloc.lower()
    except ValueError:
        origin = ""
    hosts = {headers.get(name, "").lower() for name in ("Host", "X-Forwarded-Host")} - {""}
    foreign = "Origin" in headers and origin not in hosts
    return foreign or headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")
