"""The rasterizer as two Triton kernels: on a GPU one launch finds the nearest triangles and one describes them.

PyTorch for CUDA on Linux brings Triton along; without it `rasterize` does the same in some hundred launches, and waits
for the GPU to count pixels. One program walks over the rows of one triangle. Of two triangles at a pixel the minimum of
keys (depth, then place in the list) keeps the nearer, whichever is drawn first.
"""

# ruff: noqa: ANN001, ANN202 - kernels take pointers and numbers

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 64  # pixels of a row that a program does at once
PIXELS = 256  # pixels that a program describes


@triton.jit
def _corner(vertices, triangles, base, place):
    """x, y and depth of a triangle's corner."""
    at = vertices + 3 * (base + tl.load(triangles + place))
    return tl.load(at), tl.load(at + 1), tl.load(at + 2)


@triton.jit
def _ordered(bits):
    """Bit patterns of float32 as integers of the same order, and back, see `rasterize`."""
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
def _tightened(left, right, y, slack, x0, y0, x1, y1, side):
    """The ends of a row within an edge, whose normal (nx, ny) points in: n·(p − corner) + slack ≥ 0."""
    length = tl.sqrt((x1 - x0) * (x1 - x0) + (y1 - y0) * (y1 - y0)) * side
    nx, ny = (y0 - y1) / length, (x1 - x0) / length
    nx = tl.where(nx == 0, 1e-20, nx)
    edge = x0 - ((y - y0) * ny + slack) / nx
    return tl.where(nx > 0, tl.maximum(left, edge), left), tl.where(nx > 0, right, tl.minimum(right, edge))


@triton.jit
def _nearest(
    vertices,
    triangles,
    keys,
    vertex_count,
    triangle_count,
    height,
    width,
    near,
    slack,
    least,
    columns: tl.constexpr,
):
    """Lower the keys [N, H, W] of the pixels in one triangle of one frame; arguments as `rasterize` takes them."""
    frame, t = tl.program_id(0) // triangle_count, tl.program_id(0) % triangle_count
    base = frame * vertex_count
    ax, ay, az = _corner(vertices, triangles, base, 3 * t)
    bx, by, bz = _corner(vertices, triangles, base, 3 * t + 1)
    cx, cy, cz = _corner(vertices, triangles, base, 3 * t + 2)
    low, high = tl.minimum(tl.minimum(az, bz), cz), tl.maximum(tl.maximum(az, bz), cz)
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    ab, bc = (bx - ax) * (bx - ax) + (by - ay) * (by - ay), (cx - bx) * (cx - bx) + (cy - by) * (cy - by)
    ca = (ax - cx) * (ax - cx) + (ay - cy) * (ay - cy)
    longest = tl.sqrt(tl.maximum(tl.maximum(ab, bc), ca))
    finite = (tl.abs(area) < float("inf")) & (tl.abs(az) + tl.abs(bz) + tl.abs(cz) < float("inf"))
    visible = finite & (low >= near) & (tl.abs(area) > least * longest)
    # what is not drawn has no rows; coordinates that are no numbers would give any
    top = tl.where(visible, tl.minimum(tl.minimum(ay, by), cy), 1.0)
    bottom = tl.where(visible, tl.maximum(tl.maximum(ay, by), cy), 0.0)
    first = tl.maximum(tl.ceil(top - 0.5 - slack), 0.0).to(tl.int32)
    last = tl.minimum(tl.floor(bottom - 0.5 + slack), height - 1.0).to(tl.int32)
    side = tl.where(area > 0, 1.0, -1.0)
    slope = ((cy - ay) * (bz - az) + (ay - by) * (cz - az)) / area
    rise = ((ax - cx) * (bz - az) + (bx - ax) * (cz - az)) / area
    left_end = tl.maximum(tl.ceil(tl.minimum(tl.minimum(ax, bx), cx) - 0.5 - slack), 0.0)
    right_end = tl.minimum(tl.floor(tl.maximum(tl.maximum(ax, bx), cx) - 0.5 + slack), width - 1.0)
    for row in range(first, last + 1):
        y = row + 0.5
        left, right = _tightened(left_end, right_end + 1, y, slack, ax, ay, bx, by, side)
        left, right = _tightened(left, right, y, slack, bx, by, cx, cy, side)
        left, right = _tightened(left, right, y, slack, cx, cy, ax, ay, side)
        start, end = tl.ceil(left - 0.5).to(tl.int32), tl.floor(right - 0.5).to(tl.int32)
        z = az + slope * (start + 0.5 - ax) + rise * (y - ay)
        pixel = keys + (frame * height + row).to(tl.int64) * width
        for offset in range(0, end - start + 1, columns):
            step = offset + tl.arange(0, columns)
            depth = tl.minimum(tl.maximum(z + slope * step, low), high)
            key = (_ordered(depth.to(tl.int32, bitcast=True)).to(tl.int64) << 32) | t
            tl.atomic_min(pixel + start + step, key, mask=start + step <= end, sem="relaxed")


