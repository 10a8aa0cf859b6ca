"""Z-buffer rasterizer in plain PyTorch: fragments of projected triangles, and interpolated vertex attributes.

Ours because compiled rasterizers (pytorch3d, nvdiffrast) install on few of the machines that ComfyUI runs on. With
numba (the extra `fast`) `kernels` does the same on a CPU, eight times as fast; on a GPU `rasterize_triton` does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..kernels import find

_log = logging.getLogger(__name__)

CHUNK_PIXELS = 1 << 20  # of bounding boxes handled at once: bounds the memory, however large the triangles
EDGE_SLACK = 1e-3  # pixels by which every edge is moved out, so that rounding opens no crack between neighbours
MIN_HEIGHT = 1e-4  # pixels: a triangle of smaller height is seen edge-on and has no stable barycentrics
NO_KEY = torch.iinfo(torch.int64).max  # of a pixel without a triangle


class Fragments(NamedTuple):
    """The nearest triangle at each pixel of N images.

    Attributes:
        triangle: long [N, H, W], row of the triangle list, −1 where empty.
        barycentric: float32 [N, H, W, 3], weights of the triangle's corners, ≥ 0 with sum 1 (0 where empty).
        depth: float32 [N, H, W], in the unit of the vertices' third coordinate (+inf where empty).
    """

    triangle: Tensor
    barycentric: Tensor
    depth: Tensor

    @property
    def mask(self) -> Tensor:
        """Bool [N, H, W]: pixels with a triangle."""
        return self.triangle >= 0


class _Candidates(NamedTuple):
    """The K (frame, triangle) pairs that can be visible, frame by frame and in the order of the triangle list."""

    frame: Tensor  # long [K]
    triangle: Tensor  # long [K]
    corners: Tensor  # [K, 3, 3]: x, y, depth
    gradient: Tensor  # [K, 2, 2]: change of barycentrics 1 and 2 per pixel in x and y
    box: Tensor  # long [K, 4]: first and last column, first and last row


@torch.no_grad()
def rasterize(vertices: Tensor, triangles: Tensor, height: int, width: int, near: float = 0.0) -> Fragments:
    """Find the nearest triangle behind the centre of every pixel.

    Convention: the image spans 0–width and 0–height; the pixel of row r and column c is sampled at (c + 0.5, r + 0.5).
    Weights and depth are affine over the image, not perspective-correct. A batch gives what its frames give one by one.

    Args:
        vertices: [N, V, 3], x and y in pixels (x right, y down), third the depth (larger = farther).
        triangles: long [T, 3]. Both windings are drawn. Of equal depths the triangle listed first wins.
        height: of the images in pixels.
        width: of the images in pixels.
        near: a triangle with any corner at a smaller depth is left out (it reaches behind the camera), as is one with
            a coordinate that is not finite. For depths with another origin pass −inf.

    Returns:
        Fragments on the device of `vertices`, without gradients.

    Raises:
        ValueError: other shapes than these, or an image without pixels.
    """
    if vertices.ndim != 3 or vertices.shape[-1] != 3 or triangles.ndim != 2 or triangles.shape[-1] != 3:
        raise ValueError(
            f"rasterize takes vertices [N, V, 3] and triangles [T, 3], not {list(vertices.shape)} and "
            f"{list(triangles.shape)}."
        )
    if height < 1 or width < 1:
        raise ValueError(f"an image of {width}×{height} pixels cannot be drawn; give at least 1×1.")
    compiled = find(vertices, triangles)
    if compiled is not None:
        return Fragments(*compiled.rasterize(vertices, triangles, height, width, near, EDGE_SLACK, MIN_HEIGHT))
    if vertices.is_cuda and (on_gpu := _triton()) is not None:
        return Fragments(*on_gpu(vertices, triangles, height, width, near, EDGE_SLACK, MIN_HEIGHT, NO_KEY))
    candidates = _visible(vertices, triangles.to(vertices.device), height, width, near)
    # Keys order by depth, then by place in the list: one minimum finds the winner, the same on every device.
    keys = torch.full((len(vertices) * height * width,), NO_KEY, device=vertices.device)
    for low, high in _chunks(candidates.box):
        pixel, depth, owner = _covered_pixels(candidates, low, high, height, width)
        keys.scatter_reduce_(0, pixel, _ordered(depth.view(torch.int32)).long() << 32 | owner, "amin")
    return _resolve(keys, candidates, len(vertices), height, width)


def interpolate(fragments: Fragments, triangles: Tensor, attributes: Tensor) -> Tensor:
    """Interpolate vertex attributes over the pixels.

    Args:
        fragments: of `rasterize`.
        triangles: the list [T, 3] that was rasterized.
        attributes: [N, V, C], or [V, C] shared by all frames.

    Returns:
        [N, C, H, W] in the attributes' type, 0 where there is no triangle.
    """
    compiled = find(fragments.barycentric, triangles, attributes)
    if compiled is not None and not attributes.requires_grad:
        return compiled.interpolate(fragments.triangle, fragments.barycentric, triangles, attributes)
    N, T, C = len(fragments.triangle), len(triangles), attributes.shape[-1]
    if not T:
        return attributes.new_zeros(N, C, *fragments.triangle.shape[1:])
    # One row of a table holds the attributes of a triangle's corners; pixels without one have weights of 0.
    table = attributes.index_select(-2, triangles.to(attributes.device).flatten()).reshape(-1, 3, C)
    row = fragments.triangle.clamp(min=0)
    if attributes.ndim == 3:
        row = row + T * torch.arange(N, device=row.device)[:, None, None]
    corner = table.flatten(1).index_select(0, row.flatten()).view(*row.shape, 3, C)
    weight = fragments.barycentric.to(table.dtype)[..., None]
    value = weight[..., 0, :] * corner[..., 0, :]
    for k in (1, 2):
        value.addcmul_(weight[..., k, :], corner[..., k, :])
    return value.permute(0, 3, 1, 2)


@cache
def _triton() -> Callable[..., tuple[Tensor, Tensor, Tensor]] | None:
    """`rasterize_triton.fragments`, where it works on this machine's GPU."""
    if not torch.cuda.is_available() or find_spec("triton") is None:
        return None
    try:
        from .rasterize_triton import fragments

        corners = torch.tensor([[[0.0, 0, 1], [2, 0, 1], [0, 2, 1]]], device="cuda")
        fragments(corners, torch.arange(3)[None], 2, 2, 0.0, EDGE_SLACK, MIN_HEIGHT, NO_KEY)
    except Exception as error:  # noqa: BLE001 - whatever a compiler finds to say
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        _log.warning("Triton cannot be used (%s): renders take longer on this GPU.", reason)
        return None
    return fragments


