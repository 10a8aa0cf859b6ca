"""A photograph that speaks while its voice still comes, within the latency told, or moves as a driver's frames come."""

from pathlib import Path

import pytest
import torch
from support.scenes import moved, needs_faces, nodding, noise
from support.tiny_implicit import MANIFEST, source_of, write_tiny_hubert, write_tiny_implicit

from mimaface.mimaface_core.audio.live import LiveVoice
from mimaface.mimaface_core.audio.speech import LEVEL_DB, SAMPLE_RATE, Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.face_codes import NAMES
from mimaface.mimaface_core.implicit.groups import GroupFactors
from mimaface.mimaface_core.implicit_live import LiveDriver, LiveFace, live_settings
from mimaface.mimaface_core.implicit_pipeline import encode_implicit, load_implicit, speak_implicit
from mimaface.mimaface_core.media.audio import Audio

ASSETS = Path(__file__).parents[2] / "assets"


@pytest.fixture(scope="module")
def pack():
    return load_implicit()


@pytest.fixture(scope="module")
def source(pack):
    return encode_implicit(pack, ASSETS / "portrait.jpg")


@pytest.fixture(scope="module")
def voice():
    """Four seconds [n] at 16 kHz."""
    return torch.cat(list(Speech.of(ASSETS / "demo_voice.ogg").blocks(normalised=False)))[: 4 * SAMPLE_RATE]


def said(live, voice, sizes):
    """Codes of a voice that comes in blocks of these sizes, repeated."""
    parts, at = [], 0
    while at < voice.shape[-1]:
        size = sizes[len(parts) % len(sizes)]
        parts.append(live.motion(voice[..., at : at + size]).codes)
        at += size
    return torch.cat([*parts, live.rest_of_motion().codes])


@needs_faces
def test_a_live_voice_moves_a_face_as_its_recording_does(pack, source, voice):
    audio = Audio(voice[None], SAMPLE_RATE)
    settings = pack.speaking(rest=True, factors=GroupFactors(head=0.5))
    recorded = torch.cat([part.codes for part in speak_implicit(pack, source, audio, settings)])
    live = LiveFace(pack, source, settings, level_db=Speech.of(audio).level_db)
    codes = said(live, voice, [1600, 7, 0, 12345])
    assert codes.shape == recorded.shape and (codes - recorded).abs().max() < 1e-3


@needs_faces
def test_frames_come_within_the_latency_that_is_told(pack, source, voice):
    live, made = LiveFace(pack, source), 0
    block = SAMPLE_RATE // 10
    for number, at in enumerate(range(0, len(voice), block), 1):
        frames = live.add(voice[at : at + block]) if made == 0 else live.motion(voice[at : at + block])
        assert made or frames.shape[1:] == (512, 512, 3)
        made += len(frames)
        assert made >= 25 * (number / 10 - live.latency) - 1e-6
    assert live.latency < 1.3 and len(live.rest_of_motion()) == 25 * 4 - made


@needs_faces
def test_lips_of_a_live_voice_follow_it(pack, source, voice):
    recorded = torch.cat([part.codes for part in speak_implicit(pack, source, Audio(voice[None], SAMPLE_RATE))])
    codes = said(LiveFace(pack, source), voice, [800])
    mouth = pack.groups["mouth"][0]
    assert torch.corrcoef(torch.stack([codes[:, mouth], recorded[:, mouth]]))[0, 1] > 0.7


@needs_faces
def test_a_driver_moves_a_face_frame_by_frame(pack, source):
    live = LiveDriver(pack, source)
    first = torch.from_numpy(moved(0, 1, (0, 0)))
    assert (live.add(first) - (source.crop.permute(1, 2, 0) + 1) / 2).abs().max() < 0.02  # at rest, the photograph
    tilted = [live.motion(torch.from_numpy(moved(4 * number, 1, (0, 0)))).codes[0] for number in range(4)]
    roll = torch.stack(tilted)[:, NAMES.index("roll")] - source.posture[NAMES.index("roll")]
    assert abs(roll[0]) < 0.02 and ((roll[1:] - roll[:-1]).abs() > 0.05).all()
    live.rest()
    again = live.motion(torch.from_numpy(moved(12, 1, (0, 0)))).codes[0]
    assert torch.allclose(again, source.posture, atol=1e-5)


@needs_faces
def test_a_driver_that_is_lost_leaves_the_face_as_it_was(pack, source):
    live = LiveDriver(pack, source)
    nobody = torch.from_numpy(noise())
    assert live.motion(nobody) is None
    still = live.add(nobody)
    assert (still - (source.crop.permute(1, 2, 0) + 1) / 2).abs().max() < 0.02
    live.add(torch.from_numpy(moved(0, 1, (0, 0))))
    drawn = live.add(torch.from_numpy(moved(6, 1, (0, 0))))
    assert torch.equal(live.add(nobody), drawn) and not torch.equal(drawn, still)
    with pytest.raises(InputError, match="shape"):
        live.add(torch.zeros(3, 8, 8))


