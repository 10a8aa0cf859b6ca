"""The synthetic camera: one look for all pictures of a person, from linear light to an 8-bit JPEG."""

from __future__ import annotations

import io

import numpy as np
import torch
from torch import Tensor

from .noise import blur


def random_look(rng: np.random.Generator) -> dict:
    """Settings: exposure, gain of each colour, gamma, contrast, saturation, blur (pixels), grain, vignette, quality."""
    grey = rng.random() < 0.06
    return {
        "exposure": float(np.exp(rng.normal(0, 0.2))),
        "gain": (1 + rng.normal(0, 0.06, 3)).tolist(),
        "gamma": float(np.exp(rng.normal(0, 0.1))),
        "contrast": float(rng.uniform(0.8, 1.25)),
        "saturation": 0.0 if grey else float(rng.uniform(0.6, 1.3)),
        "blur": float(rng.choice([0.0, rng.uniform(0.4, 1.0), rng.uniform(0.8, 1.6)], p=[0.3, 0.5, 0.2])),
        "grain": float(rng.choice([0.0, rng.uniform(0.004, 0.03)])),
        "vignette": float(rng.choice([0.0, rng.uniform(0, 0.4)])),
        "quality": int(rng.integers(86, 97)),
        "seed": int(rng.integers(1 << 30)),
    }


def photograph(light: Tensor, look: dict) -> Tensor:
    """Pictures [N, 3, S, S] in 0–1 from linear light of the same shape; grain is the same in every picture."""
    size = light.shape[-1]
    picture = light * look["exposure"] * torch.tensor(look["gain"]).float()[:, None, None]
    picture = picture.clamp(min=1e-4)
    picture = picture / (1 + 0.25 * picture) * 1.2  # bright parts give way
    picture = picture ** (1 / (2.2 * look["gamma"]))
    picture = (picture - 0.5) * look["contrast"] + 0.5
    grey = picture.mean(1, keepdim=True)
    picture = grey + look["saturation"] * (picture - grey)
    if look["vignette"]:
        axis = torch.linspace(-1, 1, size)
        picture = picture * (1 - look["vignette"] * (axis[:, None] ** 2 + axis[None] ** 2) / 2)
    if look["blur"]:
        picture = blur(picture, look["blur"])
    if look["grain"]:
        noise = np.random.default_rng(look["seed"]).standard_normal((1, 3, size, size), dtype=np.float32)
        picture = picture + look["grain"] * blur(torch.from_numpy(noise), 0.6) * 1.8
    return picture.clamp(0, 1)


def to_jpeg(picture: Tensor, quality: int) -> bytes:
    """A picture [3, H, W] in 0–1 as JPEG with full colour resolution."""
    from PIL import Image

    file = io.BytesIO()
    array = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(array).save(file, "jpeg", quality=quality, subsampling=0)
    return file.getvalue()


def from_jpeg(data: bytes) -> Tensor:
    """uint8 [3, H, W] from JPEG."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).contiguous()
