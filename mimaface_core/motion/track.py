"""MotionTrack: the one value that passes between where motion comes from and what is drawn from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InputError

# D3DFR's order of the 257 numbers
GROUPS = {"identity": 80, "expression": 64, "texture": 80, "angles": 3, "lighting": 27, "translation": 3}
SLICES: dict[str, slice] = {}
for _name, _size in GROUPS.items():
    _start = SLICES[next(reversed(SLICES))].stop if SLICES else 0
    SLICES[_name] = slice(_start, _start + _size)
COEFFICIENTS = sum(GROUPS.values())
# The face models that coefficients can belong to: the bundled pack's own, and BFM09 as D3DFR uses it
PROCEDURAL, BFM = "procedural", "bfm09"
FORMAT = "mimaface.motion.1"  # of files


@dataclass(frozen=True)
class FaceCoefficients:
    """Coefficients of a linear 3D face model for N faces: values [N, 257], with a view per group.

    angles are radians (x, y, z); translation is in model units (100 mm); the rest are the model's own units.
    """

    values: Tensor

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != COEFFICIENTS:
            raise InputError(f"Face coefficients must have shape [N, {COEFFICIENTS}], not {list(self.values.shape)}.")

    @classmethod
    def zeros(cls, count: int) -> FaceCoefficients:
        return cls(torch.zeros(count, COEFFICIENTS))

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index) -> FaceCoefficients:
        return FaceCoefficients(self.values[index])

    def replace(self, **groups: Tensor) -> FaceCoefficients:
        """A copy with whole groups exchanged, each [N, size] or [1, size]."""
        values = self.values.clone()
        for name, group in groups.items():
            values[:, SLICES[name]] = group
        return FaceCoefficients(values)

    def _group(self, name: str) -> Tensor:
        return self.values[:, SLICES[name]]

    identity = property(lambda self: self._group("identity"))
    expression = property(lambda self: self._group("expression"))
    texture = property(lambda self: self._group("texture"))
    angles = property(lambda self: self._group("angles"))
    lighting = property(lambda self: self._group("lighting"))
    translation = property(lambda self: self._group("translation"))


@dataclass(frozen=True)
class MotionTrack:
    """How a face moves over N frames, whatever it was taken from.

    coefficients: FaceCoefficients of N frames.
    gaze: [N, 4], x and y of the subject's right eye, then of the left, in eye widths from straight ahead;
        x to the picture's right and y up, measured along the face's own axes. On BFM09 the four numbers of D3DFR's
        pupil head as they are, in its own unit.
    alignment: [N, 2, 3], carries pixels of the face's crop to the 256-pixel camera plane of the face model.
    visible: bool [N], whether a face was found in that frame.
    fps: frames a second, exact.
    basis: the face model that the coefficients belong to, PROCEDURAL or BFM; those of one mean nothing to the other.
    """

    coefficients: FaceCoefficients
    gaze: Tensor
    alignment: Tensor
    visible: Tensor
    fps: Fraction
    basis: str = PROCEDURAL

    def __post_init__(self) -> None:
        n = len(self.coefficients)
        shapes = {"gaze": (n, 4), "alignment": (n, 2, 3), "visible": (n,)}
        for name, shape in shapes.items():
            if tuple(getattr(self, name).shape) != shape:
                raise InputError(
                    f"A motion track of {n} frames needs {name} of shape {list(shape)}, not {list(getattr(self, name).shape)}."
                )
        if self.fps <= 0:
            raise InputError(f"A motion track needs a positive frame rate, not {self.fps}.")

    def __len__(self) -> int:
        return len(self.coefficients)

    def __getitem__(self, index: slice | list[int] | Tensor) -> MotionTrack:
        """Some of the frames: a slice, a list of frame numbers, or one number (which keeps the frame axis)."""
        if isinstance(index, int):
            index = [index]
        parts = (part[index] for part in (self.coefficients, self.gaze, self.alignment, self.visible))
        return MotionTrack(*parts, self.fps, self.basis)

    def replace(self, **fields) -> MotionTrack:
        """A copy with fields exchanged."""
        return replace(self, **fields)

    @property
    def motion(self) -> Tensor:
        """m = [ρ; β; g] of the MIA encoder: angles 3, expression 64, gaze 4, as [N, 71]."""
        return torch.cat([self.coefficients.angles, self.coefficients.expression, self.gaze], 1)

    def check_basis(self, basis: str) -> None:
        """Raises InputError where the coefficients belong to another face model than `basis`."""
        if self.basis != basis:
            raise InputError(
                f"The motion was measured with the face model {self.basis}, but {basis} is needed here; "
                "use Extract 3DMM with one pack for source and driver."
            )

    @classmethod
    def concatenate(cls, tracks: list[MotionTrack]) -> MotionTrack:
        """Tracks of one frame rate after each other."""
        if len({track.fps for track in tracks}) != 1:
            raise InputError(
                "Motion tracks of different frame rates cannot be joined; resample them to one rate first."
            )
        for track in tracks[1:]:
            track.check_basis(tracks[0].basis)
        joined = [torch.cat([getattr(track, name) for track in tracks]) for name in ("gaze", "alignment", "visible")]
        values = torch.cat([track.coefficients.values for track in tracks])
        return cls(FaceCoefficients(values), *joined, tracks[0].fps, tracks[0].basis)

    def resample(self, fps: Fraction) -> MotionTrack:
        """The same movement at another frame rate, linear between frames; the duration is kept."""
        count = max(1, round(len(self) * fps / self.fps))
        at = torch.tensor([float(i * self.fps / fps) for i in range(count)]).clamp(max=len(self) - 1)
        low = at.floor().long()
        high = (low + 1).clamp(max=len(self) - 1)
        share = at - low

        def between(x: Tensor) -> Tensor:
            w = share.reshape(-1, *[1] * (x.ndim - 1))
            return x[low] * (1 - w) + x[high] * w

        nearest = torch.where(share < 0.5, low, high)
        coefficients = FaceCoefficients(between(self.coefficients.values))
        return self.replace(
            coefficients=coefficients,
            gaze=between(self.gaze),
            alignment=between(self.alignment),
            visible=self.visible[nearest],
            fps=Fraction(fps),
        )

    def save(self, path: str | Path) -> None:
        """Write a .safetensors file."""
        from safetensors.torch import save_file

        tensors = {
            "coefficients": self.coefficients.values,
            "gaze": self.gaze,
            "alignment": self.alignment,
            "visible": self.visible,
        }
        save_file({k: v.contiguous() for k, v in tensors.items()}, str(path), self._notes())

    def _notes(self) -> dict[str, str]:
        return {"format": FORMAT, "fps": str(self.fps), "basis": self.basis}

    @classmethod
    def load(cls, path: str | Path) -> MotionTrack:
        """Read what `save` wrote. Raises InputError when the file is another kind."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as file:
                meta = file.metadata() or {}
                if meta.get("format") != FORMAT:
                    newer = meta.get("format", "").startswith(FORMAT.rstrip("1"))
                    remedy = (
                        "a newer version wrote it; update this one" if newer else "choose a file written by Save Motion"
                    )
                    raise InputError(f"{path} is not a motion track that can be read; {remedy}.")
                part = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"The motion track {path} cannot be read ({error}); choose a file written by Save Motion."
            ) from error
        basis = meta.get("basis", PROCEDURAL)  # older files do not say it
        return cls(
            FaceCoefficients(part["coefficients"]),
            part["gaze"],
            part["alignment"],
            part["visible"],
            Fraction(meta["fps"]),
            basis,
        )
