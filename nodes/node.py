"""The base of the nodes, and the checks that they share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.motion.stream import MotionStream
from .comfyui.schema import io


class Node(io.ComfyNode):
    """A node of this extension.

    ComfyUI calls four class methods: `define_schema` describes the node; `validate_inputs` refuses inputs when a graph
    is queued (its arguments name the inputs that ComfyUI leaves to it; a linked input arrives as None);
    `fingerprint_inputs` changes when files on disk do; `execute` does the work.

    Attributes:
        takes_streams: whether `execute` takes a motion that is still being measured; else it is given the whole.
    """

    takes_streams = False

    @classmethod
    def EXECUTE_NORMALIZED(cls, *args: Any, **inputs: Any) -> io.NodeOutput:
        """Refuses inputs that a newer version's graph links and ComfyUI hands on, then executes."""
        unknown = ", ".join(sorted(set(inputs) - {one.id for one in cls.define_schema().inputs}))
        if unknown:
            raise InputError(
                f"This version of the node has no input {unknown}; update this extension where a newer one made the"
                " graph, or remove the link."
            )
        if not cls.takes_streams:
            streams = {name: value for name, value in inputs.items() if isinstance(value, MotionStream)}
            inputs |= {name: stream.whole() for name, stream in streams.items()}
        return super().EXECUTE_NORMALIZED(*args, **inputs)

    @classmethod
    def option_fault(cls, **values: Any) -> str | None:
        """The sentence that refuses a widget's value: not one of its options, or out of its range.

        None stands for a linked input. ComfyUI itself does not check inputs that `validate_inputs` names, and older
        versions check no options at all.
        """
        widgets = {one.id: one for one in cls.define_schema().inputs}
        for name, value in values.items():
            options, low, high = (getattr(widgets[name], field, None) for field in ("options", "min", "max"))
            if value is None:
                continue
            if options is not None and value not in options:
                known = " or ".join(map(str, options))
                return (
                    f"{name} '{value}' is not one of its options; choose {known}, or update this extension if a newer"
                    " one wrote it."
                )
            if (low is not None and value < low) or (high is not None and value > high):
                return f"{name} {value} is out of range; use at least {low} and at most {high}."
        return None


def fault(check: Callable[..., object], *arguments: Any) -> str | None:
    """The sentence with which `check` refuses its arguments, None where it does not."""
    try:
        check(*arguments)
    except InputError as refused:
        return str(refused)
    return None


def verdict(sentence: str | None) -> bool | str:
    """The answer of `validate_inputs`: True, or the sentence that refuses."""
    return True if sentence is None else sentence


def fingerprint(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, bytes and time of writing of the files that exist: changes when one of them does."""
    stats = [(str(path), path.stat()) for path in sorted(files) if path.is_file()]
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
