"""Compiled loops over pixels: rasterizer, interpolation, lookup in images, blur, distortion.

Where numba is installed (the extra `fast`), and for tensors on the CPU; elsewhere `find` says that there are none, and
their callers do the same in PyTorch, which is what the tests compare with. Loops run in Python's own threads without
its lock, as many as PyTorch has: waiting ones sleep, and no two thread pools of OpenMP meet.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

_log = logging.getLogger(__name__)

LEAST_BAND = 32  # rows of pixels that one thread does at a time, at least


class Kernels:
    """The compiled loops; made by `find`."""

    def __init__(self) -> None:
        from . import kernel_loops

        self._loops = kernel_loops

    def rasterize(
        self, vertices: Tensor, triangles: Tensor, height: int, width: int, near: float, slack: float, least: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Triangle, barycentrics and depth, as `morphable.rasterize.Fragments` has them; arguments as there.

        slack: pixels by which edges are moved out. least: height in pixels of a triangle that is drawn.
        """
        frames = len(vertices)
        triangle = torch.empty(frames, height, width, dtype=torch.int64)
        barycentric, depth = torch.empty(frames, height, width, 3), torch.empty(frames, height, width)
        arrays = _arrays(vertices.float(), triangles, triangle, barycentric, depth)
        _in_bands(self._loops.rasterize, frames, height, *arrays, near, np.float32(slack), np.float32(least))
        return triangle, barycentric, depth

    def interpolate(self, triangle: Tensor, barycentric: Tensor, triangles: Tensor, attributes: Tensor) -> Tensor:
        """Attributes [N, C, H, W]; arguments as `morphable.rasterize.interpolate`."""
        frames, height, width = triangle.shape
        table = attributes if attributes.ndim == 3 else attributes[None]
        image = torch.empty(frames, table.shape[-1], height, width)
        arrays = _arrays(triangle, barycentric, triangles, table.float(), image)
        _in_bands(self._loops.interpolate, frames, height, *arrays)
        return image

    def widened(self, image: Tensor) -> Any:
        """An image [C, S, S] as `bicubic` looks it up."""
        channels, side = len(image), image.shape[-1]
        wide = image.new_zeros(-(-channels // 3), side + 5, side + 5, 4)
        for group, part in zip(wide, image.split(3), strict=True):
            group[2:-3, 2:-3, : len(part)] = part.permute(1, 2, 0)
        for lines in (wide, wide.transpose(1, 2)):
            lines[:, :2], lines[:, -3:] = lines[:, 2:3], lines[:, -4:-3]
        return _arrays(wide.flatten(1))[0]

    def bicubic(self, widened: Any, channels: int, spare: int, pixels: Tensor, where: Tensor | None) -> Tensor:
        """What a `widened` image of so many channels, and `spare` ones, shows in places [N, H, W, 2], see `lookup`."""
        frames, height, width = pixels.shape[:3]
        out = torch.empty(frames, max(3 * len(widened), channels + spare), height, width)
        wanted = torch.ones(frames, 1, 1, dtype=torch.bool) if where is None else where
        arrays = [widened, *_arrays(pixels.permute(0, 3, 1, 2), wanted, out)]
        _in_bands(self._loops.bicubic, frames, height, *arrays, where is None)
        return out[:, : channels + spare]

    def stretch(self, pixels: Tensor, cover: Tensor, low: float, high: float) -> Tensor:
        """How far a map stretches [N, 1, H, W]; arguments as `reprojection.sampling.stretch`."""
        frames, height, width = cover.shape
        out = torch.empty(frames, 1, height, width)
        arrays = _arrays(pixels.permute(0, 3, 1, 2), cover)
        _in_bands(self._loops.stretch, frames, height, *arrays, np.float32(low), np.float32(high), *_arrays(out))
        return out

    def blur(self, images: Tensor, weights: Tensor) -> Tensor:
        """Images [N, C, H, W], their rows and columns weighted by a symmetric kernel [K], K odd."""
        out = torch.empty(images.shape)
        arrays = _arrays(images.flatten(0, 1), weights, out.flatten(0, 1))
        _in_bands(self._loops.blur, images.shape[0] * images.shape[1], images.shape[2], *arrays)
        return out


def find(*tensors: Tensor) -> Kernels | None:
    """The compiled loops, where there are any for these tensors: float32 or whole numbers, on the CPU."""
    if any(of.device.type != "cpu" or of.dtype not in (torch.float32, torch.int64) for of in tensors):
        return None
    return _compiled()


@cache
def _compiled() -> Kernels | None:
    if importlib.util.find_spec("numba") is None:
        return None
    try:
        return Kernels()
    except Exception as error:  # noqa: BLE001 - an installation that does not fit this Python or numpy
        _log.warning("numba is installed but cannot be used (%s); frames are drawn without it, more slowly.", error)
        return None


def _arrays(*tensors: Tensor) -> list[Any]:
    """Arrays that share the tensors' memory, which is contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "mimaface-kernel")


def _in_bands(loop: Callable[..., None], frames: int, height: int, *arguments: Any) -> None:
    """Run a loop over bands of rows of every frame, on as many threads as PyTorch has."""
    threads = torch.get_num_threads()
    rows = max(LEAST_BAND, -(-height * frames // threads))
    bands = [(n, top, min(top + rows, height)) for n in range(frames) for top in range(0, height, rows)]
    if threads == 1 or len(bands) == 1:
        for band in bands:
            loop(*band, *arguments)
    else:
        list(_pool(threads).map(lambda band: loop(*band, *arguments), bands))
