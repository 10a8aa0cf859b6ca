"""Number types and devices, interpolation between frames, holes filled, and affine maps between images."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import Module
from torch.nn import functional as F

from .kernels import find

T = TypeVar("T")
M = TypeVar("M", bound=Module)

SMALL_BLUR = 10_000  # numbers up to which CPUs blur by convolution
RELAXATIONS = 8  # of `harmonic_fill` at each resolution


def moved(value: T, device: torch.device | str) -> T:
    """A value with all its tensors on a device; itself where they are there.

    Args:
        value: a tensor, or a dataclass, a tuple, a list or a dict that holds some; others stay as they are.
        device: where to.
    """
    result: Any = value
    if isinstance(value, Tensor):
        result = value.to(device)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {part.name: getattr(value, part.name) for part in fields(value) if part.init}
        result = replace(value, **{name: moved(part, device) for name, part in parts.items()})
    elif isinstance(value, dict):
        result = {key: moved(part, device) for key, part in value.items()}
    elif isinstance(value, (tuple, list)):
        parts_moved = [moved(part, device) for part in value]
        result = type(value)(*parts_moved) if hasattr(value, "_fields") else type(value)(parts_moved)
    return result


def channels_last(module: M) -> M:
    """The module itself, its weights laid out for images whose channels come last, which is faster on most devices."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in stubs


def to_uint8(image: Tensor) -> Tensor:
    """An image of any shape in 0–1, clamped and rounded to uint8."""
    return (image * 255).round_().clamp_(0, 255).byte()


def to_float(image: Tensor) -> Tensor:
    """An image of any shape as float32 in 0–1: uint8 is divided by 255, floats are taken to be in 0–1 already."""
    return image.float() if image.is_floating_point() else image.float().div_(255)


def on_white(image: Tensor) -> Tensor:
    """An image [..., 4] in 0–1, colours and their alpha, with the colours laid on white and the alpha beside them.

    So are all images with transparency in this project: who leaves out the alpha sees the image on white.
    """
    alpha = image[..., 3:]
    return torch.cat([1 + alpha * (image[..., :3] - 1), alpha], -1)


def off_white(image: Tensor) -> Tensor:
    """The inverse of `on_white`, for files: what cannot be seen stays white."""
    alpha = image[..., 3:]
    return torch.cat([(1 + (image[..., :3] - 1) / alpha.clamp(min=1 / 255)).clamp(0, 1), alpha], -1)


def between(before: Tensor, after: Tensor, share: Tensor) -> Tensor:
    """Linear interpolation of [N, ...]: `before` where share [N] is 0, `after` where it is 1."""
    weight = share.reshape(-1, *[1] * (before.ndim - 1))
    return before * (1 - weight) + after * weight


