"""Audio drivers: all of them against the protocol, and by name."""

import inspect
from fractions import Fraction

import pytest
import torch
from support import sadtalker
from support.sadtalker import speech
from support.tiny_pack import awaken

from mimaface.mimaface_core.audio.checks import STYLES
from mimaface.mimaface_core.audio.driver import DRIVERS, AudioDriver, audio_driver, driver_files
from mimaface.mimaface_core.audio.sadtalker.driver import SadTalkerDriver
from mimaface.mimaface_core.audio.voice.driver import VoiceDriver
from mimaface.mimaface_core.audio.voice.net import VoiceNet
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.motion.track import SLICES

LIVELY = {"style": STYLES - 1, "seed": 3, "pose": 1.5, "lips": 0.5, "blinks": 2.0}


def build(name):
    """The driver of a name, with weights of no meaning."""
    if name == "bundled":
        net = awaken(VoiceNet(width=8, dilations=(1, 2))).eval().requires_grad_(False)
        return VoiceDriver(net, bundled_face())
    return SadTalkerDriver(*sadtalker.networks(sadtalker.state_dicts()))


@pytest.fixture(scope="module", params=DRIVERS)
def driver(request):
    return build(request.param)


def test_the_signature_is_that_of_the_protocol(driver):
    ours, wanted = (inspect.signature(kind.drive) for kind in (type(driver), AudioDriver))
    assert ours == wanted


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
def test_a_track_covers_the_speech_and_keeps_the_source(driver, fps):
    voice, source = speech(1.01), sadtalker.source()
    track = driver.drive(voice, source, fps, **LIVELY)
    assert len(track) == voice.frames(fps) and track.fps == fps and track.basis == source.basis
    assert track.visible.all() and torch.equal(track.alignment, source.alignment.expand(len(track), -1, -1))
    kept = [k for name in ("identity", "texture", "lighting") for k in range(257)[SLICES[name]]]
    values = track.coefficients.values
    assert torch.equal(values[:, kept], source.coefficients.values[:, kept].expand(len(track), -1))
    assert values.isfinite().all() and (values - values[:1]).abs().amax() > 1e-4


def test_the_same_arguments_give_the_same_track(driver):
    voice, source = speech(0.5), sadtalker.source()
    first, again = (driver.drive(voice, source, Fraction(25), **LIVELY) for _ in range(2))
    assert torch.equal(first.coefficients.values, again.coefficients.values) and torch.equal(first.gaze, again.gaze)


def test_styles_out_of_range_and_sources_of_several_frames_are_refused(driver):
    voice, source = speech(0.2), sadtalker.source()
    for style in (-1, STYLES):
        with pytest.raises(InputError, match="choose 0–45"):
            driver.drive(voice, source, Fraction(25), style=style)
    with pytest.raises(InputError, match="one frame, not of 2"):
        driver.drive(voice, source[[0, 0]], Fraction(25))


def test_drivers_are_built_by_name(tmp_path):
    def unwanted():
        raise AssertionError("the bundled driver was built")

    bundled = build("bundled")
    assert audio_driver("bundled", bundled=lambda: bundled, face=None, folders=[]) is bundled
    sadtalker.write_released(tmp_path, sadtalker.state_dicts())
    found = audio_driver("sadtalker", bundled=unwanted, face=None, folders=[tmp_path])
    assert isinstance(found, SadTalkerDriver)
    with pytest.raises(InputError, match="choose bundled or sadtalker"):
        audio_driver("wav2lip", bundled=unwanted, face=None, folders=[tmp_path])


def test_files_of_a_driver_lie_outside_the_model_pack(tmp_path):
    assert driver_files("bundled", [tmp_path]) == driver_files(None, [tmp_path]) == ()
    with pytest.raises(InputError, match="SadTalker's weights are not in"):
        driver_files("sadtalker", [tmp_path])
    sadtalker.write_released(tmp_path, sadtalker.state_dicts())
    assert [path.parent for path in driver_files("sadtalker", [tmp_path])] == [tmp_path]
