"""Checks of a motion file's parts, which any tool may have written."""

from __future__ import annotations

import re
from fractions import Fraction

import torch
from torch import Tensor

from ..errors import InputError
from ..files import shown

PARTS = ("coefficients", "gaze", "alignment", "visible")  # that every file has
_REMEDY = "save the motion again with Save Motion"
_RATE = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18}|/0*[1-9][0-9]{0,17})?")  # as `save` writes it, or a decimal
_SLOWEST, _FASTEST = Fraction(1, 100), Fraction(1000)  # frames a second


def numbers(values: Tensor, name: str) -> Tensor:
    """A part of a file in single precision. Raises InputError for others, also infinite ones."""
    if values.dtype == torch.bool or values.is_complex():
        raise InputError(f"its {name} are of type {str(values.dtype).removeprefix('torch.')}, not numbers; {_REMEDY}.")
    values = values.to(torch.float32)
    if not values.isfinite().all():
        raise InputError(f"its {name} hold values that are no finite numbers; {_REMEDY}.")
    return values


def flags(values: Tensor) -> Tensor:
    """Truth values, also where a tool wrote them as the numbers 0 and 1. Raises InputError for other numbers."""
    flags = values.float() == 1
    if not (flags | (values.float() == 0)).all():
        raise InputError(f"visible holds other values than true and false; {_REMEDY}.")
    return flags


def counts(values: Tensor) -> Tensor:
    """Whole numbers. Raises InputError for others."""
    if values.is_floating_point() or values.is_complex() or values.dtype == torch.bool:
        raise InputError(f"shot holds other values than whole numbers; {_REMEDY}.")
    return values.long()


def rate(text: str) -> Fraction:
    """A frame rate that a video can have. Raises InputError for others."""
    rate = Fraction(text) if _RATE.fullmatch(text) else None
    if rate is None or not _SLOWEST <= rate <= _FASTEST:
        raise InputError(
            f"its frame rate '{shown(text)}' is not a number from {float(_SLOWEST)} to {_FASTEST}; {_REMEDY}."
        )
    return rate
