"""SadTalker: its networks against those of its authors, audio windows, blinks, and the driver."""

import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from support import sadtalker
from support.faces import stand_in
from support.parity import noise, stored, stored_file
from support.sadtalker import FPS, speech

from mimaface.mimaface_core.audio.mel import mel_spectrogram
from mimaface.mimaface_core.audio.sadtalker import driver as sadtalker_driver
from mimaface.mimaface_core.audio.sadtalker.driver import SadTalkerDriver, at_times, blink_course, mel_windows
from mimaface.mimaface_core.audio.speech import Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.audio import Audio
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.expression_map import align, expression_map
from mimaface.mimaface_core.motion.rotation import angles_of, rotation_of


@pytest.fixture(scope="module")
def values():
    return sadtalker.state_dicts()


@pytest.fixture(scope="module")
def nets(values):
    return sadtalker.networks(values)


@pytest.fixture(scope="module")
def driver(nets):
    return SadTalkerDriver(*nets)


@pytest.fixture(scope="module")
def source():
    return sadtalker.source()


def close(ours, theirs, tolerance=1e-4):
    """Tolerance of the parity data: 1e-4 of the output's mean magnitude."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().mean()


# -- the networks


def test_keys_and_shapes_are_the_released_ones(values):
    released = json.loads(stored_file("state_dicts.json").read_text())
    for name, state in values.items():
        assert {key: list(value.shape) for key, value in state.items()} == released[name]


def test_parity_of_expressions(nets):
    theirs = stored("sadtalker")["audio2exp.out"]
    blink = noise("ratio", 1, 12).abs().clamp(0, 1)
    close(nets[0](noise("mel", 12, 1, 80, 16), noise("ref", 1, 12, 64)[0], blink[0])[None], theirs)


@pytest.mark.parametrize("count", [33, 50, 101])
def test_parity_of_poses(nets, count):
    theirs = stored("sadtalker")[f"audio2pose.pose_{count}"]
    reference = noise("ref70", 1, 1, 70)[0, :, -6:]
    mel = noise(f"mel{count}", 1, count, 1, 80, 16)[0]
    close(nets[1](mel, reference, 7, lambda k: noise(f"z{k + 1}", 1, 64))[None], theirs)


@pytest.mark.parametrize("count", [1, 2, 32, 33, 34, 64, 65])
def test_windows_of_pose_at_any_length(nets, count):
    net, drawn = nets[1], []
    features, reference = noise("voice", count, 6), noise("pose", 1, 6)

    def latent(k):
        drawn.append(k)
        return noise(f"latent{k}", 1, 64)

    moved = net.move(features, reference, 45, latent)
    whole, rest = divmod(count - 1, 32)
    assert moved.shape == (count, 6) and (moved[0] == 0).all()
    assert drawn == list(range(whole + (rest > 0)))
    if rest:  # the end of a window over the last 32 frames, which copies of the first of them precede
        follows = features[1:][-32:]
        window = torch.cat([follows[:1]] * (32 - len(follows)) + [follows])
        last = net.netG.decoder(window[None], reference, 45, latent(whole))[0]
        torch.testing.assert_close(moved[-rest:], last[-rest:])


def test_expressions_of_frames_are_independent(nets):
    mel, reference, blink = noise("m", 23, 1, 80, 16), noise("r", 1, 64), noise("b", 23).abs()
    parts = [nets[0](mel[i : i + 10], reference, blink[i : i + 10]) for i in range(0, 23, 10)]
    whole = nets[0](mel, reference, blink)
    close(torch.cat(parts), whole, 1e-5)
    close(nets[0](mel, reference, 0 * blink) + blink[:, None] * nets[0].blink, whole, 1e-5)


# -- audio windows and blinks


@pytest.mark.parametrize("count", [1, 5, 120])
def test_audio_windows_are_those_of_the_released_code(count):
    mel = mel_spectrogram(torch.randn(round(count * 640 * 0.97), generator=torch.Generator().manual_seed(0))).T
    ours = torch.cat(list(mel_windows(iter(mel.split(37)), count)))
    for i in range(count):
        index = [min(max(int(80.0 * (i - 2) / 25) + k, 0), len(mel) - 1) for k in range(16)]
        assert torch.equal(ours[i, 0], mel[index].T)


def test_blinks_are_five_frames_at_random_intervals():
    course = blink_course(6000, seed=4)
    assert course == blink_course(6000, seed=4) != blink_course(6000, seed=5)
    assert set(course) == {0.0, 0.5, 0.9, 1.0}
    shut = [i for i, value in enumerate(course) if value == 1]
    gaps = np.diff(shut) - 5
    assert gaps.min() >= 10 and gaps.max() <= 69
    assert 1.8 < sum(v == 1 for v in blink_course(6000, 4, blinks=2.0)) / len(shut) < 2.3
    assert not any(blink_course(6000, 4, blinks=0.0))
    for count in (1, 20, 21, 22, 30):
        assert len(blink_course(count, 0)) == count and not any(blink_course(min(count, 20), 0))


# -- the driver


def test_the_driver_is_the_networks_and_a_filter(driver, nets, source):
    from scipy.signal import savgol_filter

    voice = speech(2)
    track = driver.drive(voice, source, FPS, style=3, seed=8)
    mel = torch.cat(list(mel_windows([mel_spectrogram(torch.cat(list(voice.blocks(False)))).T], 50)))
    own = source.coefficients
    close(track.coefficients.expression, nets[0](mel, own.expression, torch.tensor(blink_course(50, 8))), 1e-5)
    draws = torch.Generator().manual_seed(8)
    reference = torch.cat([own.angles, torch.zeros(1, 3)], 1)
    pose = nets[1](mel, reference, 3, lambda _: torch.randn(1, 64, generator=draws))
    pose = torch.from_numpy(savgol_filter(pose.numpy(), 13, 2, axis=0))
    close(track.coefficients.angles, pose[:, :3], 1e-5)
    close(track.coefficients.translation, pose[:, 3:] + own.translation, 1e-5)
    assert len(track) == 50 and track.fps == 25 and track.visible.all()
    for group in ("identity", "texture", "lighting"):
        assert torch.equal(getattr(track.coefficients, group), getattr(own, group).expand(50, -1))
    assert torch.equal(track.gaze, source.gaze.expand(50, -1)) and torch.equal(
        track.alignment, source.alignment.expand(50, -1, -1)
    )


def test_style_and_seed_change_the_head_only(driver, source):
    voice = speech(1)
    first = driver.drive(voice, source, FPS, style=0, seed=1, blinks=0)
    again = driver.drive(voice, source, FPS, style=0, seed=1, blinks=0)
    assert torch.equal(first.coefficients.values, again.coefficients.values)
    for other in ({"style": 1, "seed": 1}, {"style": 0, "seed": 2}):
        changed = driver.drive(voice, source, FPS, blinks=0, **other).coefficients
        assert (changed.angles - first.coefficients.angles).abs().max() > 1e-4
        assert torch.equal(changed.expression, first.coefficients.expression)
    for style in (-1, 46):
        with pytest.raises(InputError, match="choose 0–45"):
            driver.drive(voice, source, FPS, style=style)


def test_strengths_scale_head_lips_and_blinks(driver, source):
    voice, own = speech(3), source.coefficients
    still = driver.drive(voice, source, FPS, pose=0, lips=0, blinks=0).coefficients
    torch.testing.assert_close(still.values, own.values.expand(75, -1))
    one, two = (driver.drive(voice, source, FPS, pose=s, lips=s, blinks=0).coefficients for s in (1, 2))
    for group in ("angles", "expression", "translation"):
        start = getattr(own, group)
        close(getattr(two, group) - start, 2 * (getattr(one, group) - start), 1e-4)
    # Without the lips only the blinks move the face.
    blinking = driver.drive(voice, source, FPS, lips=0).coefficients.expression - own.expression
    moving = blinking.abs().amax(1) > 1e-6
    assert moving.tolist() == [value > 0 for value in blink_course(75, 0)] and moving.any()


@pytest.mark.parametrize("seconds", [0.2, 0.01, 0.05])
def test_short_voices(driver, source, seconds):
    for fps in (FPS, Fraction(24000, 1001), Fraction(60)):
        voice = speech(seconds)
        track = driver.drive(voice, source, fps)
        assert len(track) == voice.frames(fps) and track.fps == fps and track.coefficients.values.isfinite().all()


def test_silence_moves_no_lips(driver, source):
    voice = Speech.of(Audio(torch.zeros(2, 44100), 44100))
    expression = driver.drive(voice, source, FPS, blinks=0).coefficients.expression
    torch.testing.assert_close(expression, expression[:1].expand(25, -1))


def test_chunks_join_without_seams(driver, source, monkeypatch):
    voice = speech(5)
    pieces = driver.drive(voice, source, FPS)
    monkeypatch.setattr(sadtalker_driver, "CHUNK", 1000)
    whole = driver.drive(voice, source, FPS)
    close(pieces.coefficients.values, whole.coefficients.values, 1e-5)


def test_other_frame_rates_show_the_same_instants(driver, source):
    voice = speech(2.02)
    slow = driver.drive(voice, source, FPS).coefficients.values
    fast = driver.drive(voice, source, Fraction(75))
    assert len(slow) == 51 and len(fast) == 152
    # (3·i + 1 + 0.5) / 75 = (i + 0.5) / 25
    close(fast.coefficients.values[1::3], slow, 1e-5)
    mixed = driver.drive(voice, source, Fraction(50)).coefficients.values
    close(mixed[2::2], 0.75 * slow[1:] + 0.25 * slow[:-1], 1e-5)


def test_interpolation_of_rows_at_exact_times():
    rows = torch.tensor([[0.0, 1.0], [2.0, 1.0], [2.0, 9.0]])
    times = [Fraction(-3), Fraction(0), Fraction(1, 4), Fraction(3, 2), Fraction(2), Fraction(7)]
    wanted = torch.tensor([[0.0, 1.0], [0.0, 1.0], [0.5, 1.0], [2.0, 5.0], [2.0, 9.0], [2.0, 9.0]])
    assert torch.equal(at_times(rows, times), wanted)


# -- another basis


def test_another_face_model_moves_as_bfm09_does(nets, source):
    theirs, _, _ = stand_in()
    face = bundled_face()
    driver = SadTalkerDriver(*nets, theirs, face)
    own, voice = source.coefficients, speech(1)
    still = driver.drive(voice, source, FPS, pose=0, lips=0, blinks=0).coefficients
    torch.testing.assert_close(still.values, own.values.expand(25, -1), rtol=0, atol=1e-6)
    track = driver.drive(voice, source, FPS, blinks=0).coefficients

    # The lips move as in the other basis, and the head as a whole likewise.
    reference = own.expression @ expression_map(face.model, theirs)
    facing = driver.placement.rotation @ rotation_of(own.angles)
    in_bfm = source.replace(
        coefficients=own.replace(expression=reference, angles=angles_of(facing), translation=torch.zeros(1, 3))
    )
    direct = SadTalkerDriver(*nets).drive(voice, in_bfm, FPS, blinks=0).coefficients
    placed = align(theirs, face.model)
    lips = torch.cat([theirs.keypoints[48:], theirs.keypoints[:17]])
    ours = torch.cat([face.model.keypoints[48:], face.model.keypoints[:17]])
    change = placed.scale * torch.einsum(
        "vcm,cd,nm->nvd", theirs.expression_basis[lips], placed.rotation, direct.expression - reference
    )
    moved = torch.einsum("vcm,nm->nvc", face.model.expression_basis[ours], track.expression - own.expression)
    assert (moved - change).norm() < 0.15 * change.norm()
    there = theirs.transform(theirs.mean_shape[lips].expand(25, -1, -1), direct.angles, direct.translation)
    here = face.model.transform(placed(theirs.mean_shape[lips]).expand(25, -1, -1), track.angles, track.translation)
    torch.testing.assert_close(here - here[:1], placed.scale * (there - there[:1]), rtol=0, atol=1e-4)
