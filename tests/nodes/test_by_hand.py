"""The nodes by which a person moves a face: edits as JSON, keyframes, audio, and what they say of wrong values."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.scenes import defaults, moved, needs_faces, nodding, portrait_source, tone
from support.tracks import still

from mimaface.mimaface_core import animate, load_pack, measure, paste_back
from mimaface.mimaface_core import edit as edited
from mimaface.mimaface_core.audio.loudness import loudness, outline
from mimaface.mimaface_core.diffusion.settings import SamplerSettings
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.tensors import to_float
from mimaface.mimaface_core.video_editing import edit_video
from mimaface.nodes.edit_motion import EditMotion
from mimaface.nodes.keyframe_motion import KeyframeMotion
from mimaface.nodes.mix_motion import MixMotion
from mimaface.nodes.motion_to_keyframes import MotionToKeyframes
from mimaface.nodes.previews import STORE

RAMP = {"length": 1, "curves": {"yaw": [[0, 0, "linear"], [1, 20]]}}


def yaw(motion):
    return torch.rad2deg(motion.coefficients.angles[:, 1] - still(1).coefficients.angles[0, 1])


def test_an_edit_adds_to_the_sliders_and_an_old_graph_has_none():
    values = defaults(EditMotion) | {"yaw": 10.0, "zoom": 1.1}
    edit = json.dumps({"version": 1, "controls": {"yaw": 5, "zoom": 1.2}})
    both = EditMotion.EXECUTE_NORMALIZED(face=still(3), **(values | {"edit": edit}))[0]
    assert torch.allclose(yaw(both), torch.tensor(15.0), atol=1e-3)
    del values["edit"]
    old = EditMotion.EXECUTE_NORMALIZED(face=still(3), **values)[0]
    assert torch.allclose(yaw(old), torch.tensor(10.0), atol=1e-3)
    nearer = (10 - old.coefficients.translation[:, 2]) / (10 - both.coefficients.translation[:, 2])
    assert torch.allclose(nearer, torch.tensor(1.2), atol=1e-4)


WRONG = {
    "no JSON": ("{", "is no JSON"),
    "unknown": ('{"controls": {"smlie": 1}}', "There is no control 'smlie'; the nearest is"),
    "NaN": ('{"controls": {"yaw": NaN}}', "must be a number, not nan"),
    "out of range": ('{"controls": {"yaw": 90}}', "out of range"),
    "another version": ('{"version": 7}', "of version 7"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_edit_is_refused_when_the_graph_is_queued(name):
    edit, sentence = WRONG[name]
    assert sentence in EditMotion.validate_inputs(edit=edit)
    assert EditMotion.validate_inputs(edit=None) is True


def test_keyframes_are_laid_over_a_motion_and_wrong_ones_refused_in_time():
    values = defaults(KeyframeMotion) | {"keyframes": json.dumps(RAMP)}
    ramp = KeyframeMotion.EXECUTE_NORMALIZED(face=still(31), **values)[0]
    assert len(ramp) == 31 and yaw(ramp)[0].abs() < 1e-3 and yaw(ramp)[-1] == pytest.approx(20, abs=0.1)
    assert "unknown control" in KeyframeMotion.validate_inputs(keyframes='{"curves": {"x": []}}')
    assert "audio_control" in KeyframeMotion.validate_inputs(audio_control="x")


def test_the_loudness_of_audio_moves_a_control():
    sound = tone(0.5, 0.5)
    audio = {"waveform": sound.waveform[None], "sample_rate": sound.sample_rate}
    values = defaults(KeyframeMotion) | {"audio_control": "yaw", "audio_amount": 12.0}
    turned = yaw(KeyframeMotion.EXECUTE_NORMALIZED(face=still(30), audio=audio, **values)[0])
    assert turned[:14].abs().max() < 0.5 and turned[17:28].min() > 10


def test_loudness_has_one_number_a_frame_and_an_outline_at_most_its_points():
    sound = tone(1, 1, 1)
    level = loudness(sound, Fraction(25), 100)
    assert len(level) == 100 and level[:24].max() < 0.05 and level[27:48].min() > 0.8 and level[76:].max() == 0
    peaks, seconds = outline(sound, 60)
    assert len(peaks) <= 60 and max(peaks) == 1 and min(peaks) == 0 and seconds == pytest.approx(3, abs=0.05)


@needs_faces
def test_a_timeline_is_told_the_length_of_the_audio_and_where_its_waveform_lies(monkeypatch):
    monkeypatch.setattr(STORE, "active", True)
    sound = tone(0.5, 0.5)
    audio = {"waveform": sound.waveform[None], "sample_rate": sound.sample_rate}
    ran = KeyframeMotion.EXECUTE_NORMALIZED(face=portrait_source(), audio=audio, **defaults(KeyframeMotion))
    (shown,) = ran.ui["mimaface_editor"]
    assert shown["length"] == shown["waveform_seconds"] == 1 and shown["fps"] == 25


def test_a_motion_to_keyframes_and_back():
    values = defaults(KeyframeMotion) | {"keyframes": json.dumps(RAMP)}
    ramp = KeyframeMotion.EXECUTE_NORMALIZED(face=still(31), **values)[0]
    output = MotionToKeyframes.EXECUTE_NORMALIZED(motion=ramp, tolerance=0.005)
    assert output.ui["mimaface_keyframes"] == [output[0]]
    curve = json.loads(output[0])["curves"]["yaw"]
    assert curve[-1][1] - curve[0][1] == pytest.approx(20, abs=1)


def test_mix_offers_each_group_of_both():
    names = [slot.id for slot in MixMotion.GET_SCHEMA().inputs]
    assert [name for name in names if name.startswith("driver_")] == [
        f"driver_{group}" for group in ("head", "eyes", "lids", "brows", "mouth")
    ]


@needs_faces
def test_a_clip_stays_pixel_for_pixel_where_the_hand_does_not_act():
    shown = to_float(torch.from_numpy(np.stack(nodding(2))))
    frames, pack = Frames.of_batch(shown, 25.0), load_pack()
    source = measure(pack, frames)[0]
    assert torch.equal(torch.cat(list(edit_video(pack, frames, source, edited(source)))), shown)
    smiling = edited(source, controls={"mouth_smile_right": 1, "mouth_smile_left": 1})
    change = (torch.cat(list(edit_video(pack, frames, source, smiling))) - shown).abs().amax(-1)
    assert (change.amax((1, 2)) > 0.1).all() and (change[:, :45] == 0).all(), "the forehead is not even resampled"


@needs_faces
def test_two_faces_of_one_image_get_an_expression_each():
    """As two Extract 3DMM, two editors and two Edit Video one behind the other do it."""
    both = np.concatenate([moved(size=(320, 320)), moved(angle=6, size=(320, 320))], 1)
    pack, shown = load_pack(), to_float(torch.from_numpy(both))[None]
    now = shown
    for face, controls in enumerate(({"mouth_smile_right": 1, "mouth_smile_left": 1}, {"jaw_open": 0.8})):
        source = measure(pack, Frames.of_batch(shown, 25.0), face=face)[0]
        before, hand = now, edited(source, controls=controls)
        now = torch.cat(list(edit_video(pack, Frames.of_batch(before, 25.0), source, hand, face=face)))
        change = (now - before).abs().amax((0, 1, 3))
        half = change.view(2, 320).amax(1)
        assert half[face] > 0.1 and half[1 - face] == 0, face


@needs_faces
def test_a_face_at_rest_is_the_photograph_after_the_diffusion_too():
    pack, source = load_pack(), portrait_source()
    settings = replace(SamplerSettings.of(pack), steps=1)  # any number of them does
    for motion in (edited(source), edited(source).concatenate([edited(source)] * 2)):
        frames = torch.cat(list(animate(pack, source, motion, settings)))
        assert torch.equal(frames, ((source.crop.permute(1, 2, 0) + 1) / 2).expand_as(frames))
        assert torch.equal(torch.cat(list(paste_back(source, frames))), source.image.expand(len(frames), -1, -1, -1))