@triton.jit
def _described(
    vertices,
    triangles,
    keys,
    owner,
    barycentric,
    depth,
    vertex_count,
    width,
    frame_pixels,
    count,
    no_key: tl.constexpr,
    pixels: tl.constexpr,
):
    """Triangle, barycentrics and depth of each pixel, as `rasterize.Fragments` has them, from its key."""
    at = tl.program_id(0).to(tl.int64) * pixels + tl.arange(0, pixels)
    inside = at < count
    key = tl.load(keys + at, mask=inside, other=no_key)
    covered = key != no_key
    t = tl.where(covered, key & 0xFFFFFFFF, 0)
    base, place = at // frame_pixels * vertex_count, at % frame_pixels
    x, y = (place % width).to(tl.float32) + 0.5, (place // width).to(tl.float32) + 0.5
    a = vertices + 3 * (base + tl.load(triangles + 3 * t, mask=covered, other=0))
    b = vertices + 3 * (base + tl.load(triangles + 3 * t + 1, mask=covered, other=0))
    c = vertices + 3 * (base + tl.load(triangles + 3 * t + 2, mask=covered, other=0))
    ax, ay = tl.load(a, mask=covered, other=0.0), tl.load(a + 1, mask=covered, other=0.0)
    bx, by = tl.load(b, mask=covered, other=1.0) - ax, tl.load(b + 1, mask=covered, other=0.0) - ay
    cx, cy = tl.load(c, mask=covered, other=0.0) - ax, tl.load(c + 1, mask=covered, other=1.0) - ay
    area, x, y = bx * cy - by * cx, x - ax, y - ay
    b1 = cy / area * x - cx / area * y
    b2 = bx / area * y - by / area * x
    b0 = tl.maximum(1.0 - b1 - b2, 0.0)
    b1, b2 = tl.maximum(b1, 0.0), tl.maximum(b2, 0.0)
    share = tl.where(covered, 1.0 / (b0 + b1 + b2), 0.0)
    seen = _ordered((key >> 32).to(tl.int32)).to(tl.float32, bitcast=True)
    tl.store(owner + at, tl.where(covered, t, -1), mask=inside)
    tl.store(barycentric + 3 * at, b0 * share, mask=inside)
    tl.store(barycentric + 3 * at + 1, b1 * share, mask=inside)
    tl.store(barycentric + 3 * at + 2, b2 * share, mask=inside)
    tl.store(depth + at, tl.where(covered, seen, float("inf")), mask=inside)


def fragments(
    vertices: Tensor, triangles: Tensor, height: int, width: int, near: float, slack: float, least: float, no_key: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Triangle, barycentrics and depth, as `rasterize.Fragments` has them; the first arguments as `rasterize`'s.

    Args:
        vertices: [N, V, 3].
        triangles: [T, 3].
        height: of the images in pixels.
        width: likewise.
        near: least depth.
        slack: pixels by which edges are moved out.
        least: height in pixels of a triangle that is drawn.
        no_key: of a pixel without a triangle, larger than any other.
    """
    vertices, triangles = vertices.float().contiguous(), triangles.to(vertices.device).contiguous()
    shape, device = (len(vertices), height, width), vertices.device
    keys = torch.full(shape, no_key, dtype=torch.int64, device=device)
    owner = torch.empty_like(keys)
    barycentric, depth = torch.empty(*shape, 3, device=device), torch.empty(shape, device=device)
    pairs, pixels = len(vertices) * len(triangles), keys.numel()
    limits = float(near), float(slack), float(least)
    with torch.cuda.device_of(vertices):
        if pairs:
            counts = vertices.shape[1], len(triangles), height, width
            _nearest[(pairs,)](vertices, triangles, keys, *counts, *limits, COLUMNS, enable_fp_fusion=False)
        counts = vertices.shape[1], width, height * width, pixels
        grid = (triton.cdiv(pixels, PIXELS),)
        described = owner, barycentric, depth
        _described[grid](vertices, triangles, keys, *described, *counts, no_key, PIXELS, enable_fp_fusion=False)
    return described
