"""Draws the README's strip, the workflows' thumbnails and the help's pictures from real runs on the NASA portrait.

`python docs/draw_pictures.py`, from the repository, with the project installed as by `make demo`.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from mimaface.mimaface_core.demo import DRIVER, portrait, run_demo
from mimaface.mimaface_core.graph.job import run_here
from mimaface.mimaface_core.media.read import Clip, read_picture
from mimaface.mimaface_core.media.sound import read_audio
from mimaface.nodes import Evaluate, Extract3DMM, LoadPack, PlotMotion
from mimaface.nodes.schema import VideoFromFile

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = (14, 30, 40, 58, 70)  # frames of the demo that show looking, blinking, brows, talking and turning
LAUGH = 82
VOICE = ROOT / "assets" / "demo_voice.ogg"
SAID = (8, 92)  # frames of what it says: two open mouths of different shape
TURNED = 48  # a frame in which the clip turns the head and the voice opens the mouth
EDITS = (("edit.yaw=18", "edit.smile=1.2"), ("edit.blink_left=1", "edit.roll=-8"), ("edit.mouth_open=0.8", "edit.gaze_x=0.8"))

HELP = {  # node: the thumbnail that its help page shows
    "MIMAFaceDriveByAudio": "talk.jpg",
    "MIMAFaceEditMotion": "edit_face.jpg",
    "MIMAFaceSampleClips": "reenact_video.jpg",
}


def frames(path: Path, numbers: tuple[int, ...]) -> list[torch.Tensor]:
    """Some frames of a clip, uint8 [H, W, 3]."""
    return [frame for number, frame in enumerate(Clip.open(path)) if number in numbers]


def tiles(rows: list[list[torch.Tensor]], side: int, path: Path) -> None:
    """Save rows of pictures (uint8, or float in 0–1) as one JPEG of square tiles."""
    sheet = Image.new("RGB", (side * max(map(len, rows)), side * len(rows)))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            levels = picture if picture.dtype == torch.uint8 else (picture * 255).round().byte()
            sheet.paste(Image.fromarray(levels.numpy()).resize((side, side), Image.Resampling.LANCZOS), (x * side, y * side))
    sheet.save(path, quality=84, optimize=True)


def waves(path: Path, side: int = 200, bars: int = 50) -> torch.Tensor:
    """A picture of a voice, uint8 [side, side, 3]: how loud it is, from left to right."""
    wave = read_audio(path).waveform.mean(0)
    loud = torch.stack([part.square().mean().sqrt() for part in wave.tensor_split(bars)])
    tall = (2 + 0.4 * side * loud / loud.max()).tolist()
    sheet = Image.new("RGB", (side, side), "#20262b")
    draw, step = ImageDraw.Draw(sheet), side / bars
    for bar, half in enumerate(tall):
        x = (bar + 0.5) * step
        draw.line([x, side / 2 - half, x, side / 2 + half], "#e8b04b", max(1, round(step / 2)))
    return torch.from_numpy(np.asarray(sheet).copy())


def card(text: str, side: int = 200) -> torch.Tensor:
    """A picture with a few words instead of one that cannot be drawn here, uint8 [side, side, 3]."""
    sheet = Image.new("RGB", (side, side), "#20262b")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=side / 9)
    draw.multiline_text((side / 2, side / 2), text, "#e8b04b", font, anchor="mm", align="center")
    return torch.from_numpy(np.asarray(sheet).copy())


def help_pictures(source: Path, result: Path) -> None:
    """The pictures of the help pages: some thumbnails again, the plot of the demo's clip, the demo's scores."""
    for node, name in HELP.items():
        shutil.copyfile(ROOT / "workflows" / name, ROOT / "web" / "docs" / node / name)
    pack = LoadPack.execute("bundled").args[0]
    motion = Extract3DMM.execute(pack, VideoFromFile(str(DRIVER)), -1, "interpolate").args[1]
    plotted = (PlotMotion.execute(motion, 720, 540).args[0][0] * 255).round().byte()
    save(plotted, ROOT / "web" / "docs" / "MIMAFacePlotMotion" / "plot.png", 64)
    person, clips = read_picture(source)[None], [VideoFromFile(str(path)) for path in (result, DRIVER)]
    table = (Evaluate.execute(clips[0], False, person, clips[1]).args[1][0] * 255).round().byte()
    save(table, ROOT / "web" / "docs" / "MIMAFaceEvaluate" / "table.png", 128)


def save(picture: torch.Tensor, path: Path, colours: int) -> None:
    """Write a picture uint8 [H, W, 3] of few colours as a small PNG."""
    Image.fromarray(picture.numpy()).quantize(colours).save(path, optimize=True)


def main() -> None:
    with TemporaryDirectory() as folder:
        out = Path(folder)
        source = portrait(out)
        face, _, _ = run_demo(None, DRIVER, out)
        person, driver, result = read_picture(source), frames(DRIVER, MOMENTS), frames(face, MOMENTS)
        tiles([[person, *driver], [person, *result]], 200, ROOT / "assets" / "strip.jpg")
        tiles([[person, driver[4], result[4]]], 200, ROOT / "workflows" / "reenact_video.jpg")
        yours = card("drawn by the\npublished weights,\nwhich you supply")
        tiles([[person, driver[4], yours]], 200, ROOT / "workflows" / "reenact_video_released.jpg")

        laugh = out / "laugh.png"
        (laughing,) = frames(DRIVER, (LAUGH,))
        Image.fromarray(laughing.numpy()).save(laugh)
        drawn, _ = run_here("reenact_image", [f"source={source}", f"driver={laugh}"], [], out)
        tiles([[person, laughing, read_picture(drawn[0])]], 200, ROOT / "workflows" / "reenact_image.jpg")

        edited = [read_picture(run_here("edit_face", [f"source={source}"], list(edit), out)[0][0]) for edit in EDITS]
        tiles([edited], 200, ROOT / "workflows" / "edit_face.jpg")

        given = [f"source={source}", f"audio={VOICE}"]
        spoken, _ = run_here("talk", given, [], out)
        tiles([[waves(VOICE), *frames(spoken[0], SAID)]], 200, ROOT / "workflows" / "talk.jpg")
        turned, _ = run_here("talk_with_clip", [*given, f"driver={DRIVER}"], [], out)
        lent = frames(DRIVER, (TURNED,)) + frames(turned[0], (TURNED,))
        tiles([[waves(VOICE), *lent]], 200, ROOT / "workflows" / "talk_with_clip.jpg")
        help_pictures(source, face)


if __name__ == "__main__":
    main()