def neighbours(known: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """For each of `count` frames the nearest known frames before and after it, or that frame itself.

    Args:
        known: numbers of the known frames [K], rising, at least one.
        count: N.

    Returns:
        Two indices [N] into `known`; where none is on one side, the first or the last known frame.
    """
    frame = torch.arange(count)
    before = torch.searchsorted(known, frame, right=True) - 1
    return before.clamp(min=0), torch.searchsorted(known, frame).clamp(max=len(known) - 1)


def smoothstep(x: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """0 below `low`, 1 above `high`, smooth between."""
    share = ((x - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of [N, C, H, W] by sigma pixels; the border continues."""
    k = _gaussian(sigma, x.device, x.dtype)
    reach = len(k) // 2
    compiled = None if x.requires_grad else find(x)
    if compiled is not None:
        return compiled.blur(x, k)
    if x.is_cpu and x.numel() > SMALL_BLUR:
        return _blurred_along(-2, _blurred_along(-1, x, k.tolist()), k.tolist())
    flat = F.pad(rearrange(x, "n c h w -> (n c) 1 h w"), (reach, reach, reach, reach), mode="replicate")
    flat = F.conv2d(F.conv2d(flat, k[None, None, None, :]), k[None, None, :, None])
    return rearrange(flat, "(n c) 1 h w -> n c h w", n=len(x))


def dilated(mask: Tensor, reach: int) -> Tensor:
    """A bool mask [..., H, W], true as far as `reach` pixels around what is true; 20 times as fast as max pooling."""
    side = 2 * reach + 1
    mask = F.pad(mask, (reach, reach, reach, reach))
    for axis in (-2, -1):
        done = 1  # pixels in a row that are taken together
        while done < side:
            step = min(done, side - done)
            left = mask.shape[axis] - step
            mask = mask.narrow(axis, 0, left) | mask.narrow(axis, step, left)
            done += step
    return mask


def _blurred_along(dim: int, x: Tensor, weights: list[float]) -> Tensor:
    """[N, C, H, W], blurred along its rows (−1) or columns (−2) by symmetric weights: 3 to 40 times as fast on CPUs."""
    reach, size = len(weights) // 2, x.shape[dim]
    wide = F.pad(x, (reach, reach, 0, 0) if dim == -1 else (0, 0, reach, reach), mode="replicate")
    blurred = wide.narrow(dim, reach, size) * weights[reach]
    for i in range(1, reach + 1):
        pair = wide.narrow(dim, reach - i, size) + wide.narrow(dim, reach + i, size)
        blurred = blurred.add_(pair, alpha=weights[reach - i])
    return blurred


@lru_cache(maxsize=64)
def _gaussian(sigma: float, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Weights of `blur`."""
    with torch.inference_mode(False):  # others may need gradients through what is kept here
        reach = int(3 * sigma + 0.5)
        k = torch.exp(-((torch.arange(-reach, reach + 1, device=device) / sigma) ** 2) / 2).to(dtype)
        return k / k.sum()


def resized(image: Tensor, size: list[int]) -> Tensor:
    """An image [N, C, H, W] in another height and width, averaged where it shrinks."""
    if size[0] < image.shape[2]:
        return F.interpolate(image, size, mode="area")
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


def resized_bytes(image: Tensor, size: list[int]) -> Tensor:
    """An image uint8 [H, W, 3] in another height and width, float [1, 3, h, w] in 0–255, averaged where it shrinks.

    On a CPU five times as fast as `resized`, and rounded.
    """
    pixels = image.permute(2, 0, 1)[None]
    pixels = pixels.float() if image.is_cuda else pixels  # a GPU resizes no bytes
    return F.interpolate(pixels, size, mode="bilinear", align_corners=False, antialias=True).float()


def harmonic_fill(image: Tensor, known: Tensor) -> Tensor:
    """An image [C, H, W] with the pixels that are not known [H, W] (bool) filled softly from those that are.

    What lies at the rim of a hole goes on into it without an edge, and its detail fades the sooner the finer it is:
    Laplace's equation, solved from coarse to fine. Known pixels stay as they are; where none is, nothing is filled.
    """
    if not known.any():
        return image
    weight = known[None, None].to(image)
    levels = [(image[None] * weight, weight)]
    while max(levels[-1][0].shape[-2:]) > 1:
        levels.append((F.avg_pool2d(levels[-1][0], 2, ceil_mode=True), F.avg_pool2d(levels[-1][1], 2, ceil_mode=True)))
    sums, weight = levels.pop()
    filled = sums / weight
    for sums, weight in reversed(levels):
        filled = F.interpolate(filled, size=sums.shape[-2:], mode="bilinear", align_corners=False)
        fixed, mean = weight > 0, sums / weight.clamp(min=1e-6)
        filled = torch.where(fixed, mean, filled)
        for _ in range(RELAXATIONS):
            around = F.pad(filled, (1, 1, 1, 1), mode="replicate")
            rows, columns = around[..., 1:-1], around[..., 1:-1, :]
            mixed = (rows[..., 2:, :] + rows[..., :-2, :] + columns[..., 2:] + columns[..., :-2]) / 4
            filled = torch.where(fixed, mean, mixed)
    return torch.where(known, image, filled[0])


def invert_affine(matrix: Tensor) -> Tensor:
    """The inverse of affine maps [..., 2, 3], in the same shape.

    Args:
        matrix: [..., 2, 3].

    Raises:
        torch.linalg.LinAlgError: a matrix is singular.
    """
    linear = torch.linalg.inv(matrix[..., :2])
    return torch.cat([linear, -linear @ matrix[..., 2:]], -1)


def from_whole_centres(matrix: Tensor) -> Tensor:
    """Affine maps [..., 2, 3] between pixel coordinates with whole-number centres, for centres at .5.

    OpenCV and the released inference count so that the centre of the first pixel is (0, 0); everywhere else in this
    project it is (0.5, 0.5), see `sampling_grid`. Both sides of the map are converted.

    Example:
        >>> from_whole_centres(torch.tensor([[2.0, 0.0, 5.0], [0.0, 2.0, 7.0]]))
        tensor([[2.0000, 0.0000, 4.5000],
                [0.0000, 2.0000, 6.5000]])
    """
    linear, shift = matrix[..., :2], matrix[..., 2:]
    return torch.cat([linear, shift + 0.5 - linear.sum(-1, keepdim=True) * 0.5], -1)


def sampling_grid(
    matrix: Tensor, rows: range, columns: range, size: tuple[int, int], align_corners: bool = False
) -> Tensor:
    """Sampling grid of affine maps, for `torch.nn.functional.grid_sample`.

    Convention:
        - Direction: `matrix` carries coordinates of the output to coordinates of the sampled image (backward warping).
          A map from the image to the output goes through `invert_affine` first.
        - Pixel coordinates (x, y) count from the top left corner of the image: the first pixel spans 0–1 and its
          centre is (0.5, 0.5). A matrix for whole-number centres goes through `from_whole_centres` first.
        - align_corners: the normalisation of the result, which must be that of `grid_sample`. −1 and 1 are the outer
          edges of the image when False, the centres of its outer pixels when True. The image sampled is the same, but
          for rounding.

    `torch.nn.functional.affine_grid` draws the same from a matrix between normalised coordinates. It is not used,
    since the way there and back rounds differently and since it always starts at the first pixel of the output.

    Args:
        matrix: [N, 2, 3]; its dtype and device are those of the computation.
        rows: the output's rows that are sampled, `range(height)` for all of them.
        columns: the output's columns, likewise.
        size: (height, width) of the sampled image.
        align_corners: see above.

    Returns:
        [N, rows, columns, 2].
    """
    y, x = (torch.arange(r.start, r.stop, dtype=matrix.dtype, device=matrix.device) + 0.5 for r in (rows, columns))
    y, x = torch.meshgrid(y, x, indexing="ij")
    place = torch.einsum("hwk,nck->nhwc", torch.stack([x, y, torch.ones_like(x)], -1), matrix)
    height, width = size
    if align_corners:
        return (place - 0.5) * place.new_tensor([2 / (width - 1), 2 / (height - 1)]) - 1
    return place / place.new_tensor([width, height]) * 2 - 1
