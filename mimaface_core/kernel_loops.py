"""Loops of `kernels`, compiled by numba: each does rows `top` to `bottom` of one frame, and releases Python's lock."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_HALF, _ONE = np.float32(0.5), np.float32(1)
_ZERO = np.float32(0)
_A = np.float32(-0.75)  # of the cubic convolution, as in PyTorch


def _compiled(**options: Any) -> Callable[..., Any]:
    """Compiles a loop when it is first called, and keeps it on disk where a folder for that can be written.

    numba keeps it under its last names alone, but can read it in a package of the same name only; ComfyUI gives this
    one another than `mimaface`, in the same folder.
    """

    def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
        loop.__qualname__ += f"_{zlib.crc32(__name__.encode()):08x}"
        try:
            return numba.njit(loop, nogil=True, cache=True, error_model="numpy", **options)
        except RuntimeError:  # no folder for numba's cache
            return numba.njit(loop, nogil=True, error_model="numpy", **options)

    return compiled


@_compiled()
def rasterize(frame, top, bottom, vertices, triangles, triangle, barycentric, depth, near, slack, least):  # noqa: ANN001, ANN201
    """The nearest triangle at each pixel; see `morphable.rasterize.rasterize`, also for the two constants."""
    width = triangle.shape[2]
    triangle[frame, top:bottom], depth[frame, top:bottom] = -1, np.inf
    barycentric[frame, top:bottom] = np.float32(0)
    edges = np.empty((3, 4), np.float32)
    for t in range(len(triangles)):
        ax, ay, az = vertices[frame, triangles[t, 0]]
        bx, by, bz = vertices[frame, triangles[t, 1]]
        cx, cy, cz = vertices[frame, triangles[t, 2]]
        low, high = min(az, bz, cz), max(az, bz, cz)
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (math.isfinite(area) and math.isfinite(low) and math.isfinite(high) and low >= near):
            continue
        longest = max(math.hypot(bx - ax, by - ay), math.hypot(cx - bx, cy - by), math.hypot(ax - cx, ay - cy))
        if not abs(area) > least * longest:
            continue
        first = max(top, math.ceil(min(ay, by, cy) - _HALF - slack))
        last = min(bottom - 1, math.floor(max(ay, by, cy) - _HALF + slack))
        left_end = max(0, math.ceil(min(ax, bx, cx) - _HALF - slack))
        right_end = min(width - 1, math.floor(max(ax, bx, cx) - _HALF + slack))
        # barycentrics 1 and 2 change by these a pixel in x and y
        g1x, g1y, g2x, g2y = (cy - ay) / area, (ax - cx) / area, (ay - by) / area, (bx - ax) / area
        slope = g1x * (bz - az) + g2x * (cz - az)
        for k, (x0, y0, x1, y1) in enumerate(((ax, ay, bx, by), (bx, by, cx, cy), (cx, cy, ax, ay))):
            # an edge with its normal (nx, ny), pointing in and of length 1, bounds x: n·(p − corner) + slack ≥ 0
            length = math.hypot(x1 - x0, y1 - y0) * (_ONE if area > 0 else -_ONE)
            nx, ny = -(y1 - y0) / length, (x1 - x0) / length
            nx = np.float32(1e-20) if nx == 0 else nx
            edges[k] = x0, y0, nx, ny
        for row in range(first, last + 1):
            y = np.float32(row) + _HALF
            left, right = np.float32(left_end), np.float32(right_end + 1)
            for x0, y0, nx, ny in edges:
                edge = x0 - ((y - y0) * ny + slack) / nx
                if nx > 0:
                    left = max(left, edge)
                else:
                    right = min(right, edge)
            start = math.ceil(left - _HALF)
            offset_x, offset_y = np.float32(start) + _HALF - ax, y - ay
            z = az + slope * offset_x + (g1y * (bz - az) + g2y * (cz - az)) * offset_y
            for column in range(start, math.floor(right - _HALF) + 1):
                here = min(max(z + slope * np.float32(column - start), low), high)
                if here < depth[frame, row, column]:
                    depth[frame, row, column] = here
                    triangle[frame, row, column] = t
                    x = np.float32(column) + _HALF - ax
                    b1, b2 = g1x * x + g1y * offset_y, g2x * x + g2y * offset_y
                    b0 = max(_ONE - b1 - b2, np.float32(0))
                    b1, b2 = max(b1, np.float32(0)), max(b2, np.float32(0))
                    total = b0 + b1 + b2
                    barycentric[frame, row, column, 0] = b0 / total
                    barycentric[frame, row, column, 1] = b1 / total
                    barycentric[frame, row, column, 2] = b2 / total


@_compiled()
def interpolate(frame, top, bottom, triangle, barycentric, triangles, table, image):  # noqa: ANN001, ANN201
    """Attributes of the vertices at each pixel; see `morphable.rasterize.interpolate`."""
    values = table[min(frame, len(table) - 1)]
    for row in range(top, bottom):
        owner, weights = triangle[frame, row], barycentric[frame, row]
        for k in range(values.shape[1]):
            line = image[frame, k, row]
            for column in range(len(line)):
                t = owner[column]
                if t < 0:
                    line[column] = _ZERO
                    continue
                # unsigned numbers index faster: they are not asked whether they are negative
                a, b, c = np.uintp(triangles[t, 0]), np.uintp(triangles[t, 1]), np.uintp(triangles[t, 2])
                w0, w1, w2 = weights[column, 0], weights[column, 1], weights[column, 2]
                line[column] = w0 * values[a, k] + w1 * values[b, k] + w2 * values[c, k]


@_compiled(inline="always")
def _cubic(t):  # noqa: ANN001, ANN202
    """Weights of four neighbours in a row, the second of which lies `t` before the place."""
    u, v, w = t + _ONE, _ONE - t, np.float32(2) - t
    five, eight, four = np.float32(5), np.float32(8), np.float32(4)
    inner, outer = _A + np.float32(2), _A + np.float32(3)
    return (
        (((u - five) * u + eight) * u - four) * _A,
        (inner * t - outer) * t * t + _ONE,
        (inner * v - outer) * v * v + _ONE,
        (((w - five) * w + eight) * w - four) * _A,
    )


@_compiled(inline="always")
def _weighted(image, at, a, b, c, d):  # noqa: ANN001, ANN202
    """Four channels, which fill a vector, of four neighbours in a row, the first at `at`."""
    u = np.uintp
    return (
        a * image[at] + b * image[at + u(4)] + c * image[at + u(8)] + d * image[at + u(12)],
        a * image[at + u(1)] + b * image[at + u(5)] + c * image[at + u(9)] + d * image[at + u(13)],
        a * image[at + u(2)] + b * image[at + u(6)] + c * image[at + u(10)] + d * image[at + u(14)],
        a * image[at + u(3)] + b * image[at + u(7)] + c * image[at + u(11)] + d * image[at + u(15)],
    )


@_compiled(fastmath={"contract", "nsz", "reassoc"})
def bicubic(frame, top, bottom, images, pixels, wanted, out, everywhere):  # noqa: ANN001, ANN201
    """Bicubic lookup, see `lookup.Lookup`.

    images: [G, side · side · 4], channels in groups of three and a fourth that is not looked up, with a border of 2
    before and 3 behind. pixels, wanted (not asked where everything is wanted) and out: [N, 2, H, W], [N, H, W] and
    [N, 3 G, H, W]. The weights of a row come first, several at a time.
    """
    side, width = round(math.sqrt(images.shape[1] // 4)), out.shape[3]
    end, line = np.float32(side - 3), np.uintp(4 * side)
    first = np.empty(width, np.uint32)
    across, down = np.empty((4, width), np.float32), np.empty((4, width), np.float32)
    for row in range(top, bottom):
        if not (everywhere or wanted[frame, row].any()):
            out[frame, :, row] = _ZERO
            continue
        xs, ys = pixels[frame, 0, row], pixels[frame, 1, row]
        for column in range(width):
            x, y = xs[column] + np.float32(1.5), ys[column] + np.float32(1.5)
            x, y = min(x, end) if x > _ONE else _ONE, min(y, end) if y > _ONE else _ONE  # what is no number, too
            left, above = np.uint32(x), np.uint32(y)
            first[column] = np.uint32(4) * ((above - np.uint32(1)) * np.uint32(side) + left - np.uint32(1))
            across[0, column], across[1, column], across[2, column], across[3, column] = _cubic(x - np.float32(left))
            down[0, column], down[1, column], down[2, column], down[3, column] = _cubic(y - np.float32(above))
        for group in range(len(images)):
            image = images[group]
            channels = out[frame, 3 * group : 3 * group + 3, row]
            red, green, blue = channels[0], channels[1], channels[2]
            for column in range(width):
                if not (everywhere or wanted[frame, row, column]):
                    red[column] = green[column] = blue[column] = _ZERO
                    continue
                at = np.uintp(first[column])
                w0, w1, w2, w3 = across[0, column], across[1, column], across[2, column], across[3, column]
                a, b, c, d = down[0, column], down[1, column], down[2, column], down[3, column]
                r0, g0, b0, _ = _weighted(image, at, w0, w1, w2, w3)
                r1, g1, b1, _ = _weighted(image, at + line, w0, w1, w2, w3)
                r2, g2, b2, _ = _weighted(image, at + line + line, w0, w1, w2, w3)
                r3, g3, b3, _ = _weighted(image, at + line + line + line, w0, w1, w2, w3)
                red[column] = min(max(a * r0 + b * r1 + c * r2 + d * r3, -_ONE), _ONE)
                green[column] = min(max(a * g0 + b * g1 + c * g2 + d * g3, -_ONE), _ONE)
                blue[column] = min(max(a * b0 + b * b1 + c * b2 + d * b3, -_ONE), _ONE)


@_compiled(fastmath={"contract", "nsz"})
def _distortion(here, below, low, high, line):  # noqa: ANN001, ANN202
    """What `stretch` gives for a row, of its own moves and the next row's, one more than there are columns."""
    for c in range(len(line)):
        across = (here[0, c + 1] - here[0, c]) ** 2 + (here[1, c + 1] - here[1, c]) ** 2
        down = (below[0, c] - here[0, c]) ** 2 + (below[1, c] - here[1, c]) ** 2
        line[c] = min(max((math.sqrt(across + down) - low) / (high - low), _ZERO), _ONE)


