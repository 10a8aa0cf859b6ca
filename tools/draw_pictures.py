"""Draws the README's strip, the workflows' thumbnails and the help's pictures from real runs on the NASA portrait.

`python tools/draw_pictures.py`, from the repository, with the project installed as by `make demo`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from help_pictures import draw_help
from PIL import Image
from sheets import card, frames, tiles, waves
from skimage.data import astronaut

from mimaface.cli.demo import DRIVER, portrait, run_demo
from mimaface.headless.job import run_here
from mimaface.mimaface_core.media.read import read_image

ROOT = Path(__file__).resolve().parents[1]
MOMENTS = (14, 30, 40, 58, 70)  # frames of the demo that show looking, blinking, brows, talking and turning
LAUGH = 82
VOICE = ROOT / "assets" / "demo_voice.ogg"
SAID = (8, 92)  # frames of what it says: two open mouths of different shape
TURNED = 48  # a frame in which the clip turns the head and the voice opens the mouth
EDITS = (
    ("edit.yaw=18", "edit.smile=1.2"),
    ("edit.blink_left=1", "edit.roll=-8"),
    ("edit.mouth_open=0.8", "edit.gaze_x=0.8"),
)


def main() -> None:
    with TemporaryDirectory() as folder:
        out = Path(folder)
        source = portrait(out)
        face, _, _ = run_demo(None, DRIVER, out)
        person, driver, result = read_image(source), frames(DRIVER, MOMENTS), frames(face, MOMENTS)
        tiles([[person, *driver], [person, *result]], 200, ROOT / "assets" / "strip.jpg")
        tiles([[person, driver[4], result[4]]], 200, ROOT / "workflows" / "reenact_video.jpg")
        yours = card("drawn by the\npublished weights,\nwhich you supply")
        tiles([[person, driver[4], yours]], 200, ROOT / "workflows" / "reenact_video_released.jpg")

        laugh = out / "laugh.png"
        (laughing,) = frames(DRIVER, (LAUGH,))
        Image.fromarray(laughing.numpy()).save(laugh)
        drawn, _ = run_here("reenact_image", [f"source={source}", f"driver={laugh}"], [], out)
        tiles([[person, laughing, read_image(drawn[0])]], 200, ROOT / "workflows" / "reenact_image.jpg")

        edited = [read_image(run_here("edit_face", [f"source={source}"], list(edit), out)[0][0]) for edit in EDITS]
        tiles([edited], 200, ROOT / "workflows" / "edit_face.jpg")

        given = [f"source={source}", f"audio={VOICE}"]
        spoken, _ = run_here("talk", given, [], out)
        tiles([[waves(VOICE), *frames(spoken[0], SAID)]], 200, ROOT / "workflows" / "talk.jpg")
        turned, _ = run_here("talk_with_clip", [*given, f"driver={DRIVER}"], [], out)
        lent = frames(DRIVER, (TURNED,)) + frames(turned[0], (TURNED,))
        tiles([[waves(VOICE), *lent]], 200, ROOT / "workflows" / "talk_with_clip.jpg")

        whole = out / "whole.png"
        Image.fromarray(astronaut()).save(whole)
        draw_help(source, whole, face)


if __name__ == "__main__":
    main()
