"""Draws docs/nodes.svg and docs/dataflow.svg: `python tools/draw_diagrams.py`, with any Python."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import NamedTuple

DOCS = Path(__file__).resolve().parents[1] / "docs"
SHEET, PANEL, EDGE, INK, DIM = "#151b2e", "#222c4a", "#3b4a75", "#f4f6fb", "#a9b4d0"
SOURCE, MOTION, FRAMES, PLAIN = "#f2b98f", "#6cc6ff", "#e8b04b", "#8f9bbd"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TEXT = f'font-family="{FONT}" text-anchor="middle"'
LINE = 18  # height of a line of text, pixels
Point = tuple[float, float]


class Box(NamedTuple):
    """Where a box lies, pixels."""

    x: float
    y: float
    width: float
    height: float

    def left(self, share: float = 0.5) -> Point:
        return self.x, self.y + self.height * share

    def right(self, share: float = 0.5) -> Point:
        return self.x + self.width, self.y + self.height * share

    def top(self, share: float = 0.5) -> Point:
        return self.x + self.width * share, self.y

    def bottom(self, share: float = 0.5) -> Point:
        return self.x + self.width * share, self.y + self.height


class Diagram:
    """A drawing on a dark sheet, readable on light and dark pages; boxes lie on arrows."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.size, self.title = (width, height), title
        self.arrows: list[str] = []
        self.boxes: list[str] = []
        self.colours: list[str] = []

    def value(self, box: Box, title: str, colour: str = PLAIN) -> Box:
        """Draw a pill: something that is passed on."""
        self._rectangle(box, box.height / 2, colour, colour)
        self._lines(box, [(part, 14, SHEET, 600) for part in title.split("\n")])
        return box

    def step(self, box: Box, title: str, text: str = "", colour: str = "") -> Box:
        """Draw a panel: something that is done; a stripe has the colour of its result."""
        self._rectangle(box, 9, PANEL, EDGE)
        if colour:
            self._rectangle(Box(box.x + 12, box.y + 1, box.width - 24, 3), 1.5, colour, "none")
        rows = [(part, 14, INK, 600) for part in title.split("\n")]
        self._lines(box, rows + ([(text, 12.5, DIM, 400)] if text else []))
        return box

    def frame(self, box: Box) -> Box:
        """Draw a dashed frame around other boxes."""
        self.arrows.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="14" fill="none"'
            f' stroke="{EDGE}" stroke-width="1.5" stroke-dasharray="5 5"/>'
        )
        return box

    def arrow(self, *points: Point, colour: str = PLAIN) -> None:
        """Draw a line through points, with a head at its end."""
        if colour not in self.colours:
            self.colours.append(colour)
        self.arrows.append(
            f'<path d="M{" L".join(f"{x:g} {y:g}" for x, y in points)}" fill="none" stroke="{colour}"'
            f' stroke-width="2" stroke-linejoin="round" marker-end="url(#head{self.colours.index(colour)})"/>'
        )

    def label(self, x: float, y: float, text: str, colour: str = DIM, anchor: str = "middle") -> None:
        """Write a line of text about a point, or from it on (`start`)."""
        self.boxes.append(self._text(x, y, text, 12.5, colour, 400, anchor))

    def svg(self) -> str:
        """The whole drawing."""
        width, height = self.size
        heads = [
            f'<marker id="head{number}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6"'
            f' orient="auto"><path d="M0 0.5 L8 4 L0 7.5 z" fill="{colour}"/></marker>'
            for number, colour in enumerate(self.colours)
        ]
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" {TEXT}>',
            f"<title>{escape(self.title)}</title>",
            f"<defs>{''.join(heads)}</defs>",
            f'<rect width="{width:g}" height="{height:g}" rx="14" fill="{SHEET}"/>',
            *self.arrows,
            *self.boxes,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"

    def _rectangle(self, box: Box, radius: float, fill: str, stroke: str) -> None:
        self.boxes.append(
            f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="{radius:g}"'
            f' fill="{fill}" stroke="{stroke}"/>'
        )

    def _lines(self, box: Box, rows: list[tuple[str, float, str, int]]) -> None:
        x, y = box.x + box.width / 2, box.y + (box.height - LINE * (len(rows) - 1)) / 2
        self.boxes += [self._text(x, y + LINE * number, *row) for number, row in enumerate(rows)]

    @staticmethod
    def _text(x: float, y: float, text: str, size: float, colour: str, weight: int, anchor: str = "middle") -> str:
        placed = "" if anchor == "middle" else f' text-anchor="{anchor}"'
        return (
            f'<text x="{x:g}" y="{y + size * 0.35:g}" font-size="{size:g}" font-weight="{weight}" fill="{colour}"'
            f"{placed}>{escape(text)}</text>"
        )


