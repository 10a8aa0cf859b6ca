"""What is refused when a graph is queued, and what has changed on disk: for `validate_inputs` and `fingerprint_inputs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from ..mimaface_core.errors import InputError


def verdict(check: Callable, *arguments) -> bool | str:
    """What `validate_inputs` answers: True, or the sentence with which `check` refuses its arguments."""
    try:
        check(*arguments)
    except InputError as wrong:
        return str(wrong)
    return True


def allowed(node: type, **given) -> bool | str:
    """Whether widgets have one of their options, or a number in their range; None stands for a link.

    ComfyUI leaves inputs that `validate_inputs` names to it, and older ones do not look at options at all.
    """
    widgets = {one.id: one for one in node.define_schema().inputs}
    for name, value in given.items():
        options, low, high = (getattr(widgets[name], look, None) for look in ("options", "min", "max"))
        if value is None:
            continue
        if options is not None and value not in options:
            known = " or ".join(map(str, options))
            return f"{name} '{value}' is not one of its options; choose {known}, or update this pack if a newer one wrote it."
        if (low is not None and value < low) or (high is not None and value > high):
            return f"{name} {value} is out of range; use at least {low} and at most {high}."
    return True


def fingerprint(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """What changes when one of the files does: name, bytes and time of writing of those that are there."""
    stats = [(str(path), path.stat()) for path in sorted(files) if path.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
