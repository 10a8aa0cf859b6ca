"""Sheets of small images for the documents: tiles with captions, drawings of voices, cards of text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from mimaface.mimaface_core.media.audio import read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.tensors import to_uint8

PAPER, INK = "#20262b", "#e8b04b"
CAPTION = 22  # height of a caption, pixels


def frames(path: Path, numbers: Sequence[int]) -> list[Tensor]:
    """The numbered frames of a video, uint8 [H, W, 3]."""
    return [frame for number, frame in enumerate(Clip.open(path)) if number in numbers]


def tiles(rows: list[list[Tensor]], side: int, path: Path, captions: Sequence[str] = ()) -> None:
    """Save rows of images (uint8, or float in 0–1) as one JPEG of square tiles, with a caption below each column."""
    footer = CAPTION if captions else 0
    sheet = Image.new("RGB", (side * max(map(len, rows)), side * len(rows) + footer), PAPER)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            pixels = image if image.dtype == torch.uint8 else to_uint8(image)
            tile = Image.fromarray(pixels.numpy()).resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(tile, (x * side, y * side))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for x, caption in enumerate(captions):
        draw.text(((x + 0.5) * side, sheet.height - footer / 2), caption, INK, font, anchor="mm")
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, quality=74, optimize=True, progressive=True)


def labelled(image: Tensor, text: str) -> Tensor:
    """An image [H, W, 3], uint8, with a line of text along its foot."""
    sheet = Image.fromarray(image.numpy())
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=sheet.height / 11)
    draw.text((sheet.width / 2, sheet.height * 0.94), text, INK, font, anchor="mm", stroke_width=3, stroke_fill=PAPER)
    return torch.from_numpy(np.asarray(sheet).copy())


def waves(path: Path, side: int = 200, bars: int = 50) -> Tensor:
    """The loudness of a voice over time as bars, uint8 [side, side, 3]."""
    wave = read_audio(path).waveform.mean(0)
    loudness = torch.stack([part.square().mean().sqrt() for part in wave.tensor_split(bars)])
    halves = (2 + 0.4 * side * loudness / loudness.max()).tolist()
    sheet = Image.new("RGB", (side, side), PAPER)
    draw, step = ImageDraw.Draw(sheet), side / bars
    for bar, half in enumerate(halves):
        x = (bar + 0.5) * step
        draw.line([x, side / 2 - half, x, side / 2 + half], INK, max(1, round(step / 2)))
    return torch.from_numpy(np.asarray(sheet).copy())


def card(text: str, side: int = 200) -> Tensor:
    """A few words in the place of an image, uint8 [side, side, 3]."""
    sheet = Image.new("RGB", (side, side), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=side / 9)
    draw.multiline_text((side / 2, side / 2), text, INK, font, anchor="mm", align="center")
    return torch.from_numpy(np.asarray(sheet).copy())


def save_plot(image: Tensor, path: Path) -> None:
    """A plot [H, W, 3] in 0–1 as a small PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(to_uint8(image).numpy()).quantize(64).save(path, optimize=True)
