"""A photograph that speaks while its voice still comes: the same motion as of a recording, within the latency told."""

from pathlib import Path

import pytest
import torch
from support.scenes import needs_faces
from support.tiny_implicit import MANIFEST, source_of, write_tiny_hubert, write_tiny_implicit

from mimaface.mimaface_core.audio.live import LiveVoice
from mimaface.mimaface_core.audio.speech import LEVEL_DB, SAMPLE_RATE, Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.groups import GroupFactors
from mimaface.mimaface_core.implicit_live import LiveFace, live_settings
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
    with pytest.raises(InputError, match="samples a second, not 0"):
        LiveVoice(0)
