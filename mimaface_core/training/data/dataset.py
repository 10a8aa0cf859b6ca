"""The training data on disk: one safetensors file for each person and clip, made by several processes, and its reader."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ... import host
from ...errors import InputError
from ..people.camera import from_jpeg
from ..people.drawer import Sample, make_sample


def sample_path(folder: Path, seed: int) -> Path:
    """Where sample number `seed` lies."""
    return folder / f"person-{seed:06d}.safetensors"


def save_sample(path: Path, sample: Sample, person: str, kind: str = "synthetic") -> None:
    """Write a sample; the file appears under its name only when complete.

    person: who it is; samples of one person share it. kind: `synthetic` or `video`.
    """
    from safetensors.torch import save_file

    def raw(data: bytes) -> Tensor:
        return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())

    tensors = {"source": raw(sample.source), "motion": sample.motion.contiguous(), "weight": sample.weight}
    for i, (target, render) in enumerate(zip(sample.targets, sample.renders, strict=True)):
        tensors[f"target_{i:02d}"], tensors[f"render_{i:02d}"] = raw(target), raw(render)
    part = path.with_name(path.name + ".part")
    save_file(tensors, part, {"person": person, "kind": kind})
    os.replace(part, path)


class StoredSample:
    """A sample on disk, read piece by piece. Raises InputError when the file cannot be read."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        try:
            self.file = safe_open(str(path), "pt")
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"The training sample {path} cannot be read ({error}); delete it and make the data again."
            ) from error
        self.frames = self.file.get_slice("motion").get_shape()[0]
        # who it is; a file that does not say shows somebody of its own
        self.person = (self.file.metadata() or {}).get("person", path.stem)

    @property
    def motion(self) -> Tensor:
        """[N, 71]."""
        return self.file.get_tensor("motion")

    @property
    def weight(self) -> Tensor:
        """Float [N, 64, 64]."""
        return self.file.get_tensor("weight").float() / 32

    def source(self) -> Tensor:
        """uint8 [3, 512, 512]."""
        return from_jpeg(self.file.get_tensor("source").numpy().tobytes())

    def picture(self, kind: str, frame: int) -> Tensor:
        """uint8 [3, 512, 512]; kind: `target` or `render`."""
        return from_jpeg(self.file.get_tensor(f"{kind}_{frame:02d}").numpy().tobytes())


def make_data(folder: Path, seeds: range, frames: int) -> None:
    """Make the samples of `seeds` that are not there yet (one process; give each process its own seeds)."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [seed for seed in seeds if not sample_path(folder, seed).is_file()]
    with host.current().progress(len(missing), "synthetic people") as progress:
        for seed in missing:
            save_sample(sample_path(folder, seed), make_sample(seed, frames), person=str(seed))
            progress.update()


def stored_samples(folder: Path) -> list[Path]:
    """The samples of a folder in a stable order. Raises InputError when there are none."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise InputError(f"{folder} holds no training data; run the stage 'data' first, or track videos into it.")
    return paths
