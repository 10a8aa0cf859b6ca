"""The Python API refuses what it cannot use before any work, in one sentence that says what to give."""

import logging

import pytest
import torch
from PIL import Image
from support.tracks import still, track

import mimaface.mimaface_core as api
from mimaface.mimaface_core.appearance.frames import Appearance
from mimaface.mimaface_core.drawing import encode
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.source import SourceFace

NAN, INF = float("nan"), float("inf")
PACK = api.load_pack()
MOTION = track(3)
SOURCE = SourceFace(
    image=torch.zeros(600, 600, 3),
    crop_matrix=torch.eye(2, 3),
    crop=torch.zeros(3, 512, 512),
    landmarks=torch.zeros(478, 3),
    track=still(1),
)
FRAMES = torch.zeros(2, 8, 8, 3)

CALLS = {
    "edit by NaN": (lambda: api.edit(SOURCE, yaw=NAN), "yaw must be a number, not nan"),
    "edit by text": (lambda: api.edit(SOURCE, pitch="5"), "pitch must be a number, not '5'"),
    "zoom without end": (lambda: api.edit(SOURCE, zoom=INF), "zoom must be a number"),
    "gaze of one": (lambda: api.edit(SOURCE, gaze=0.5), r"gaze must be two numbers \(x, y\)"),
    "shift of NaN": (lambda: api.edit(SOURCE, shift=(0, NAN)), "shift must be a number, not nan"),
    "slider at NaN": (lambda: api.edit(SOURCE, expression={"smile": NAN}), "expression 'smile' must be a number"),
    "sliders as list": (lambda: api.edit(SOURCE, expression=["smile"]), "expression must be a dict"),
    "edit a tensor": (lambda: api.edit(FRAMES), "face cannot be a Tensor; give a source or a motion"),
    "retarget by NaN": (lambda: api.retarget(MOTION, SOURCE, pose=NAN), "pose must be a number, not nan"),
    "retarget swapped": (lambda: api.retarget(SOURCE, MOTION), "motion cannot be a SourceFace; give a motion"),
    "smooth by 2": (lambda: api.smooth(MOTION, pose=2), "pose 2 is out of range; use at least 0 and at most 1"),
    "smooth a source": (lambda: api.smooth(SOURCE), "motion cannot be a SourceFace"),
    "speak with a dict": (lambda: api.speak(PACK, SOURCE, {"waveform": 0}), r"audio cannot be a dict; give a path"),
    "speak with none": (lambda: api.speak(PACK, SOURCE, None), "audio cannot be NoneType"),
    "style as text": (lambda: api.speak(PACK, SOURCE, "a.wav", style="calm"), "style must be a whole number"),
    "style 46": (lambda: api.speak(PACK, SOURCE, "a.wav", style=46), "style 46 is out of range.*at most 45"),
    "seed 0.5": (lambda: api.speak(PACK, SOURCE, "a.wav", seed=0.5), "seed must be a whole number, not 0.5"),
    "lips -1": (lambda: api.speak(PACK, SOURCE, "a.wav", lips=-1), "lips -1 is out of range"),
    "blinks NaN": (lambda: api.speak(PACK, SOURCE, "a.wav", blinks=NAN), "blinks must be a number"),
    "borrow feet": (lambda: api.speak(PACK, SOURCE, "a.wav", borrow="feet"), "borrow can be head, head and eyes or"),
    "a pack's name": (lambda: api.speak("bundled", SOURCE, "a.wav"), "pack cannot be a str; give what load_pack"),
    "face -2": (lambda: api.measure(PACK, FRAMES, face=-2), "face -2 is out of range; use at least -1"),
    "face 0.5": (lambda: api.measure(PACK, FRAMES, face=0.5), "face must be a whole number"),
    "lost dog": (lambda: api.measure(PACK, FRAMES, lost="dog"), "lost can be rest, interpolate, previous or empty"),
    "framing": (lambda: api.measure(PACK, FRAMES, framing="tight"), "framing can be as released or keep aspect"),
    "rate as text": (lambda: api.measure(PACK, FRAMES, fps="25"), "frame rate must be a number, not '25'"),
    "0-255": (lambda: api.measure(PACK, FRAMES + 200), "values up to 200; give floats in 0–1, or uint8"),
    "too large": (lambda: api.measure(PACK, torch.zeros(1).expand(1, 9000, 9000, 3)), "at most 64 megapixels"),
    "a folder": (lambda: api.measure(PACK, "."), r"'/.*' is a folder; give the path of a file"),
    "render nobody": (lambda: api.render(PACK, None, MOTION), "source cannot be NoneType; give the first of the two"),
    "render 'x'": (lambda: api.render(PACK, SOURCE, MOTION, "x"), "mode can be projected or albedo, not 'x'"),
    "render swapped": (lambda: api.render(PACK, MOTION, SOURCE), "source cannot be a MotionTrack"),
    "encode swapped": (lambda: encode(PACK, MOTION, SOURCE), "source cannot be a MotionTrack"),
    "animate by dict": (lambda: api.animate(PACK, SOURCE, MOTION, {"steps": 4}), "settings cannot be a dict"),
    "animate a tensor": (
        lambda: api.animate(PACK, SOURCE, MOTION, appearance=FRAMES),
        "appearance cannot be a Tensor; give what encode",
    ),
    "paste to 0 pixels": (lambda: api.paste_back(SOURCE, FRAMES, 0), "longest_side 0 is out of range"),
    "paste to NaN": (lambda: api.paste_back(SOURCE, FRAMES, NAN), "longest_side must be a whole number"),
    "paste numbers": (lambda: list(api.paste_back(SOURCE, [1, 2])), r"Frames are tensors .*, not int"),
    "paste planes": (lambda: list(api.paste_back(SOURCE, torch.zeros(3, 8, 8))), r"not \[3, 8, 8\]"),
    "score a tensor": (lambda: api.evaluate(FRAMES), r"output cannot be a Tensor; give a path, or Frames"),
    "score against one": (lambda: api.evaluate("a.mp4", driver=FRAMES), "driver cannot be a Tensor"),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_cannot_be_used_is_refused_as_it_is_called(name):
    call, sentence = CALLS[name]
    with pytest.raises(InputError, match=sentence) as refused:
        call()
    assert str(refused.value).count(".") <= 3 and str(refused.value).endswith(".")


def test_an_appearance_of_another_motion_is_refused_in_words_of_the_api():
    other = Appearance(None, torch.zeros(1, 2, 4), track(5))
    with pytest.raises(InputError, match="encode the appearance with the motion that is drawn"):
        list(api.animate(PACK, SOURCE, MOTION, appearance=other))


@pytest.mark.parametrize(
    ("name", "inputs", "sentence"),
    [
        ("a.png", {}, "a.png holds one image only; name an .mp4"),
        ("a.mp4", {"metadata": ["title"]}, "metadata cannot be a list; give a dict"),
        ("a.mp4", {"audio": "face.jpg"}, "face.jpg is an image and has no audio"),
        ("a.mp4", {"audio": torch.zeros(1, 8)}, "audio cannot be a Tensor; give a path, or Audio"),
        ("a.mp4", {"fps": "25"}, "frame rate must be a number, not '25'"),
        ("a.mp4", {"frames": [FRAMES + 255]}, "values up to 255"),
        ("a.mp4", {"frames": [torch.zeros(8, 8)]}, r"Frames are tensors .*, not \[8, 8\]"),
        ("a.mp4", {"frames": 3}, "Frames cannot be int"),
    ],
)
def test_a_video_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, monkeypatch, name, inputs, sentence):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (8, 8)).save("face.jpg")
    with pytest.raises(InputError, match=sentence):
        api.write_video(name, **{"frames": [FRAMES], "fps": 25} | inputs)
    assert [path.name for path in tmp_path.iterdir()] == ["face.jpg"]


def test_a_single_frame_is_pasted_and_written_as_it_is(tmp_path):
    frame = torch.full((512, 512, 3), 0.5)
    (alone,) = api.paste_back(SOURCE, frame)
    (one_of_a_batch,) = api.paste_back(SOURCE, [frame[None]])
    (whole_numbers,) = api.paste_back(SOURCE, (frame[None] * 255).byte())
    assert alone.shape == (1, 600, 600, 3) and torch.equal(alone, one_of_a_batch)
    assert (whole_numbers - alone).abs().max() < 0.01
    assert Image.open(api.write_video(tmp_path / "a.png", frame, 25)).size == (512, 512)


def test_a_motion_of_somebody_else_is_drawn_with_a_warning(monkeypatch, caplog):
    monkeypatch.setattr("mimaface.mimaface_core.drawing._renderer", lambda *_: lambda motion: motion.gaze)
    with caplog.at_level(logging.WARNING):
        list(api.render(PACK, SOURCE, api.retarget(MOTION, SOURCE)))
        assert not caplog.records
        list(api.render(PACK, SOURCE, MOTION))
    assert "not retargeted to this source" in caplog.text
