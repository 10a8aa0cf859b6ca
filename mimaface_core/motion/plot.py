"""A picture of a motion: how head, mouth, lids and gaze move over time."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

COLOURS = ["#d1495b", "#00798c", "#edae49", "#66a182", "#5b5f97"]
LEFT, RIGHT, TOP, GAP, FOOT = 70, 150, 30, 34, 34  # margins round the panels, pixels
PAPER, INK, GRID = "#ffffff", "#2e2e38", "#dcdce4"

Panel = tuple[str, dict[str, Tensor]]  # a title with its unit, and the lines [N] of it by name


def plot(panels: list[Panel], fps: float, visible: Tensor, width: int = 1024, height: int = 768) -> Tensor:
    """The panels under each other over a common time axis: [height, width, 3] in 0–1.

    fps: frames a second. visible: bool [N]; where it is False the background is grey.
    """
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=13)
    count, across = len(visible), width - LEFT - RIGHT
    tall = (height - TOP - FOOT - GAP * (len(panels) - 1)) / len(panels)

    def at(frame: float) -> float:
        return LEFT + across * (frame + 0.5) / count

    for number, (title, lines) in enumerate(panels):
        top = TOP + number * (tall + GAP)
        bottom = top + tall
        for frame in torch.nonzero(~visible).flatten().tolist():
            draw.rectangle([at(frame - 0.5), top, at(frame + 0.5), bottom], fill="#eeeeee")
        draw.text((LEFT, top - 20), title, INK, font)

        # a scale of round numbers
        values = torch.stack(list(lines.values()))
        low, high, step = _scale(float(values.min()), float(values.max()))
        up = _axis(low, high, bottom, tall)
        for k in range(round((high - low) / step) + 1):
            level = low + k * step
            draw.line([LEFT, up(level), LEFT + across, up(level)], GRID)
            draw.text((LEFT - 8, up(level)), f"{level:g}", INK, font, anchor="rm")

        for (name, line), colour, place in zip(lines.items(), COLOURS, range(len(lines))):
            points = [(at(i), up(v)) for i, v in enumerate(line.tolist())]
            if count == 1:
                x, y = points[0]
                draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)
            else:
                draw.line(points, colour, 2, joint="curve")
            y = top + 10 + 19 * place
            draw.line([LEFT + across + 14, y, LEFT + across + 34, y], colour, 3)
            draw.text((LEFT + across + 40, y), name, INK, font, anchor="lm")

    seconds = count / fps
    _, high, step = _scale(0, seconds)
    for k in range(round(high / step) + 1):
        if k * step <= seconds:
            draw.text(
                (LEFT + across * k * step / seconds, height - FOOT + 8),
                f"{k * step:g}",
                INK,
                font,
                anchor="mt",
            )
    draw.text((LEFT + across + 14, height - FOOT + 8), "seconds", INK, font)
    return torch.from_numpy(np.asarray(image).copy()).float() / 255


def _axis(low: float, high: float, bottom: float, tall: float) -> Callable[[float], float]:
    """The height in the picture at which a value is drawn."""
    return lambda value: bottom - (value - low) / (high - low) * tall


def _scale(low: float, high: float) -> tuple[float, float, float]:
    """Bounds round `low` and `high`, and the step between the lines: a round number."""
    span = max(high - low, 1e-3)
    step = 10 ** math.floor(math.log10(span))
    step *= next(k for k in (0.25, 0.5, 1, 2) if span / (step * k) <= 5)
    return math.floor(low / step) * step, max(math.ceil(high / step), math.floor(low / step) + 1) * step, step