@needs_faces
def test_a_driver_moves_a_pack_without_names_too(tmp_path):
    pack = write_tiny_implicit(tmp_path)
    live = LiveDriver(pack, source_of(pack))
    frames = [live.add(torch.from_numpy(frame)) for frame in nodding(2)]
    assert frames[0].shape == (128, 128, 3) and not torch.equal(*frames)


def test_an_encoder_of_its_own_hears_a_live_voice_too(tmp_path):
    write_tiny_hubert(tmp_path / "hubert")
    transformer = {**MANIFEST["transformer"], "config": {"variant": "DiT-tiny", "dimensions": 20, "speech_width": 32}}
    pack = write_tiny_implicit(tmp_path, speech="hubert", transformer=transformer)
    live = LiveFace(pack, source_of(pack), live_settings(pack, steps=2))
    codes = said(live, torch.randn(2 * SAMPLE_RATE, generator=torch.Generator().manual_seed(1)) / 9, [3000])
    assert len(codes) == 50 and codes.isfinite().all()


@pytest.mark.parametrize(("rate", "level"), [(48_000, None), (44_100, None), (16_000, -40.0)])
def test_a_live_voice_is_brought_to_the_common_loudness(rate, level):
    seconds = torch.arange(3 * rate) / rate
    quiet = 0.01 * torch.sin(800 * seconds)[None].repeat(2, 1)
    live = LiveVoice(rate, level)
    parts = [live.add(block) for block in quiet.split(rate // 7, 1)]
    heard = torch.cat([*parts, live.finish()])
    assert len(heard) == 3 * SAMPLE_RATE
    loudness = Speech.of(Audio(heard[None, -SAMPLE_RATE:], SAMPLE_RATE)).level_db
    wanted = LEVEL_DB if level is None else Speech.of(Audio(quiet, rate)).level_db + LEVEL_DB - level
    assert loudness == pytest.approx(wanted, abs=1)


def test_sound_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputError, match="finite values"):
        LiveVoice().add(torch.tensor([float("nan")]))
    with pytest.raises(InputError, match="shape"):
        LiveVoice().add(torch.zeros(1, 1, 1))
    with pytest.raises(InputError, match="finite values"):
        LiveVoice().add(torch.zeros(800, 2))  # [n, channels]
    with pytest.raises(InputError, match="sample_rate 0 is out of range; use at least 8000"):
        LiveVoice(0)
    with pytest.raises(InputError, match="level_db must be a number"):
        LiveVoice(level_db=float("nan"))
    with pytest.raises(InputError, match="block cannot be a list"):
        LiveVoice().add([0.0])


def test_samples_of_a_sound_card_are_as_loud_as_floats():
    wave = 0.1 * torch.sin(torch.arange(16_000) / 9)
    asked, ours = (LiveVoice(level_db=-30).add(block) for block in (wave, (wave * 32767).short().numpy()))
    assert (asked - ours).abs().max() < 0.001


def test_a_voice_that_is_finished_takes_no_more(tmp_path):
    write_tiny_hubert(tmp_path / "hubert")
    transformer = {**MANIFEST["transformer"], "config": {"variant": "DiT-tiny", "dimensions": 20, "speech_width": 32}}
    pack = write_tiny_implicit(tmp_path, speech="hubert", transformer=transformer)
    live = LiveFace(pack, source_of(pack), live_settings(pack, steps=2))
    live.add(torch.zeros(8000))
    live.finish()
    for more in (live.finish, lambda: live.add(torch.zeros(800)), lambda: live.motion(torch.zeros(800))):
        with pytest.raises(InputError, match="This voice is finished"):
            more()


@needs_faces
def test_a_camera_library_s_frames_are_taken_and_what_is_no_frame_is_refused(tmp_path):
    pack = write_tiny_implicit(tmp_path)
    live, frame = LiveDriver(pack, source_of(pack), tracker="bundled"), moved(0, 1, (0, 0))
    assert torch.equal(live.add(frame), LiveDriver(pack, source_of(pack), tracker="bundled").add(torch.tensor(frame)))
    image = torch.tensor(frame) / 255
    for bad in (image[:0], image * float("nan"), image * 255, torch.tensor(frame).long(), [[0.0]], image.mean(-1)):
        with pytest.raises(InputError):
            live.add(bad)
    for face in (-2, "a", 1.5):
        with pytest.raises(InputError, match="face"):
            LiveDriver(pack, source_of(pack), face)
