"""Draws the project's icon, docs/icon.png: `python tools/draw_icon.py`."""

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, FINE = 256, 4  # pixels; drawn this many times larger and scaled down
NIGHT, SKIN, LINE, GLOW = "#1b2440", "#f2c9a5", "#3a2a2a", "#6cc6ff"


def draw_icon() -> Image.Image:
    """A face that looks aside, with its earlier positions behind it."""
    icon = Image.new("RGBA", (SIDE * FINE, SIDE * FINE))
    pen = ImageDraw.Draw(icon)

    def at(*numbers: float) -> list[float]:
        return [number * FINE for number in numbers]

    pen.rounded_rectangle(at(0, 0, 255, 255), 52 * FINE, NIGHT)
    for shift, colour in ((-46, "#24355f"), (-30, "#33549a"), (-14, GLOW)):
        pen.ellipse(at(62 + shift, 40, 206 + shift, 222), outline=colour, width=5 * FINE)
    pen.ellipse(at(66, 40, 210, 222), SKIN)
    for x in (110, 172):
        pen.ellipse(at(x - 20, 98, x + 20, 128), "white")
        pen.ellipse(at(x - 3, 100, x + 20, 126), LINE)
        pen.ellipse(at(x + 8, 104, x + 15, 111), "white")
        pen.arc(at(x - 24, 76, x + 24, 116), 215, 325, LINE, 5 * FINE)
    pen.line(at(146, 122, 154, 150, 142, 154), LINE, 4 * FINE, "curve")
    pen.chord(at(106, 146, 182, 202), 10, 170, "#8e2f38")
    pen.chord(at(118, 180, 170, 201), 10, 170, "#d9707a")
    return icon.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw_icon().save(Path(__file__).resolve().parents[1] / "docs" / "icon.png", optimize=True)
