"""Draws the README's strip, the workflows' thumbnails and the images of the help pages, from real runs.

`python tools/draw_pictures.py`, with the project installed as by `make demo`. The source is the NASA portrait.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from help_pictures import draw_help
from PIL import Image
from sheets import card, frames, tiles, waves
from skimage.data import astronaut
from torch import Tensor

from mimaface.cli.demo import DRIVER, portrait, run_demo
from mimaface.headless.job import run_here
from mimaface.mimaface_core.implicit_live import LiveDriver
from mimaface.mimaface_core.implicit_pipeline import encode_implicit, load_implicit
from mimaface.mimaface_core.media.image import read_image

ROOT = Path(__file__).resolve().parents[1]
DEMO_FRAMES = (14, 30, 40, 58, 70)  # looking aside, blinking, raised brows, talking, turning
LAUGH_FRAME = 82
VOICE = ROOT / "assets" / "demo_voice.ogg"
TALK_FRAMES = (8, 92)  # two open mouths of different shape
IMPLICIT_TALK_FRAMES = (8, 44)  # an open mouth below raised brows, and a turned head with the mouth nearly shut
TURN_FRAME = 48  # the video turns the head and the voice opens the mouth
KEYED_FRAMES = (30, 50, 70)  # a turned head that smiles, shut eyes, a raised brow
EDITED_FRAMES = (14, 70)
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
        person, driver, result = read_image(source), frames(DRIVER, DEMO_FRAMES), frames(face, DEMO_FRAMES)
        tiles([[person, *driver], [person, *result]], 200, ROOT / "docs" / "strip.jpg")
        tiles([[person, driver[4], result[4]]], 200, ROOT / "workflows" / "reenact_video.jpg")
        note = card("drawn by the\nreleased weights,\nwhich you supply")
        tiles([[person, driver[4], note]], 200, ROOT / "workflows" / "reenact_video_released.jpg")

        laugh = out / "laugh.png"
        (laughing,) = frames(DRIVER, (LAUGH_FRAME,))
        Image.fromarray(laughing.numpy()).save(laugh)
        drawn, _ = run_here("reenact_image", [f"source={source}", f"driver={laugh}"], [], out)
        tiles([[person, laughing, read_image(drawn[0])]], 200, ROOT / "workflows" / "reenact_image.jpg")

        edited = [read_image(run_here("edit_face", [f"source={source}"], list(edit), out)[0][0]) for edit in EDITS]
        tiles([edited], 200, ROOT / "workflows" / "edit_face.jpg")

        draw_by_hand(source, person, out)

        inputs = [f"source={source}", f"audio={VOICE}"]
        talk, _ = run_here("talk", inputs, [], out)
        tiles([[waves(VOICE), *frames(talk[0], TALK_FRAMES)]], 200, ROOT / "workflows" / "talk.jpg")
        turned, _ = run_here("talk_with_clip", [*inputs, f"driver={DRIVER}"], [], out)
        turns = frames(DRIVER, (TURN_FRAME,)) + frames(turned[0], (TURN_FRAME,))
        tiles([[waves(VOICE), *turns]], 200, ROOT / "workflows" / "talk_with_clip.jpg")

        spoken, _ = run_here("talk_realtime", inputs, [], out)
        tiles([[waves(VOICE), *frames(spoken[0], IMPLICIT_TALK_FRAMES)]], 200, ROOT / "workflows" / "talk_realtime.jpg")
        driven, _ = run_here("reenact_realtime", [f"source={source}", f"driver={DRIVER}"], [], out)
        shown = [person, *frames(DRIVER, (TURN_FRAME,)), *frames(driven[0], (TURN_FRAME,))]
        tiles([shown], 200, ROOT / "workflows" / "reenact_realtime.jpg")

        draw_stream(source, person)
        photograph = out / "photograph.png"
        Image.fromarray(astronaut()).save(photograph)
        draw_help(source, photograph, face)


def draw_stream(source: Path, person: Tensor) -> None:
    """The thumbnail of the workflow for a camera, and the help page's image; `person` is the photograph."""
    pack = load_implicit()
    driver = LiveDriver(pack, encode_implicit(pack, source))
    camera = frames(DRIVER, (0, TURN_FRAME))
    moved = [driver.add(frame) for frame in camera]
    tiles([[person, camera[1], moved[1]]], 200, ROOT / "workflows" / "stream.jpg")
    tiles([[camera[1], moved[1]]], 160, ROOT / "web" / "docs" / "MIMAFaceStream" / "drawn.jpg")


def draw_by_hand(source: Path, person: Tensor, out: Path) -> None:
    """The thumbnails of the workflows with keyframes and with a change made by hand; `person` is the photograph."""
    keyed, _ = run_here("keyframes", [f"source={source}"], [], out)
    tiles([frames(keyed[0], KEYED_FRAMES)], 200, ROOT / "workflows" / "keyframes.jpg")
    mixed, _ = run_here("mix_driver_and_hand", [f"source={source}", f"driver={DRIVER}"], [], out)
    shown = [person, *frames(DRIVER, (TURN_FRAME,)), *frames(mixed[0], (TURN_FRAME,))]
    tiles([shown], 200, ROOT / "workflows" / "mix_driver_and_hand.jpg")
    edited, _ = run_here("edit_video", [f"source={DRIVER}"], [], out)
    pairs = [(frames(DRIVER, (at,))[0], frames(edited[0], (at,))[0]) for at in EDITED_FRAMES]
    tiles([[picture for pair in pairs for picture in pair]], 200, ROOT / "workflows" / "edit_video.jpg")


if __name__ == "__main__":
    main()
