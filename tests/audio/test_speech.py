"""Speech: equal from every recording, one loudness, refusals."""

import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.recordings import clicking, ffmpeg, lateness, murmur, save, whole, write_black

from mimaface.mimaface_core import host
from mimaface.mimaface_core.audio.speech import LEVEL_DB, MAX_GAIN_DB, SAMPLE_RATE, Speech
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.media import Audio, AudioFile

# --- recordings of every kind


@pytest.mark.parametrize("rate, channels", [(8000, 1), (11025, 2), (16000, 6), (44100, 2), (48000, 1), (96000, 6)])
@pytest.mark.parametrize("seconds", [0.2, 3.3337])
def test_all_rates_and_channel_counts_give_equal_samples(rate, channels, seconds):
    time = torch.arange(round(seconds * rate)) / rate
    tone = 0.3 * torch.sin(2 * np.pi * 440 * time)
    audio = tone.repeat(channels, 1) * torch.linspace(0.5, 1.5, channels)[:, None] if channels > 1 else tone[None]
    speech = Speech.of(Audio(audio, rate))
    assert speech.seconds == Fraction(len(tone), rate)
    result = whole(speech)
    assert len(result) == speech.samples == round(Fraction(len(tone), rate) * SAMPLE_RATE)
    wanted = 0.3 * torch.sin(2 * np.pi * 440 * torch.arange(len(result)) / SAMPLE_RATE)
    assert (result - wanted)[200:-200].abs().max() < 0.003
    assert result.dtype == torch.float32 and torch.equal(result, whole(speech))


