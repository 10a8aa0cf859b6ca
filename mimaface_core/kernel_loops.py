"""Loops of `kernels`, compiled by numba: each does rows `top` to `bottom` of one frame, and releases Python's lock."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

_HALF, _ONE = np.float32(0.5), np.float32(1)


def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop, compiled when first called, and kept on disk where a folder for that can be written."""
    try:
        return numba.njit(loop, nogil=True, cache=True, error_model="numpy")
    except RuntimeError:  # no folder for numba's cache
        return numba.njit(loop, nogil=True, error_model="numpy")


@_compiled
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


@_compiled
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
