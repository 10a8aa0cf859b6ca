"""A picture of an evaluation for a node: strip of frames, then all scores with their estimators."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .evaluate import STILLS, THUMBNAIL, PairResult
from .report import value
from .scores import Score

WIDTH, MARGIN, LINE = 1280, 24, 22  # pixels
VALUE, BETTER, HOW = 470, 490, 650  # right edge of values, left edges of the other columns
LETTERS = 92  # of a line of an estimator
PAPER, INK, SOFT, RULE = "#ffffff", "#22252a", "#6c727a", "#dfe1e4"


def table_image(scores: dict[str, Score], pair: PairResult) -> Tensor:
    """The table under the pair's strip, [H, 1280, 3] in 0–1."""
    rows = [(score, textwrap.wrap(score.get("reason") or score["estimator"], LETTERS)) for score in scores.values()]
    strip = _strip(pair)
    tall = sum(LINE * max(len(how), 1) + 8 for _, how in rows)
    image = Image.new("RGB", (WIDTH, strip.height + tall + 3 * MARGIN), PAPER)
    image.paste(strip, (MARGIN, MARGIN))
    draw, font, small = ImageDraw.Draw(image), ImageFont.load_default(size=16), ImageFont.load_default(size=13)
    y = strip.height + 2 * MARGIN
    for score, how in rows:
        missing = score["value"] is None
        draw.text((MARGIN, y), score["title"], SOFT if missing else INK, font)
        draw.text((VALUE, y), "" if missing else value(score), INK, font, anchor="ra")
        draw.text((BETTER, y + 2), score.get("better", ""), SOFT, small)
        for number, line in enumerate(how):
            draw.text((HOW, y + 2 + number * LINE), line, SOFT, small)
        y += LINE * max(len(how), 1) + 8
        draw.line([MARGIN, y - 5, WIDTH - MARGIN, y - 5], RULE)
    return torch.from_numpy(np.asarray(image).copy()).float() / 255


def _strip(pair: PairResult) -> Image.Image:
    """The driver's frames above the output's, the source before them."""
    drivers = [driver for _, driver, _ in pair.stills]
    rows = [[None, *drivers]] if any(driver is not None for driver in drivers) else []
    rows.append([pair.source, *(output for *_, output in pair.stills)])
    side = min(THUMBNAIL, (WIDTH - 2 * MARGIN) // (STILLS + 1) - 4)
    sheet = Image.new("RGB", (WIDTH - 2 * MARGIN, len(rows) * (side + 4)), PAPER)
    for y, row in enumerate(rows):
        _paste(sheet, row, y * (side + 4), side)
    return sheet


def _paste(sheet: Image.Image, row: Sequence[np.ndarray | None], top: int, side: int) -> None:
    for x, picture in enumerate(row):
        if picture is not None:
            still = Image.fromarray(picture)
            still.thumbnail((side, side))
            sheet.paste(still, (x * (side + 4), top))