@pytest.mark.parametrize("kind", ["pcm_u8", "pcm_s16le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_wav_files_of_every_number_type(tmp_path, kind):
    audio = murmur(1.5, 44100, 2)
    save(tmp_path / "a.wav", audio, 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-c:a", kind, tmp_path / "b.wav")
    file, memory = Speech.of(tmp_path / "b.wav"), Speech.of(Audio(audio, 44100))
    assert file.samples == memory.samples and file.seconds == memory.seconds == Fraction(3, 2)
    assert (whole(file) - whole(memory)).abs().max() < (0.02 if kind == "pcm_u8" else 1e-3)
    assert abs(file.level_db - memory.level_db) < 0.1


@pytest.mark.parametrize(
    "suffix, tolerance", [("mp3", 2e-4), ("ogg", 2e-4), ("m4a", 2e-4), ("flac", 1e-4), ("mp4", 2e-4)]
)
def test_compressed_files_and_videos_are_not_delayed(tmp_path, suffix, tolerance):
    save(tmp_path / "a.wav", clicking(12, 44100)[None], 44100)
    video = ["-f", "lavfi", "-i", "color=s=16x16:r=25:d=12"] if suffix == "mp4" else []
    ffmpeg("-i", tmp_path / "a.wav", *video, tmp_path / f"b.{suffix}")
    for source in (tmp_path / f"b.{suffix}", io.BytesIO((tmp_path / f"b.{suffix}").read_bytes())):
        speech = Speech.of(source)
        assert abs(speech.seconds - 12) < 0.03 and speech.samples == round(speech.seconds * SAMPLE_RATE)
        assert abs(lateness(whole(speech), SAMPLE_RATE)).max() < tolerance
    assert Speech.of(AudioFile.open(source)).samples == speech.samples


def test_whole_frames_cover_the_speech():
    ntsc = Fraction(30000, 1001)
    for count, fps, frames in [(16000, 25, 25), (16001, 25, 26), (3200, 25, 5), (1, 25, 1), (16000, ntsc, 30)]:
        assert Speech.of(Audio(torch.ones(1, count) / 9, SAMPLE_RATE)).frames(Fraction(fps)) == frames
    assert Speech.of(Audio(torch.ones(1, 1), 44100)).samples == 1


# --- loudness


def test_the_level_is_that_of_ffmpegs_ebur128(tmp_path):
    silence = torch.zeros(1, 4 * SAMPLE_RATE)
    for name, audio in [
        ("steady", murmur(5)),
        ("pauses", torch.cat([murmur(2), silence, 0.2 * murmur(2, seed=1), silence, murmur(3, seed=2)], 1)),
        ("hum", 0.05 * murmur(4) + 0.2 * torch.sin(torch.arange(4 * SAMPLE_RATE) * 2 * np.pi * 30 / SAMPLE_RATE)),
    ]:
        path = save(tmp_path / f"{name}.wav", audio, SAMPLE_RATE)
        report = ffmpeg("-i", path, "-af", "ebur128", "-f", "null", "-").stderr.rpartition("I:")[2]
        assert abs(Speech.of(path).level_db - float(report.split()[0])) < 0.15, name


def test_voices_come_at_one_loudness_and_pauses_stay_quiet():
    voice = torch.cat([murmur(3), 0.01 * murmur(2, seed=1), murmur(3, seed=2)], 1)
    loud, soft = (Speech.of(Audio(factor * voice, SAMPLE_RATE)) for factor in (1, 0.1))
    assert abs(loud.level_db - soft.level_db - 20) < 0.01
    assert torch.allclose(whole(loud, True), whole(soft, True), rtol=1e-4)
    assert torch.allclose(whole(loud, True) / loud.gain, voice[0], atol=1e-6)
    assert abs(Speech.of(Audio(whole(loud, True)[None], SAMPLE_RATE)).level_db - LEVEL_DB) < 0.01
    assert torch.equal(whole(soft), 0.1 * voice[0])


def test_silence_has_no_level_and_hiss_is_amplified_within_a_limit():
    for silence in (torch.zeros(2, 30000), torch.full((1, 2000), 1e-5), torch.zeros(1, 1)):
        speech = Speech.of(Audio(silence, 44100))
        assert speech.level_db is None and speech.gain == 1 and whole(speech, True).abs().max() < 1e-4
    hiss = Speech.of(Audio(murmur(2, level=0.001), SAMPLE_RATE))
    assert hiss.level_db < LEVEL_DB - MAX_GAIN_DB and hiss.gain == pytest.approx(10 ** (MAX_GAIN_DB / 20))


def test_clipped_audio_is_accepted():
    speech = Speech.of(Audio((20 * murmur(2)).clamp(-1, 1), SAMPLE_RATE))
    assert speech.gain < 1 and whole(speech, True).isfinite().all()


# --- refusals


def refused(source, *words):
    with pytest.raises(InputError) as error:
        Speech.of(source)
    text = str(error.value)
    assert text[-1] == "." and "\n" not in text and ";" in text and all(word in text for word in words), text


def test_unusable_audio_is_refused_in_one_sentence(tmp_path):
    audio = murmur(3, 44100, 2)
    for value in (float("nan"), float("inf")):
        broken = audio.clone()
        broken[1, 100000] = value
        refused(Audio(broken, 44100), "NaN", "replace")
    broken.T.numpy().astype("<f4").tofile(tmp_path / "raw")
    raw = ["-f", "f32le", "-ar", 44100, "-ac", 2]
    ffmpeg(*raw, "-i", tmp_path / "raw", "-c:a", "pcm_f32le", tmp_path / "inf.wav")
    refused(tmp_path / "inf.wav", "export")
    refused(Audio(torch.zeros(2, 0), 44100), "empty")
    for shape, rate in [((1, 5), 0), ((1, 5), -44100), ((5,), 44100), ((0, 5), 44100)]:
        with pytest.raises(InputError, match="not possible"):
            Audio(torch.zeros(shape), rate)


def test_files_without_audio_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "words.txt").write_text("words, not sounds. " * 99)
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(tmp_path / "empty.wav", "empty.wav", "wav")
    refused(tmp_path / "words.txt", "words.txt", "wav")
    refused(tmp_path / "noise.wav", "noise.wav", "wav")
    refused(tmp_path / "none.wav", "none.wav", "check the path")
    refused(tmp_path, "folder")
    refused(save(tmp_path / "header.wav", torch.zeros(1, 0), SAMPLE_RATE), "header.wav", "no audio")
    video = write_black(tmp_path / "silent.mp4", 1, None)
    refused(video, "silent.mp4", "no audio")
    refused(io.BytesIO(video.read_bytes()), "no audio")


def test_truncated_audio_is_used_up_to_the_damage(tmp_path):
    save(tmp_path / "a.wav", murmur(5, 44100), 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-f", "ogg", "-c:a", "flac", tmp_path / "a.ogg")
    data = bytearray((tmp_path / "a.ogg").read_bytes())
    (tmp_path / "half.ogg").write_bytes(data[: len(data) // 2])
    assert 1 < Speech.of(tmp_path / "half.ogg").seconds < 4


def test_reading_can_be_cancelled():
    with host.use(host.Host(device="cpu")) as _, pytest.raises(Cancelled):
        host.current().cancel()
        Speech.of(Audio(murmur(2), SAMPLE_RATE))
