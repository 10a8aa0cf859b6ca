"""Image of an evaluation for a node: strip of frames, then all scores with their estimators."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..tensors import to_float
from .evaluate import STILL_COUNT, THUMBNAIL_HEIGHT, PairResult
from .report import format_score
from .scores import Score

# Lengths in pixels.
WIDTH, MARGIN, LINE_HEIGHT = 1280, 24, 22
ROW_GAP, STILL_GAP = 8, 4
VALUE_RIGHT, BETTER_LEFT, ESTIMATOR_LEFT = 470, 490, 650
ESTIMATOR_LETTERS = 92  # of a line
PAPER, INK, SOFT_INK, RULE = "#ffffff", "#22252a", "#6c727a", "#dfe1e4"


def table_image(scores: dict[str, Score], pair: PairResult) -> Tensor:
    """Strip of the pair's frames above a table of scores, [H, 1280, 3] in 0–1.

    Args:
        scores: the rows.
        pair: the pair whose frames are shown.
    """
    rows = [
        (score, textwrap.wrap(score.get("reason") or score["estimator"], ESTIMATOR_LETTERS))
        for score in scores.values()
    ]
    strip = _strip(pair)
    table_height = sum(LINE_HEIGHT * max(len(lines), 1) + ROW_GAP for _, lines in rows)
    image = Image.new("RGB", (WIDTH, strip.height + table_height + 3 * MARGIN), PAPER)
    image.paste(strip, (MARGIN, MARGIN))
    draw, font, small = ImageDraw.Draw(image), ImageFont.load_default(size=16), ImageFont.load_default(size=13)
    y = strip.height + 2 * MARGIN
    for score, lines in rows:
        missing = score["value"] is None
        draw.text((MARGIN, y), score["title"], SOFT_INK if missing else INK, font)
        draw.text((VALUE_RIGHT, y), "" if missing else format_score(score), INK, font, anchor="ra")
        draw.text((BETTER_LEFT, y + 2), score.get("better", ""), SOFT_INK, small)
        for number, line in enumerate(lines):
            draw.text((ESTIMATOR_LEFT, y + 2 + number * LINE_HEIGHT), line, SOFT_INK, small)
        y += LINE_HEIGHT * max(len(lines), 1) + ROW_GAP
        draw.line([MARGIN, y - 5, WIDTH - MARGIN, y - 5], RULE)
    return to_float(torch.from_numpy(np.asarray(image).copy()))


def _strip(pair: PairResult) -> Image.Image:
    """The driver's frames above the output's, which follow the source."""
    drivers = [still.driver for still in pair.stills]
    rows: list[list[np.ndarray | None]] = []
    if any(driver is not None for driver in drivers):
        rows.append([None, *drivers])
    rows.append([pair.source, *(still.output for still in pair.stills)])
    side = min(THUMBNAIL_HEIGHT, (WIDTH - 2 * MARGIN) // (STILL_COUNT + 1) - STILL_GAP)
    strip = Image.new("RGB", (WIDTH - 2 * MARGIN, len(rows) * (side + STILL_GAP)), PAPER)
    for y, row in enumerate(rows):
        _paste(strip, row, y * (side + STILL_GAP), side)
    return strip


def _paste(strip: Image.Image, row: Sequence[np.ndarray | None], top: int, side: int) -> None:
    for x, thumbnail in enumerate(row):
        if thumbnail is not None:
            still = Image.fromarray(thumbnail)
            still.thumbnail((side, side))
            strip.paste(still, (x * (side + STILL_GAP), top))
