"""Keyframes: positions of controls over time, with easing and loops, read from JSON, evaluated and made of samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from .json_value import VERSION, finite, read_object, shortened

LOOPS = ("none", "repeat", "ping_pong")
EASINGS: dict[str, Callable[[Tensor], Tensor]] = {  # share of the way from a key to the next, of 0–1 of the time
    "linear": lambda u: u,
    "smooth": lambda u: u * u * (3 - 2 * u),
    "ease_in": lambda u: u * u,
    "ease_out": lambda u: 1 - (1 - u) * (1 - u),
    "hold": torch.zeros_like,
}
FPS_RANGE = (1.0, 240.0)
MOST_SECONDS = 3600.0
MOST_KEYS = 100_000
DEFAULT_FPS, DEFAULT_LENGTH = 25.0, 4.0

Ranges = Mapping[str, tuple[float, float]]  # control → lowest and highest position


class Key(NamedTuple):
    """One key: time in seconds, position, and the easing (of EASINGS) of the way to the next key."""

    time: float
    value: float
    easing: str = "smooth"


@dataclass(frozen=True)
class Keyframes:
    """Curves of controls over time.

    Attributes:
        fps: frames a second.
        length: seconds.
        loop: of LOOPS: what follows after `length`.
        curves: control → keys, their times strictly ascending within 0…length; other controls rest.
    """

    fps: Fraction = Fraction(25)
    length: float = DEFAULT_LENGTH
    loop: str = "none"
    curves: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, value: str | Mapping[str, Any], ranges: Ranges) -> Keyframes:
        """Keyframes from their JSON.

        `{"version": 1, "fps": 25, "length": 4.0, "loop": "none", "curves": {"yaw": [[0.5, 12, "smooth"], …]}}`; what
        is absent has its default, and a key without an easing is `smooth`.

        Args:
            value: the text, or the object.
            ranges: of the known controls.

        Raises:
            InputError: no such JSON, another version, an unknown control, loop or easing, a number out of range, or
                keys that are out of order, doubled or behind the end.
        """
        data = read_object(value, "timeline", ("fps", "length", "loop", "curves"))
        fps = finite(data.get("fps", DEFAULT_FPS), "The timeline's fps", *FPS_RANGE)
        length = finite(data.get("length", DEFAULT_LENGTH), "The timeline's length", 1 / fps, MOST_SECONDS)
        loop = data.get("loop", "none")
        if loop not in LOOPS:
            raise InputError(f"The timeline's loop can be {', '.join(LOOPS)}, not {shortened(loop)}.")
        curves = data.get("curves", {})
        if not isinstance(curves, Mapping):
            raise InputError(f"The timeline's curves must be an object of keys by control, not {shortened(curves)}.")
        if sum(len(keys) for keys in curves.values() if isinstance(keys, list)) > MOST_KEYS:
            raise InputError(f"The timeline has more than {MOST_KEYS} keys; leave some out.")
        read = {name: _keys(name, keys, length, ranges) for name, keys in curves.items()}
        rate = Fraction(fps).limit_denominator(1001)
        return cls(rate, length, loop, {name: keys for name, keys in read.items() if keys})

    @property
    def frames(self) -> int:
        """Number of frames of one run, at least one."""
        return max(1, round(self.length * self.fps))

    def at(self, times: Tensor, easing: Callable[[Tensor], Tensor] | None = None) -> dict[str, Tensor]:
        """Positions of the controls that have keys.

        Args:
            times: [N], seconds from the beginning.
            easing: taken instead of every easing but `hold`.

        Returns:
            control → [N].
        """
        times = self._looped(times.double())
        return {name: _evaluated(keys, times, easing).float() for name, keys in self.curves.items()}

    def _looped(self, times: Tensor) -> Tensor:
        if self.loop == "none":
            return times
        if self.loop == "repeat":
            return times % self.length
        there = times % (2 * self.length)
        return torch.where(there > self.length, 2 * self.length - there, there)

    def as_json(self) -> dict[str, Any]:
        """The object that `read` reads."""
        return {
            "version": VERSION,
            "fps": round(float(self.fps), 6),
            "length": round(self.length, 6),
            "loop": self.loop,
            "curves": {
                name: [[round(key.time, 5), round(key.value, 5), key.easing] for key in keys]
                for name, keys in self.curves.items()
            },
        }


def _keys(name: str, keys: Any, length: float, ranges: Ranges) -> tuple[Key, ...]:
    if name not in ranges:
        raise InputError(f"The timeline has keys of an unknown control {shortened(name)}; take it out.")
    if not isinstance(keys, list):
        raise InputError(f"The keys of {name} must be a list of [seconds, position, easing], not {shortened(keys)}.")
    read: list[Key] = []
    for number, key in enumerate(keys, 1):
        which = f"Key {number} of {name}"
        if not isinstance(key, list) or not 2 <= len(key) <= 3:
            raise InputError(f"{which} must be [seconds, position, easing], not {shortened(key)}.")
        easing = key[2] if len(key) > 2 else "smooth"
        if not isinstance(easing, str) or easing not in EASINGS:
            raise InputError(f"{which}: the easing can be {', '.join(EASINGS)}, not {shortened(easing)}.")
        time = finite(key[0], f"{which}: the time", 0, length)
        if read and time <= read[-1].time:
            fault = "has the same time as" if time == read[-1].time else "lies before"
            raise InputError(f"{which} {fault} the key before it ({time:g} s); put keys in order of time.")
        read.append(Key(time, finite(key[1], f"{which}: the position", *ranges[name]), easing))
    return tuple(read)


def _evaluated(keys: tuple[Key, ...], times: Tensor, easing: Callable[[Tensor], Tensor] | None) -> Tensor:
    """Positions [N] of one curve at times [N] (float64)."""
    at = torch.tensor([key.time for key in keys], dtype=torch.float64)
    value = torch.tensor([key.value for key in keys], dtype=torch.float64)
    before = (torch.searchsorted(at, times, right=True) - 1).clamp(min=0)
    after = (before + 1).clamp(max=len(keys) - 1)
    span = (at[after] - at[before]).clamp(min=1e-9)
    u = ((times - at[before]) / span).clamp(0, 1)
    names = list(EASINGS)
    kind = torch.tensor([names.index(key.easing) for key in keys])[before]
    share = torch.zeros_like(u)
    for number in kind.unique().tolist():
        chosen = easing if easing is not None and names[number] != "hold" else EASINGS[names[number]]
        share = torch.where(kind == number, chosen(u), share)
    return value[before] + share * (value[after] - value[before])


def simplified(times: Tensor, values: Tensor, tolerance: float) -> tuple[Key, ...]:
    """Few keys, joined by straight lines that stay within a tolerance of samples (Ramer, Douglas and Peucker).

    Args:
        times: [N], ascending.
        values: [N].
        tolerance: largest distance of a sample from its line.
    """
    x, y = times.double().numpy(), values.double().numpy()
    kept, ranges = {0, len(x) - 1}, [(0, len(x) - 1)]
    while ranges:
        first, last = ranges.pop()
        if last - first < 2:
            continue
        line = y[first] + (y[last] - y[first]) * (x[first:last] - x[first]) / (x[last] - x[first])
        away = abs(y[first:last] - line)
        farthest = int(away.argmax())
        if away[farthest] > tolerance:
            kept.add(first + farthest)
            ranges += [(first, first + farthest), (first + farthest, last)]
    return tuple(Key(float(x[i]), float(y[i]), "linear") for i in sorted(kept))


def easing_of_curve(curve: Any) -> Callable[[Tensor], Tensor]:
    """The easing that ComfyUI's CURVE describes: points from (0, 0) to (1, 1), or a part of that.

    Args:
        curve: a value of ComfyUI's core with `interp_array` or `interp`, a dict with `points`, or points (x, y).

    Raises:
        InputError: it is none of these.
    """
    grid = torch.linspace(0, 1, 257, dtype=torch.float64)
    try:
        if hasattr(curve, "interp_array"):
            table = torch.as_tensor(curve.interp_array(grid.numpy()), dtype=torch.float64)
        elif hasattr(curve, "interp"):
            table = torch.tensor([float(curve.interp(float(x))) for x in grid], dtype=torch.float64)
        else:
            points = sorted((float(x), float(y)) for x, y in (curve["points"] if isinstance(curve, Mapping) else curve))
            keys = tuple(Key(x, y, "linear") for x, y in points)
            table = _evaluated(keys, grid, None)
    except (TypeError, ValueError, KeyError, IndexError, RuntimeError) as error:
        raise InputError(f"The curve cannot be used as an easing ({error}); connect ComfyUI's Curve Editor.") from error
    if not table.isfinite().all():
        raise InputError("The curve cannot be used as an easing, since it is not finite; reset it.")

    def ease(u: Tensor) -> Tensor:
        place = u * (len(table) - 1)
        low = place.floor().long().clamp(max=len(table) - 2)
        return torch.lerp(table[low], table[low + 1], place - low)

    return ease
