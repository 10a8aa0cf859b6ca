"""Synthetic camera: linear light to an 8-bit JPEG, with one look for all images of a person."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...tensors import to_uint8
from .masks import gaussian_blur

DISPLAY_GAMMA = 2.2
DARKEST = 1e-4  # linear light, which keeps the gamma curve's slope finite
HIGHLIGHT_COMPRESSION = 0.25  # of the curve light / (1 + this · light)
MIDTONE_GAIN = 1.2  # makes up for the compression
GRAIN_SIGMA = 0.6  # pixels
GRAIN_GAIN = 1.8  # makes up for the variance that the blur takes


@dataclass(frozen=True)
class CameraLook:
    """Photometric settings of one camera.

    Attributes:
        exposure: factor on linear light.
        gain: factor on each colour channel (white balance).
        gamma: factor on DISPLAY_GAMMA.
        contrast: factor about mid-grey.
        saturation: factor about the pixel's grey; 0 is black and white.
        blur: standard deviation of the lens blur in pixels.
        grain: standard deviation of the sensor noise.
        vignette: share of light that the corners lose.
        quality: of the JPEG, 1–100.
        seed: of the sensor noise.
    """

    exposure: float
    gain: tuple[float, float, float]
    gamma: float
    contrast: float
    saturation: float
    blur: float
    grain: float
    vignette: float
    quality: int
    seed: int


def random_look(rng: np.random.Generator) -> CameraLook:
    """Random settings, 6 % of them black and white."""
    grey = rng.random() < 0.06
    exposure = float(np.exp(rng.normal(0, 0.2)))
    red, green, blue = (1 + rng.normal(0, 0.06, 3)).tolist()
    return CameraLook(
        exposure=exposure,
        gain=(red, green, blue),
        gamma=float(np.exp(rng.normal(0, 0.1))),
        contrast=float(rng.uniform(0.8, 1.25)),
        saturation=0.0 if grey else float(rng.uniform(0.6, 1.3)),
        blur=float(rng.choice([0.0, rng.uniform(0.4, 1.0), rng.uniform(0.8, 1.6)], p=[0.3, 0.5, 0.2])),
        grain=float(rng.choice([0.0, rng.uniform(0.004, 0.03)])),
        vignette=float(rng.choice([0.0, rng.uniform(0, 0.4)])),
        quality=int(rng.integers(86, 97)),
        seed=int(rng.integers(1 << 30)),
    )


def photograph(light: Tensor, look: CameraLook) -> Tensor:
    """Take images of linear light.

    Args:
        light: linear light [N, 3, S, S].
        look: settings; its noise is the same in every image.

    Returns:
        Gamma-coded images [N, 3, S, S] in 0–1.
    """
    size = light.shape[-1]
    image = light * look.exposure * torch.tensor(look.gain).float()[:, None, None]
    image = image.clamp(min=DARKEST)
    image = image / (1 + HIGHLIGHT_COMPRESSION * image) * MIDTONE_GAIN
    image = image ** (1 / (DISPLAY_GAMMA * look.gamma))
    image = (image - 0.5) * look.contrast + 0.5
    grey = image.mean(1, keepdim=True)
    image = grey + look.saturation * (image - grey)
    if look.vignette:
        axis = torch.linspace(-1, 1, size)
        image = image * (1 - look.vignette * (axis[:, None] ** 2 + axis[None] ** 2) / 2)
    if look.blur:
        image = gaussian_blur(image, look.blur)
    if look.grain:
        noise = np.random.default_rng(look.seed).standard_normal((1, 3, size, size), dtype=np.float32)
        image = image + look.grain * gaussian_blur(torch.from_numpy(noise), GRAIN_SIGMA) * GRAIN_GAIN
    return image.clamp(0, 1)


def to_jpeg(image: Tensor, quality: int) -> bytes:
    """JPEG file, without chroma subsampling, of an image [3, H, W] in 0–1."""
    from PIL import Image

    file = io.BytesIO()
    array = rearrange(to_uint8(image), "c h w -> h w c").numpy()
    Image.fromarray(array).save(file, "jpeg", quality=quality, subsampling=0)
    return file.getvalue()


def from_jpeg(data: bytes) -> Tensor:
    """Image uint8 [3, H, W] of a JPEG file."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return rearrange(torch.from_numpy(np.array(image.convert("RGB"))), "h w c -> c h w").contiguous()
