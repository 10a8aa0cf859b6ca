"""The demo: three videos from one photograph and a clip, images from a single frame, refusals in a sentence."""

from fractions import Fraction

import pytest
import torch
from PIL import Image
from support.scenes import SIDE, clip, needs_faces, nodding

from mimaface.cli import demo
from mimaface.cli.side_by_side import panel
from mimaface.mimaface_core.media.audio import Audio, read_audio
from mimaface.mimaface_core.media.image import read_image
from mimaface.mimaface_core.media.read import Clip


@pytest.fixture
def show(tiny_models, tmp_path, monkeypatch, capsys):
    """`show(*arguments)` runs the demo with the tiny pack; gives status, output lines, standard error and folder."""
    monkeypatch.setenv("MIMAFACE_MODELS", str(tiny_models))
    folder = tmp_path / "out put"

    def go(*arguments):
        status = demo.main([*map(str, arguments), "--pack", "tiny", "--output-dir", str(folder)])
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err, folder

    return go


@needs_faces
def test_source_driver_and_result_stand_side_by_side(show, tmp_path):
    tone = Audio(torch.sin(torch.arange(48000) / 20)[None], 48000)
    driver = clip(tmp_path / "clip.mp4", nodding(3), Fraction(30000, 1001), tone)
    status, lines, err, folder = show("--driver", driver)
    assert status == 0, err
    names = ["mimaface_00001_.mp4", "mimaface_full_00001_.mp4", "mimaface_00001_side_by_side.mp4"]
    assert [line.split(":", 1)[1].strip() for line in lines] == [str(folder / name) for name in names]
    sizes = [(video.width, video.height) for video in (Clip.open(folder / name) for name in names)]
    assert sizes == [(SIDE, SIDE), (272, 272), (3 * 512, 512)]
    last = Clip.open(folder / names[-1])
    assert last.fps == Fraction(30000, 1001) and len(list(last)) == 3 and read_audio(folder / names[-1]) is not None
    # the photograph stands on the left, the driver in the middle
    frame = next(iter(last)).float() / 255
    photo = panel(read_image(folder / "source.png")).float() / 255
    shown = panel(next(iter(Clip.open(driver))).float() / 255).float() / 255
    assert (frame[:, :512] - photo).abs().mean() < 0.03
    assert (frame[:, 512:1024] - shown).abs().mean() < 0.03


@needs_faces
def test_a_clip_of_one_frame_gives_images(show, tmp_path):
    driver = clip(tmp_path / "clip.mp4", nodding(1))
    status, lines, err, _ = show("--driver", driver)
    assert status == 0, err
    assert Image.open(lines[-1].split(":", 1)[1].strip()).size == (3 * 512, 512)


def test_a_missing_file_is_refused_in_a_sentence(show, tmp_path):
    status, lines, err, _ = show("--source", tmp_path / "nobody.jpg", "--driver", tmp_path / "nothing.mp4")
    assert status == 2 and lines == []
    assert "nobody.jpg" in err and "nothing.mp4" in err and "Traceback" not in err
