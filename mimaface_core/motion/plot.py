"""Plot of a motion: head, mouth, lids and gaze over time, as an image.

Drawn by Pillow, since Plot Motion must run in a bare ComfyUI. matplotlib is not among ComfyUI's requirements; with its
own it would bring 70 MB, half a second of import, and ten times the drawing time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..tensors import to_float

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

LINE_COLOURS = ["#d1495b", "#00798c", "#edae49", "#66a182", "#5b5f97"]
PAPER, INK, GRID, LOST, BLINK = "#ffffff", "#2e2e38", "#dcdce4", "#e4e4e4", "#dceefa"
PLAYHEAD, PLAYHEAD_WIDTH = (0.82, 0.29, 0.36), 2  # colour in 0–1; pixels
# Pixels: margins left, right and above the panels, gap between two, foot below them for the time axis.
LEFT, RIGHT, TOP, GAP, FOOT = 70, 150, 30, 34, 34
FONT_SIZE, LEGEND_LINE = 13, 19  # pixels
LINE_WIDTH, LEGEND_WIDTH, DOT_RADIUS = 2, 3, 4  # pixels
MAX_INTERVALS = 5  # between grid lines, about

Panel = tuple[str, dict[str, Tensor]]  # a title with its unit, and the lines [N] by name


@dataclass(frozen=True)
class _Scale:
    """A vertical axis: values from `low` to `high` over `height` pixels up from `bottom`, a grid line each `step`."""

    low: float
    high: float
    step: float
    bottom: float
    height: float

    @classmethod
    def of(cls, lines: dict[str, Tensor], bottom: float, height: float) -> _Scale:
        values = torch.stack(list(lines.values()))
        return cls(*_round_bounds(float(values.min()), float(values.max())), bottom, height)

    def y(self, value: float) -> float:
        return self.bottom - (value - self.low) / (self.high - self.low) * self.height

    def levels(self) -> list[float]:
        return [self.low + k * self.step for k in range(round((self.high - self.low) / self.step) + 1)]


class _Plot:
    """The drawing surface, with the time axis that all panels share."""

    def __init__(self, draw: ImageDraw, width: int, count: int) -> None:
        from PIL import ImageFont

        self.draw, self.count = draw, count
        self.font = ImageFont.load_default(size=FONT_SIZE)
        self.right = width - RIGHT

    def x(self, frame: float) -> float:
        return LEFT + (self.right - LEFT) * (frame + 0.5) / self.count

    def band(self, frames: Tensor, colour: str, top: float, bottom: float) -> None:
        for frame in frames.nonzero().flatten().tolist():
            self.draw.rectangle([self.x(frame - 0.5), top, self.x(frame + 0.5), bottom], fill=colour)

    def panel(self, title: str, lines: dict[str, Tensor], top: float, height: float) -> None:
        bottom = top + height
        self.draw.text((LEFT, top - 20), title, INK, self.font)
        scale = _Scale.of(lines, bottom, height)
        for level in scale.levels():
            self.draw.line([LEFT, scale.y(level), self.right, scale.y(level)], GRID)
            self.draw.text((LEFT - 8, scale.y(level)), f"{level:g}", INK, self.font, anchor="rm")
        for number, ((name, line), colour) in enumerate(zip(lines.items(), LINE_COLOURS, strict=False)):
            self.line([scale.y(value) for value in line.tolist()], colour)
            self.legend(name, colour, top + 10 + LEGEND_LINE * number)

    def line(self, heights: list[float], colour: str) -> None:
        points = [(self.x(frame), y) for frame, y in enumerate(heights)]
        if len(points) > 1:
            self.draw.line(points, colour, LINE_WIDTH, joint="curve")
            return
        x, y = points[0]
        self.draw.ellipse([x - DOT_RADIUS, y - DOT_RADIUS, x + DOT_RADIUS, y + DOT_RADIUS], fill=colour)

    def legend(self, name: str, colour: str, y: float) -> None:
        self.draw.line([self.right + 14, y, self.right + 34, y], colour, LEGEND_WIDTH)
        self.draw.text((self.right + 40, y), name, INK, self.font, anchor="lm")

    def seconds(self, duration: float, y: float) -> None:
        _, high, step = _round_bounds(0, duration)
        for k in range(round(high / step) + 1):
            if k * step <= duration:
                x = LEFT + (self.right - LEFT) * k * step / duration
                self.draw.text((x, y), f"{k * step:g}", INK, self.font, anchor="mt")
        self.draw.text((self.right + 14, y), "seconds", INK, self.font)


def plot(
    panels: list[Panel],
    fps: float,
    visible: Tensor,
    width: int = 1024,
    height: int = 768,
    blinks: Tensor | None = None,
) -> Tensor:
    """Panels one below another over a common time axis.

    Args:
        panels: at least one; a line more than there are colours (5) is left out.
        fps: frames a second.
        visible: bool [N]; where it is False the background is grey.
        width: pixels.
        height: pixels.
        blinks: bool [N]; where it is True the background is blue.

    Returns:
        [height, width, 3] in 0–1.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), PAPER)
    surface = _Plot(ImageDraw.Draw(image), width, len(visible))
    panel_height = (height - TOP - FOOT - GAP * (len(panels) - 1)) / len(panels)
    for number, (title, lines) in enumerate(panels):
        top = TOP + number * (panel_height + GAP)
        for frames, colour in ((~visible, LOST), (blinks, BLINK)):
            if frames is not None:
                surface.band(frames, colour, top, top + panel_height)
        surface.panel(title, lines, top, panel_height)
    surface.seconds(len(visible) / fps, height - FOOT + 8)
    return to_float(torch.from_numpy(np.asarray(image).copy()))


def with_playhead(image: Tensor, frame: int, count: int) -> Tensor:
    """A plot [height, width, 3] of `count` frames with a line at one of them."""
    marked, width = image.clone(), image.shape[1]
    x = round(LEFT + (width - RIGHT - LEFT) * (frame + 0.5) / count)
    marked[TOP : image.shape[0] - FOOT, x : x + PLAYHEAD_WIDTH] = image.new_tensor(PLAYHEAD)
    return marked


def _round_bounds(low: float, high: float) -> tuple[float, float, float]:
    """Bounds about `low` and `high`, and the step between grid lines, all multiples of a round number."""
    span = max(high - low, 1e-3)
    step = 10 ** math.floor(math.log10(span))
    step *= next(k for k in (0.25, 0.5, 1, 2) if span / (step * k) <= MAX_INTERVALS)
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step, step
