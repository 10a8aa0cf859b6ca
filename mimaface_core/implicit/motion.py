"""ImplicitMotion: motion codes over time, as stage 1 measures them and stage 2 makes them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError
from ..motion.motion_file import FileKind, read
from ..tensors import between

FILE = FileKind(
    "mimaface.implicit.1",
    "implicit motion",
    ("codes",),
    writer="ImplicitMotion.save",
    otherwise="a motion of the face model goes through Load Motion",
)
RATE = Fraction(25)  # frames a second of stage 2


@dataclass(frozen=True)
class ImplicitMotion:
    """Motion codes of N frames. They mean something to the generator alone whose directions they were measured by.

    Attributes:
        codes: [N, K], within ±1.
        fps: frames a second, exact.
    """

    codes: Tensor
    fps: Fraction = RATE

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or not self.codes.isfinite().all():
            raise InputError(f"Motion codes must be finite and of shape [N, K], not {list(self.codes.shape)}.")
        if self.fps <= 0:
            raise InputError(f"A motion needs a positive frame rate, not {self.fps}.")

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, frames: slice) -> ImplicitMotion:
        return ImplicitMotion(self.codes[frames], self.fps)

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
        return ImplicitMotion(codes, Fraction(fps))

    def save(self, path: str | Path) -> None:
        """Write a .safetensors file."""
        from safetensors.torch import save_file

        save_file({"codes": self.codes.contiguous()}, str(path), {"format": FILE.format, "fps": str(self.fps)})

    @classmethod
    def load(cls, path: str | Path) -> ImplicitMotion:
        """Read a file that `save` wrote.

        Raises:
            InputError: the file is missing, damaged, or of another kind.
        """
        return read(path, FILE, lambda parts: cls(parts.numbers("codes"), parts.rate()))