def _visible(vertices: Tensor, triangles: Tensor, height: int, width: int, near: float) -> _Candidates:
    """Gather the triangles' corners and drop those that cover no pixel."""
    corners = vertices.float().index_select(1, triangles.flatten()).reshape(-1, 3, 3)
    low, high = corners.amin(1), corners.amax(1)
    # Boxes of pixel centres, cut to the image; the slack belongs to the edges, so the boxes take it too.
    size = torch.tensor([width, height], device=corners.device)
    first = (low[:, :2] - 0.5 - EDGE_SLACK).ceil().clamp(min=0)
    last = (high[:, :2] - 0.5 + EDGE_SLACK).floor().minimum(size - 1)
    # Twice the signed area from two edges; divided by the longest edge it is the triangle's height.
    edge = corners.roll(-1, 1)[..., :2] - corners[..., :2]
    a, b = edge[:, 0], -edge[:, 2]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    visible = area.isfinite() & (area.abs() > MIN_HEIGHT * edge.norm(dim=-1).amax(1))
    visible &= low[:, 2].isfinite() & high[:, 2].isfinite() & (low[:, 2] >= near) & (first <= last).all(1)
    index = visible.nonzero()[:, 0]
    # Barycentrics 1 and 2 are linear in the offset from corner 0.
    gradient = torch.stack([b[:, 1], -b[:, 0], -a[:, 1], a[:, 0]], 1).index_select(0, index)
    gradient = gradient / area.index_select(0, index)[:, None]
    box = torch.stack([first, last], 2).flatten(1).index_select(0, index).long()
    T = max(len(triangles), 1)
    return _Candidates(index // T, index % T, corners.index_select(0, index), gradient.view(-1, 2, 2), box)


def _chunks(box: Tensor) -> Iterator[tuple[int, int]]:
    """Ranges of candidates whose boxes hold about CHUNK_PIXELS pixels together (one candidate at least)."""
    area = (box[:, 1] - box[:, 0] + 1) * (box[:, 3] - box[:, 2] + 1)
    part = (area.cumsum(0) - area) // CHUNK_PIXELS
    low = 0
    for count in part.unique_consecutive(return_counts=True)[1].tolist():
        yield low, low + count
        low += count


def _covered_pixels(
    candidates: _Candidates, low: int, high: int, height: int, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Every pixel whose centre lies in one of the candidates low…high: its index, the depth there, the candidate."""
    device = candidates.box.device
    corners, gradient, box = candidates.corners[low:high], candidates.gradient[low:high], candidates.box[low:high]
    # Scanlines: one entry for each pixel row of each triangle.
    count = box[:, 3] - box[:, 2] + 1
    owner = torch.repeat_interleave(torch.arange(high - low, device=device), count)
    row = torch.arange(len(owner), device=device) - (count.cumsum(0) - count - box[:, 2]).index_select(0, owner)
    # Each edge, its normal n pointing in and of length 1, bounds the scanline: n·(p − corner) + EDGE_SLACK ≥ 0.
    edge = corners.roll(-1, 1)[..., :2] - corners[..., :2]
    inward = (edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]).sign()[:, None, None]
    n = torch.stack([-edge[..., 1], edge[..., 0]], -1) * inward / edge.norm(dim=-1, keepdim=True)
    nx, ny = n.unbind(-1)
    nx = nx.masked_fill(nx == 0, 1e-20)
    lines = torch.stack([*corners[..., :2].unbind(-1), ny, nx], 1).flatten(1).index_select(0, owner).view(-1, 4, 3)
    cx, cy, ny, nx = lines.unbind(1)
    x = cx - ((row[:, None] + 0.5 - cy) * ny + EDGE_SLACK) / nx
    opens, sides = nx > 0, box[:, :2].float().index_select(0, owner)
    left = x.masked_fill(~opens, -torch.inf).amax(1).maximum(sides[:, 0])
    right = x.masked_fill(opens, torch.inf).amin(1).minimum(sides[:, 1] + 1)
    first, last = (left - 0.5).ceil(), (right - 0.5).floor()
    filled = (last >= first).nonzero()[:, 0]
    owner, row = owner.index_select(0, filled), row.index_select(0, filled)
    first, last = first.index_select(0, filled).long(), last.index_select(0, filled).long()
    # Depth along a scanline: a start and a constant step, kept inside the triangle's own range.
    z = corners[..., 2]
    slope = gradient[:, 0] * (z[:, 1:2] - z[:, :1]) + gradient[:, 1] * (z[:, 2:] - z[:, :1])
    planes = torch.cat([corners[:, 0], slope, z.amin(1, keepdim=True), z.amax(1, keepdim=True)], 1)
    x0, y0, z0, dx, dy, nearest, farthest = planes.index_select(0, owner).unbind(1)
    start = z0 + (dx * (first + 0.5 - x0) + dy * (row + 0.5 - y0))
    # Pixels of all scanlines.
    count = last - first + 1
    line = torch.repeat_interleave(torch.arange(len(count), device=device), count)
    begin = (candidates.frame[low:high].index_select(0, owner) * height + row) * width + first
    places = torch.stack([count.cumsum(0) - count, begin, owner + low], 1).index_select(0, line)
    depths = torch.stack([start, dx, nearest, farthest], 1).index_select(0, line)
    step = torch.arange(len(line), device=device) - places[:, 0]
    depth = torch.addcmul(depths[:, 0], depths[:, 1], step).maximum(depths[:, 2]).minimum(depths[:, 3])
    return places[:, 1] + step, depth, places[:, 2]


def _ordered(bits: Tensor) -> Tensor:
    """Map float32 bit patterns (int32) to integers of the same order, and back: it is its own inverse."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


def _resolve(keys: Tensor, candidates: _Candidates, N: int, height: int, width: int) -> Fragments:
    """Turn each pixel's winning key into its triangle, barycentrics and depth."""
    device, empty, shape = keys.device, keys == NO_KEY, (N, height, width)
    # Pixels without a triangle take a row more, whose numbers are finite and of no consequence.
    owner = (keys & 0xFFFFFFFF).masked_fill_(empty, len(candidates.triangle))

    def of(each: Tensor, outside: int = 0) -> Tensor:
        return F.pad(each, (0, 1), value=outside).index_select(0, owner).view(shape)

    x = torch.arange(width, device=device) + 0.5 - of(candidates.corners[:, 0, 0])
    y = (torch.arange(height, device=device) + 0.5)[:, None] - of(candidates.corners[:, 0, 1])
    b1, b2 = ((of(g[:, 0]) * x).addcmul_(of(g[:, 1]), y) for g in candidates.gradient.unbind(1))
    parts = [part.clamp_(min=0) for part in (1 - b1 - b2, b1, b2)]
    total = (parts[0] + parts[1] + parts[2]).masked_fill_(empty.view(shape), torch.inf)
    barycentric = torch.stack([part / total for part in parts], -1)
    depth = _ordered((keys >> 32).int()).view(torch.float32).masked_fill_(empty, torch.inf)
    return Fragments(of(candidates.triangle, -1), barycentric, depth.view(shape))
