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
    of = min(frame, len(table) - 1)
    for row in range(top, bottom):
        for column in range(triangle.shape[2]):
            t = triangle[frame, row, column]
            if t < 0:
                for k in range(table.shape[2]):
                    image[frame, k, row, column] = np.float32(0)
                continue
            w0, w1, w2 = barycentric[frame, row, column]
            a, b, c = triangles[t]
            for k in range(table.shape[2]):
                image[frame, k, row, column] = w0 * table[of, a, k] + w1 * table[of, b, k] + w2 * table[of, c, k]


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
def _weighted(image, at, weights):  # noqa: ANN001, ANN202
    """Three channels of four neighbours in a row, the first at `at`."""
    u, (a, b, c, d) = np.uintp, weights
    return (
        a * image[at] + b * image[at + u(3)] + c * image[at + u(6)] + d * image[at + u(9)],
        a * image[at + u(1)] + b * image[at + u(4)] + c * image[at + u(7)] + d * image[at + u(10)],
        a * image[at + u(2)] + b * image[at + u(5)] + c * image[at + u(8)] + d * image[at + u(11)],
    )


@_compiled(fastmath={"contract", "nsz", "reassoc"})
def bicubic(frame, top, bottom, images, pixels, wanted, out, everywhere):  # noqa: ANN001, ANN201
    """Bicubic lookup, see `lookup.Lookup`.

    images: [G, side · side · 3], channels in groups of three, with a border of 2 before and 3 behind. pixels, wanted
    (not asked where everything is wanted) and out: [N, 2, H, W], [N, H, W] and [N, 3 G, H, W]. Unsigned numbers index
    faster, since they are not asked whether they are negative.
    """
    side = round(math.sqrt(images.shape[1] // 3))
    end, line, pixel = np.float32(side - 3), np.uintp(3 * side), np.uintp(3)
    xs, ys = pixels[frame, 0], pixels[frame, 1]
    for group in range(len(images)):
        image = images[group]
        red, green, blue = out[frame, 3 * group], out[frame, 3 * group + 1], out[frame, 3 * group + 2]
        for row in range(top, bottom):
            for column in range(out.shape[3]):
                if not (everywhere or wanted[frame, row, column]):
                    red[row, column] = green[row, column] = blue[row, column] = _ZERO
                    continue
                x, y = xs[row, column] + np.float32(1.5), ys[row, column] + np.float32(1.5)
                x, y = min(x, end) if x > _ONE else _ONE, min(y, end) if y > _ONE else _ONE  # what is no number, too
                left, above = np.uint32(x), np.uint32(y)
                right, under = x - np.float32(left), y - np.float32(above)
                at = np.uintp(above) * line + np.uintp(left) * pixel - line - pixel
                across, (a, b, c, d) = _cubic(right), _cubic(under)
                r0, g0, b0 = _weighted(image, at, across)
                r1, g1, b1 = _weighted(image, at + line, across)
                r2, g2, b2 = _weighted(image, at + line + line, across)
                r3, g3, b3 = _weighted(image, at + line + line + line, across)
                red[row, column] = min(max(a * r0 + b * r1 + c * r2 + d * r3, -_ONE), _ONE)
                green[row, column] = min(max(a * g0 + b * g1 + c * g2 + d * g3, -_ONE), _ONE)
                blue[row, column] = min(max(a * b0 + b * b1 + c * b2 + d * b3, -_ONE), _ONE)


@_compiled(fastmath={"contract", "nsz"})
def stretch(frame, top, bottom, pixels, cover, low, high, out):  # noqa: ANN001, ANN201
    """How far a map [N, 2, H, W] stretches, see `reprojection.sampling.stretch`."""
    height, width = cover.shape[1:]
    x, y, covered = pixels[frame, 0], pixels[frame, 1], cover[frame]
    for row in range(top, bottom):
        below, here = min(row + 1, height - 1), np.float32(row) + _HALF
        for column in range(width):
            beside, there = min(column + 1, width - 1), np.float32(column) + _HALF
            ox, oy = (x[row, column] - there, y[row, column] - here) if covered[row, column] else (_ZERO, _ZERO)
            rx, ry, dx, dy = ox, oy, ox, oy
            if beside > column:
                inside = covered[row, beside]
                rx = x[row, beside] - there - _ONE if inside else _ZERO
                ry = y[row, beside] - here if inside else _ZERO
            if below > row:
                inside = covered[below, column]
                dx = x[below, column] - there if inside else _ZERO
                dy = y[below, column] - here - _ONE if inside else _ZERO
            size = math.sqrt((rx - ox) ** 2 + (ry - oy) ** 2 + (dx - ox) ** 2 + (dy - oy) ** 2)
            out[frame, 0, row, column] = min(max((size - low) / (high - low), _ZERO), _ONE)


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
