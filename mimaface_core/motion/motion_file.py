"""Motion files, read with checks of their parts, which any tool may have written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from ..errors import InputError
from ..files import shown

_RATE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18}|/0*[1-9][0-9]{0,17})?")  # as `save` writes it, or a decimal
LARGEST = 1_000_000  # number of a motion, in whatever unit
_SLOWEST, _FASTEST = Fraction(1, 100), Fraction(1000)  # frames a second

Motion = TypeVar("Motion")


@dataclass(frozen=True)
class FileKind:
    """A kind of motion file.

    Attributes:
        format: its name and version, as the file's metadata have it; the version is the last digit.
        name: for messages.
        parts: tensors that every file has.
        writer: who writes such files, for messages.
        otherwise: remedy for a file of another kind.
    """

    format: str
    name: str
    parts: tuple[str, ...]
    writer: str
    otherwise: str


@dataclass(frozen=True)
class Parts:
    """The parts of a motion file; those that cannot be used raise InputError."""

    kind: FileKind
    tensors: dict[str, Tensor]
    notes: dict[str, str]

    def numbers(self, name: str) -> Tensor:
        """A part in single precision, whose numbers must be finite, and none larger than LARGEST."""
        values = self.tensors[name]
        if values.dtype == torch.bool or values.is_complex():
            kind = str(values.dtype).removeprefix("torch.")
            raise self._fault(f"its {name} are of type {kind}, not numbers")
        values = values.to(torch.float32)
        if not values.isfinite().all():
            raise self._fault(f"its {name} hold values that are no finite numbers")
        if values.numel() and values.abs().amax() > LARGEST:
            raise self._fault(f"its {name} hold values above {LARGEST:,}, which no face has")
        return values

    def flags(self, name: str) -> Tensor:
        """Truth values, also where a tool wrote them as the numbers 0 and 1."""
        values = self.tensors[name].float()
        flags = values == 1
        if not (flags | (values == 0)).all():
            raise self._fault(f"{name} holds other values than true and false")
        return flags

    def counts(self, name: str) -> Tensor:
        """Whole numbers."""
        values = self.tensors[name]
        if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
            raise self._fault(f"{name} holds other values than whole numbers")
        return values.long()

    def rate(self) -> Fraction:
        """The frame rate, one that a video can have."""
        text = self.notes["fps"]
        rate = Fraction(text) if _RATE.fullmatch(text) else None
        if rate is None or not _SLOWEST <= rate <= _FASTEST:
            raise self._fault(f"its frame rate '{shown(text)}' is not a number from {float(_SLOWEST)} to {_FASTEST}")
        return rate

    def _fault(self, text: str) -> InputError:
        return InputError(f"{text}; save the motion again with {self.kind.writer}.")


def is_of(path: str | Path, kind: FileKind) -> bool:
    """Whether a file says that it is of a kind, in whatever version; False where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            return (file.metadata() or {}).get("format", "").startswith(kind.format[:-1])
    except (OSError, SafetensorError):
        return False


def read(path: str | Path, kind: FileKind, made_of: Callable[[Parts], Motion]) -> Motion:
    """Read a motion file.

    Args:
        path: of the file.
        kind: what it should be.
        made_of: makes the motion of the file's parts.

    Raises:
        InputError: the file is missing, damaged, of another kind, or what it holds cannot be used.
    """
    parts = _parts(path, kind)
    missing = [name for name in kind.parts if name not in parts.tensors] + ["fps"] * ("fps" not in parts.notes)
    if missing:
        raise InputError(
            f"The {kind.name} {path} is not whole: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'}"
            f" missing; save it again with {kind.writer}."
        )
    try:
        return made_of(parts)
    except InputError as fault:
        raise InputError(f"The {kind.name} {path} cannot be used: {fault}") from fault


def _parts(path: str | Path, kind: FileKind) -> Parts:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            notes = file.metadata() or {}
            found = notes.get("format", "")
            if found != kind.format:
                newer = found.startswith(kind.format[:-1])
                remedy = "a newer version wrote it; update this one" if newer else kind.otherwise
                raise InputError(f"{path} holds no {kind.name} that can be read; {remedy}.")
            return Parts(kind, {name: file.get_tensor(name) for name in file.keys()}, notes)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"The {kind.name} {path} cannot be read ({error}); choose a file written by {kind.writer}."
        ) from error