@_compiled(fastmath={"contract", "nsz"})
def stretch(frame, top, bottom, pixels, cover, low, high, out):  # noqa: ANN001, ANN201
    """How far a map [N, 2, H, W] stretches, see `reprojection.sampling.stretch`."""
    height, width = cover.shape[1:]
    moves = np.empty((2, 2, width + 1), np.float32)  # of rows with even and with odd numbers, in x and y
    for row in range(top, min(bottom + 1, height)):
        x, y, covered, move = pixels[frame, 0, row], pixels[frame, 1, row], cover[frame, row], moves[row % 2]
        for column in range(width):
            move[0, column] = x[column] - (np.float32(column) + _HALF) if covered[column] else _ZERO
            move[1, column] = y[column] - (np.float32(row) + _HALF) if covered[column] else _ZERO
        move[:, width] = move[:, width - 1]
        if row > top:
            _distortion(moves[1 - row % 2], move, low, high, out[frame, 0, row - 1])
    if bottom == height:
        last = moves[(height - 1) % 2]
        _distortion(last, last, low, high, out[frame, 0, height - 1])


@_compiled(fastmath={"contract", "nsz"})
def blur(frame, top, bottom, images, weights, out):  # noqa: ANN001, ANN201
    """Rows and columns of images [N, H, W] weighted by symmetric `weights`; the border continues."""
    reach, last, width = len(weights) // 2, images.shape[1] - 1, images.shape[2]
    wide = np.empty(width + 2 * reach, np.float32)
    lines = np.empty((bottom - top + 2 * reach, width), np.float32)
    for line in range(len(lines)):
        row, into = images[frame, min(max(top - reach + line, 0), last)], lines[line]
        for c in range(width + 2 * reach):
            wide[c] = row[min(max(c - reach, 0), width - 1)]
        middle, weight = wide[reach:], weights[reach]
        for c in range(width):
            into[c] = weight * middle[c]
        for k in range(reach):
            weight, before, behind = weights[k], wide[k:], wide[2 * reach - k :]
            for c in range(width):
                into[c] += weight * (before[c] + behind[c])
    for line in range(bottom - top):
        into, middle, weight = out[frame, top + line], lines[line + reach], weights[reach]
        for c in range(width):
            into[c] = weight * middle[c]
        for k in range(reach):
            weight, before, behind = weights[k], lines[line + k], lines[line + 2 * reach - k]
            for c in range(width):
                into[c] += weight * (before[c] + behind[c])
