"""ImplicitMotion: motion codes over time, as stage 1 measures them and stage 2 makes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..files import parse_json
from ..motion.motion_file import FileKind, read
from ..tensors import between
from .groups import Groups, check_groups

FILE = FileKind(
    "mimaface.implicit.1",
    "implicit motion",
    ("codes",),
    writer="ImplicitMotion.save",
    otherwise="a motion of the face model goes to Retarget Motion and Sample Clips, not to Render Implicit",
)
RATE = Fraction(25)  # frames a second of stage 2


@dataclass(frozen=True)
class ImplicitMotion:
    """Motion codes of N frames. They mean something to the generator alone whose directions they were measured by.

    Attributes:
        codes: [N, K], within ±1.
        fps: frames a second, exact.
        groups: dimensions that move one part of the face, by its name; empty where the codes mix them.

    Raises:
        InputError: codes of another shape, or no finite numbers; a rate that is none; groups that do not fit.
    """

    codes: Tensor
    fps: Fraction = RATE
    groups: Groups = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or not self.codes.isfinite().all():
            raise InputError(f"Motion codes must be finite and of shape [N, K], not {list(self.codes.shape)}.")
        if self.fps <= 0:
            raise InputError(f"A motion needs a positive frame rate, not {self.fps}.")
        try:
            check_groups(self.groups, self.codes.shape[1])
        except ValueError as error:
            raise InputError(f"A motion's {error}.") from error

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, frames: slice) -> ImplicitMotion:
        return self.replace(codes=self.codes[frames])

    def replace(self, **changes: Any) -> ImplicitMotion:
        """A copy with fields replaced."""
        return replace(self, **changes)

    @property
    def mean(self) -> Tensor:
        """Mean of each dimension, [K]."""
        return self.codes.mean(0)

    @property
    def deviation(self) -> Tensor:
        """Unbiased standard deviation of each dimension, [K], as stage 2 was trained with; 0 of a single frame."""
        return self.codes.std(0) if len(self) > 1 else torch.zeros_like(self.codes[0])

    def resample(self, fps: Fraction) -> ImplicitMotion:
        """The same movement at another frame rate, linear between frames."""
        count = max(1, round(len(self) * fps / self.fps))
        at = torch.tensor([float(i * self.fps / fps) for i in range(count)]).clamp(max=len(self) - 1)
        low = at.floor().long()
        codes = between(self.codes[low], self.codes[(low + 1).clamp(max=len(self) - 1)], at - low)
        return self.replace(codes=codes, fps=Fraction(fps))

    def save(self, path: str | Path) -> None:
        """Write a .safetensors file."""
        from safetensors.torch import save_file

        notes = {"format": FILE.format, "fps": str(self.fps), "groups": json.dumps(self.groups)}
        save_file({"codes": self.codes.contiguous()}, str(path), notes)

    @classmethod
    def load(cls, path: str | Path) -> ImplicitMotion:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is missing, damaged, or of another kind.
        """
        return read(path, FILE, lambda parts: cls(parts.numbers("codes"), parts.rate(), _groups(parts.notes)))


def _groups(notes: Mapping[str, str]) -> Groups:
    """The groups of a file, which may have none."""
    try:
        groups = parse_json(notes.get("groups", "{}"))
        return {str(name): [int(one) for one in dimensions] for name, dimensions in groups.items()}
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        raise InputError("its groups cannot be read; save the motion again with ImplicitMotion.save.") from error