def nodes() -> Diagram:
    """The nodes of the workflows in ComfyUI, and what passes between them."""
    sheet = Diagram(
        962,
        232,
        "How the nodes connect. Extract 3DMM measures the photograph as a source and the video as a motion. Smooth"
        " Motion and Retarget Motion, or Drive by Audio from a voice, give the motion of the source. Encode Appearance,"
        " Sample Clips, Paste Back and Combine Video draw the result.",
    )

    def place(column: int, row: int, height: float = 56) -> Box:
        return Box(14 + 136 * column, 78 + 90 * row - height / 2, 118, height)

    photograph, video, voice = (
        sheet.value(place(*at, 40), name) for name, at in (("photograph", (0, 0)), ("video", (0, 1)), ("voice", (4, 1)))
    )
    measured = sheet.step(place(1, 0), "Extract\n3DMM", colour=SOURCE)
    tracked = sheet.step(place(1, 1), "Extract\n3DMM", colour=MOTION)
    smooth = sheet.step(place(2, 1), "Smooth\nMotion", colour=MOTION)
    retarget = sheet.step(place(2, 0), "Retarget\nMotion", colour=MOTION)
    speak = sheet.step(place(3, 1), "Drive by\nAudio", colour=MOTION)
    encode = sheet.step(place(3, 0), "Encode\nAppearance", colour=MOTION)
    sample = sheet.step(place(4, 0), "Sample\nClips", colour=FRAMES)
    paste = sheet.step(place(5, 0), "Paste\nBack", colour=FRAMES)
    write = sheet.step(place(6, 0), "Combine\nVideo", colour=FRAMES)

    for start, end in ((photograph, measured), (video, tracked)):
        sheet.arrow(start.right(), end.left())
    sheet.arrow(voice.left(), speak.right())
    rail = 26  # y of the line that carries the source over the nodes
    sheet.arrow(measured.top(), (measured.top()[0], rail), (paste.top()[0], rail), paste.top(), colour=SOURCE)
    for box in (retarget, encode, sample):
        sheet.arrow((box.top()[0], rail), box.top(), colour=SOURCE)
    sheet.arrow(tracked.right(), smooth.left(), colour=MOTION)
    sheet.arrow(smooth.top(), retarget.bottom(), colour=MOTION)
    sheet.arrow(speak.top(), encode.bottom(), colour=MOTION)
    for start, end in ((retarget, encode), (encode, sample)):
        sheet.arrow(start.right(), end.left(), colour=MOTION)
    for start, end in ((sample, paste), (paste, write)):
        sheet.arrow(start.right(), end.left(), colour=FRAMES)
    key = (("source: the person", SOURCE), ("motion: pose, expression, gaze", MOTION), ("frames", FRAMES))
    for number, (name, colour) in enumerate(key):
        y = 148 + 20 * number
        sheet.value(Box(718, y - 2, 24, 4), "", colour)
        sheet.label(752, y, name, DIM, "start")
    return sheet


def dataflow() -> Diagram:
    """The packages of mimaface_core, and the values that pass between them."""
    sheet = Diagram(
        940,
        742,
        "The data flow. face/ turns the photograph into a SourceFace and the driving video into a MotionTrack; audio/"
        " turns a voice into a MotionTrack. motion/ turns these, and sliders, into the MotionTrack of the source."
        " appearance/ and reprojection/ or morphable/ condition diffusion/, which draws the face crop; face/paste and"
        " media/ write the file.",
    )
    photograph = sheet.value(Box(24, 24, 200, 40), "photograph")
    video = sheet.value(Box(254, 24, 200, 40), "driving video")
    voice = sheet.value(Box(484, 24, 200, 40), "voice")
    sliders = sheet.value(Box(714, 24, 202, 40), "sliders")
    face = sheet.step(Box(24, 104, 430, 62), "face/", "detect · follow · crop · fit or regress · gaze")
    audio = sheet.step(Box(484, 104, 200, 62), "audio/", "voice · sadtalker")
    source = sheet.value(Box(24, 206, 200, 40), "SourceFace", SOURCE)
    track = sheet.value(Box(254, 206, 430, 40), "MotionTrack", MOTION)
    motion = sheet.step(Box(254, 286, 662, 62), "motion/", "retarget · smooth · edit · statistics · reference")
    driven = sheet.value(Box(254, 388, 662, 40), "MotionTrack of the source", MOTION)
    both = sheet.frame(Box(240, 462, 690, 94))
    encoder = sheet.step(Box(254, 478, 316, 62), "appearance/", "CLIP and MIA (equation 1)")
    render = sheet.step(Box(600, 478, 316, 62), "reprojection/ or morphable/", "the render of each frame")
    diffusion = sheet.step(Box(254, 606, 316, 62), "diffusion/", "motion U-Net · inter-clip affinity")
    write = sheet.step(Box(600, 606, 316, 62), "face/paste · media/", "full image · streamed to the file")
    file = sheet.value(Box(658, 690, 200, 36), "mp4 · webm · gif · png", FRAMES)

    sheet.arrow(photograph.bottom(), face.top(100 / 430))
    sheet.arrow(video.bottom(), face.top(330 / 430))
    sheet.arrow(voice.bottom(), audio.top())
    sheet.arrow(sliders.bottom(), motion.top(561 / 662))
    sheet.arrow(face.bottom(100 / 430), source.top(), colour=SOURCE)
    sheet.arrow(face.bottom(330 / 430), track.top(100 / 430), colour=MOTION)
    sheet.arrow(audio.bottom(), track.top(330 / 430), colour=MOTION)
    sheet.arrow(track.bottom(), motion.top(215 / 662), colour=MOTION)
    sheet.arrow(motion.bottom(), driven.top(), colour=MOTION)
    sheet.arrow(driven.bottom(), both.top(), colour=MOTION)
    lane = source.bottom()[0]
    for end in (motion.left(), both.left()):
        sheet.arrow((lane, end[1]), end, colour=SOURCE)
    sheet.arrow(source.bottom(), (lane, 706), (628, 706), (628, write.bottom()[1]), colour=SOURCE)
    sheet.arrow(encoder.bottom(), diffusion.top())
    sheet.label(encoder.bottom()[0] + 12, 580, "context", DIM, "start")
    sheet.arrow(render.bottom(), (render.bottom()[0], 580), (520, 580), (520, diffusion.top()[1]))
    sheet.label(render.bottom()[0] + 12, 572, "I_R", DIM, "start")
    sheet.arrow(diffusion.right(), write.left(), colour=FRAMES)
    sheet.arrow(write.bottom(), file.top(), colour=FRAMES)
    return sheet


def main() -> None:
    for diagram in (nodes, dataflow):
        (DOCS / f"{diagram.__name__}.svg").write_text(diagram().svg(), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
