"""Stored outputs of the published code, and the inputs and weights that they were computed from."""

import hashlib
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file


def stored_file(name: str) -> Path:
    """A file of the stored outputs, from MIMAFACE_PARITY or ../shared/parity beside the checkout; skips without it."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "parity"
    file = Path(os.environ.get("MIMAFACE_PARITY", beside)) / name
    if not file.is_file():
        pytest.skip(f"no parity data: {file} is absent; name its folder in MIMAFACE_PARITY")
    return file


def stored(name: str) -> dict[str, torch.Tensor]:
    """Stored outputs, by their names."""
    return load_file(stored_file(f"{name}.safetensors"))


def noise(name: str, *shape: int) -> torch.Tensor:
    """Standard normal float32 seeded by its name, as the stored outputs define it."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, dtype=np.float32))


def weight(key: str, shape: tuple[int, ...], gain: float = 1.0) -> torch.Tensor:
    """What stands for a learned tensor: a function of its released key and its shape."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.long)
    if key.endswith("pos_encoder.pe"):
        _, length, width = shape
        rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
        angle = torch.arange(length)[:, None] * rate
        return torch.stack([angle.sin(), angle.cos()], -1).reshape(1, length, width)
    x = noise(key, *shape)
    if key.endswith("running_var"):
        return x.abs().mul_(0.1).add_(1)
    if key.endswith("running_mean") or (len(shape) < 2 and not key.endswith("weight")):
        return x.mul_(0.1)
    return x.mul_(gain).div_(math.sqrt(math.prod(shape[1:]))) if len(shape) >= 2 else x.mul_(0.1).add_(1)


def fingerprint(shapes: dict[str, tuple[int, ...]]) -> str:
    """Sixteen digits that stand for all keys and shapes of a state dict, in any order."""
    lines = sorted(f"{key} {list(shape)}" for key, shape in shapes.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def off(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest difference, relative to the mean magnitude; 1e-4 is the tolerance of the stored outputs."""
    assert ours.shape == theirs.shape
    return ((ours - theirs).abs().max() / theirs.abs().mean()).item()
