"""Source, driver and result side by side, as one video or image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.media.audio import read_audio
from ..mimaface_core.media.image import read_image
from ..mimaface_core.media.provenance import synthetic_metadata
from ..mimaface_core.media.read import Clip
from ..mimaface_core.media.write import VideoWriter
from ..mimaface_core.tensors import to_float, to_uint8

HEIGHT = 512  # pixels


def side_by_side(source: Path, driver: Path, result: Path, path: Path) -> Path:
    """Write source | driver | result as one video, or as one image where the result is one.

    Args:
        source: an image.
        driver: a clip of the length of the result, or an image.
        result: a clip, whose frame rate and audio are kept, or an image.
        path: the file to write, without the suffix.

    Returns:
        Its path, with the suffix.
    """
    clip = None if result.suffix == ".png" else Clip.open(result)
    if clip is None:
        writer = VideoWriter(path, 1, "png", metadata=synthetic_metadata())
    else:
        audio = read_audio(result) if clip.has_audio else None
        writer = VideoWriter(path, clip.fps, "mp4", audio=audio, metadata=synthetic_metadata())
    still = panel(read_image(source))
    with writer, host.current().progress(clip.frames if clip else 1, "side by side") as progress:
        for pair in zip(_frames(driver), _frames(result), strict=False):
            writer.write(torch.cat([still, *map(panel, pair)], 1))
            progress.update()
    return writer.path


def _frames(path: Path) -> Iterator[Tensor]:
    """Frames [H, W, 3] in 0–1 of a clip or image."""
    if path.suffix.lower() == ".png":
        yield read_image(path)
        return
    for frame in Clip.open(path):
        yield to_float(frame)


def panel(image: Tensor) -> Tensor:
    """An image [H, W, 3] in 0–1 as uint8 of HEIGHT, its width in proportion and even."""
    height, width = image.shape[:2]
    size = (HEIGHT, max(2, round(width * HEIGHT / height / 2) * 2))
    scaled = torch.nn.functional.interpolate(
        rearrange(image, "h w c -> 1 c h w"), size, mode="bicubic", antialias=True, align_corners=False
    )
    return rearrange(to_uint8(scaled), "1 c h w -> h w c")
