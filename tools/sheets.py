"""Sheets of small pictures for the documents: tiles with captions, voices and words drawn as pictures."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mimaface.mimaface_core.media.audio import read_audio
from mimaface.mimaface_core.media.read import Clip

PAPER, INK = "#20262b", "#e8b04b"
CAPTION = 22  # height of a caption, pixels


def frames(path: Path, numbers: Sequence[int]) -> list[Tensor]:
    """Some frames of a clip, uint8 [H, W, 3]."""
    return [frame for number, frame in enumerate(Clip.open(path)) if number in numbers]


def tiles(rows: list[list[Tensor]], side: int, path: Path, captions: Sequence[str] = ()) -> None:
    """Save rows of pictures (uint8, or float in 0–1) as one JPEG of square tiles, with a caption below each column."""
    foot = CAPTION if captions else 0
    sheet = Image.new("RGB", (side * max(map(len, rows)), side * len(rows) + foot), PAPER)
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            levels = picture if picture.dtype == torch.uint8 else (picture * 255).round().byte()
            sheet.paste(
                Image.fromarray(levels.numpy()).resize((side, side), Image.Resampling.LANCZOS), (x * side, y * side)
            )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for x, caption in enumerate(captions):
        draw.text(((x + 0.5) * side, sheet.height - foot / 2), caption, INK, font, anchor="mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=84, optimize=True)


def waves(path: Path, side: int = 200, bars: int = 50) -> Tensor:
    """A picture of a voice, uint8 [side, side, 3]: how loud it is, from left to right."""
    wave = read_audio(path).waveform.mean(0)
    loud = torch.stack([part.square().mean().sqrt() for part in wave.tensor_split(bars)])
    tall = (2 + 0.4 * side * loud / loud.max()).tolist()
    sheet = Image.new("RGB", (side, side), PAPER)
    draw, step = ImageDraw.Draw(sheet), side / bars
    for bar, half in enumerate(tall):
        x = (bar + 0.5) * step
        draw.line([x, side / 2 - half, x, side / 2 + half], INK, max(1, round(step / 2)))
    return torch.from_numpy(np.asarray(sheet).copy())


def card(text: str, side: int = 200) -> Tensor:
    """A picture with a few words instead of one that cannot be drawn here, uint8 [side, side, 3]."""
    sheet = Image.new("RGB", (side, side), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=side / 9)
    draw.multiline_text((side / 2, side / 2), text, INK, font, anchor="mm", align="center")
    return torch.from_numpy(np.asarray(sheet).copy())
