"""Voices of every kind: heard alike, streamed in constant memory, and still in time after ten minutes."""

import io
import subprocess
import wave
from fractions import Fraction
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from support.parity import stored

from mimaface.headless.builtin_nodes import LoadAudio
from mimaface.headless.execute import run_graph
from mimaface.headless.graph import GraphNode
from mimaface.headless.node_classes import node_classes
from mimaface.mimaface_core import host
from mimaface.mimaface_core.audio.mel import HOP, MELS, mel_spectrogram, mel_stream
from mimaface.mimaface_core.audio.speech import LEVEL_DB, MAX_GAIN_DB, SAMPLE_RATE, Speech
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.media import Audio, AudioFile, Clip, VideoWriter, read_audio
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.nodes.streams import audio_of

CLICKS = 10  # seconds from one to the next, the first at half a second


def ffmpeg(*arguments, **more):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    more = {"stdin": subprocess.DEVNULL, **more}
    return subprocess.run([program, "-y", *map(str, arguments)], check=True, capture_output=True, text=True, **more)


def murmur(seconds, rate=SAMPLE_RATE, channels=1, level=0.1, seed=0):
    """Noise in syllables, as loud in every channel; [C, T]."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate)
    loud = np.clip(np.sin(np.arange(count) * 6 * np.pi / rate), 0, 1)
    sound = level * loud * random.standard_normal(count)
    return torch.from_numpy(np.repeat(sound[None].clip(-1, 1), channels, 0)).float()


def clicking(seconds, rate):
    """A short burst every `CLICKS` seconds; [T]."""
    sound, burst = np.zeros(round(seconds * rate), np.float32), round(0.004 * rate)
    for start in np.arange(0.5, seconds - 1, CLICKS):
        time = np.arange(burst) / rate
        first = round(start * rate)
        sound[first : first + burst] = 0.8 * np.sin(12566 * time) * np.hanning(burst)
    return torch.from_numpy(sound)


def lateness(sound, rate):
    """By how many seconds each click of `clicking` comes late in a sound [T]."""
    late = []
    for start in np.arange(0.5, len(sound) / rate - 1, CLICKS):
        first = round((start - 0.05) * rate)
        power = sound[first : first + round(0.1 * rate)].numpy().astype(float) ** 2
        centre = (power * np.arange(len(power))).sum() / power.sum()
        late.append((first + centre) / rate - start - 0.002)
    return np.array(late)


def save(path, sound, rate):
    """A 16-bit wav file of sound [C, T]."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(sound))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((sound.T * 32767).round().clamp(-32768, 32767).numpy().astype("<i2").tobytes())
    return path


def heard(speech, normalised=False):
    return torch.cat(list(speech.blocks(normalised)))


def black(path, seconds, audio, format="mp4", fps=25):
    frame = torch.zeros(16, 16, 3, dtype=torch.uint8)
    with VideoWriter(path, fps, format, audio=audio) as film:
        for _ in range(round(seconds * fps)):
            film.write(frame)
    return film.path


def peak():
    """The most memory this process has held, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def restart_peak():
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


counts_memory = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads the memory in use as Linux tells it"
)


# --- what is heard


@pytest.mark.parametrize("rate, channels", [(8000, 1), (11025, 2), (16000, 6), (44100, 2), (48000, 1), (96000, 6)])
@pytest.mark.parametrize("seconds", [0.2, 3.3337])
def test_any_rate_and_channels_give_the_same_sound_to_the_sample(rate, channels, seconds):
    time = torch.arange(round(seconds * rate)) / rate
    tone = 0.3 * torch.sin(2 * np.pi * 440 * time)
    sound = tone.repeat(channels, 1) * torch.linspace(0.5, 1.5, channels)[:, None] if channels > 1 else tone[None]
    speech = Speech.of(Audio(sound, rate))
    assert speech.seconds == Fraction(len(tone), rate)
    result = heard(speech)
    assert len(result) == speech.samples == round(Fraction(len(tone), rate) * SAMPLE_RATE)
    wanted = 0.3 * torch.sin(2 * np.pi * 440 * torch.arange(len(result)) / SAMPLE_RATE)
    assert (result - wanted)[200:-200].abs().max() < 0.003
    assert result.dtype == torch.float32 and torch.equal(result, heard(speech))


@pytest.mark.parametrize("kind", ["pcm_u8", "pcm_s16le", "pcm_s32le", "pcm_f32le", "pcm_f64le"])
def test_wav_files_of_every_number_type(tmp_path, kind):
    sound = murmur(1.5, 44100, 2)
    save(tmp_path / "a.wav", sound, 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-c:a", kind, tmp_path / "b.wav")
    file, memory = Speech.of(tmp_path / "b.wav"), Speech.of(Audio(sound, 44100))
    assert file.samples == memory.samples and file.seconds == memory.seconds == Fraction(3, 2)
    assert (heard(file) - heard(memory)).abs().max() < (0.02 if kind == "pcm_u8" else 1e-3)
    assert abs(file.level_db - memory.level_db) < 0.1


@pytest.mark.parametrize(
    "suffix, tolerance", [("mp3", 2e-4), ("ogg", 2e-4), ("m4a", 2e-4), ("flac", 1e-4), ("mp4", 2e-4)]
)
def test_compressed_files_and_the_sound_of_videos_keep_their_time(tmp_path, suffix, tolerance):
    save(tmp_path / "a.wav", clicking(12, 44100)[None], 44100)
    picture = ["-f", "lavfi", "-i", "color=s=16x16:r=25:d=12"] if suffix == "mp4" else []
    ffmpeg("-i", tmp_path / "a.wav", *picture, tmp_path / f"b.{suffix}")
    for source in (tmp_path / f"b.{suffix}", io.BytesIO((tmp_path / f"b.{suffix}").read_bytes())):
        speech = Speech.of(source)
        assert abs(speech.seconds - 12) < 0.03 and speech.samples == round(speech.seconds * SAMPLE_RATE)
        assert abs(lateness(heard(speech), SAMPLE_RATE)).max() < tolerance
    assert Speech.of(AudioFile.open(source)).samples == speech.samples


def test_a_voice_is_covered_by_whole_frames():
    for count, fps, frames in [(16000, 25, 25), (16001, 25, 26), (3200, 25, 5), (1, 25, 1), (16000, Fraction(30000, 1001), 30)]:  # fmt: skip
        assert Speech.of(Audio(torch.ones(1, count) / 9, SAMPLE_RATE)).frames(Fraction(fps)) == frames
    assert Speech.of(Audio(torch.ones(1, 1), 44100)).samples == 1


# --- loudness


def test_the_level_is_the_one_that_broadcasters_measure(tmp_path):
    silence = torch.zeros(1, 4 * SAMPLE_RATE)
    for name, sound in [
        ("steady", murmur(5)),
        ("pauses", torch.cat([murmur(2), silence, 0.2 * murmur(2, seed=1), silence, murmur(3, seed=2)], 1)),
        ("hum", 0.05 * murmur(4) + 0.2 * torch.sin(torch.arange(4 * SAMPLE_RATE) * 2 * np.pi * 30 / SAMPLE_RATE)),
    ]:
        path = save(tmp_path / f"{name}.wav", sound, SAMPLE_RATE)
        said = ffmpeg("-i", path, "-af", "ebur128", "-f", "null", "-").stderr.rpartition("I:")[2]
        assert abs(Speech.of(path).level_db - float(said.split()[0])) < 0.15, name


def test_voices_come_at_one_loudness_and_pauses_stay_quiet():
    voice = torch.cat([murmur(3), 0.01 * murmur(2, seed=1), murmur(3, seed=2)], 1)
    loud, soft = (Speech.of(Audio(factor * voice, SAMPLE_RATE)) for factor in (1, 0.1))
    assert abs(loud.level_db - soft.level_db - 20) < 0.01
    assert torch.allclose(heard(loud, True), heard(soft, True), rtol=1e-4)
    assert torch.allclose(heard(loud, True) / loud.gain, voice[0], atol=1e-6)
    assert abs(Speech.of(Audio(heard(loud, True)[None], SAMPLE_RATE)).level_db - LEVEL_DB) < 0.01
    assert torch.equal(heard(soft), 0.1 * voice[0])


def test_silence_has_no_level_and_little_is_not_blown_up():
    for nothing in (torch.zeros(2, 30000), torch.full((1, 2000), 1e-5), torch.zeros(1, 1)):
        speech = Speech.of(Audio(nothing, 44100))
        assert speech.level_db is None and speech.gain == 1 and heard(speech, True).abs().max() < 1e-4
    hiss = Speech.of(Audio(murmur(2, level=0.001), SAMPLE_RATE))
    assert hiss.level_db < LEVEL_DB - MAX_GAIN_DB and hiss.gain == pytest.approx(10 ** (MAX_GAIN_DB / 20))


def test_clipped_sound_is_taken_as_it_is():
    speech = Speech.of(Audio((20 * murmur(2)).clamp(-1, 1), SAMPLE_RATE))
    assert speech.gain < 1 and heard(speech, True).isfinite().all()


# --- what cannot be used


def refused(source, *words):
    with pytest.raises(InputError) as error:
        Speech.of(source)
    text = str(error.value)
    assert text[-1] == "." and "\n" not in text and ";" in text and all(word in text for word in words), text


def test_sound_that_cannot_be_used_is_refused_in_a_sentence(tmp_path):
    sound = murmur(3, 44100, 2)
    for value in (float("nan"), float("inf")):
        broken = sound.clone()
        broken[1, 100000] = value
        refused(Audio(broken, 44100), "NaN", "replace")
    broken.T.numpy().astype("<f4").tofile(tmp_path / "raw")
    ffmpeg(
        "-f",
        "f32le",
        "-ar",
        44100,
        "-ac",
        2,
        "-i",
        tmp_path / "raw",
        "-c:a",
        "pcm_f32le",
        tmp_path / "inf.wav",
    )
    refused(tmp_path / "inf.wav", "export")
    refused(Audio(torch.zeros(2, 0), 44100), "empty")
    for shape, rate in [((1, 5), 0), ((1, 5), -44100), ((5,), 44100), ((0, 5), 44100)]:
        with pytest.raises(InputError, match="not possible"):
            Audio(torch.zeros(shape), rate)


def test_files_that_hold_no_sound_are_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "words.txt").write_text("words, not sounds. " * 99)
    (tmp_path / "noise.wav").write_bytes(np.random.default_rng(0).bytes(5000))
    refused(tmp_path / "empty.wav", "empty.wav", "wav")
    refused(tmp_path / "words.txt", "words.txt", "wav")
    refused(tmp_path / "noise.wav", "noise.wav", "wav")
    refused(tmp_path / "none.wav", "none.wav", "check the path")
    refused(tmp_path, "folder")
    refused(save(tmp_path / "header.wav", torch.zeros(1, 0), SAMPLE_RATE), "header.wav", "no sound")
    film = black(tmp_path / "silent.mp4", 1, None)
    refused(film, "silent.mp4", "no sound")
    refused(io.BytesIO(film.read_bytes()), "no sound")


def test_sound_that_breaks_off_is_used_as_far_as_it_goes(tmp_path, caplog):
    save(tmp_path / "a.wav", murmur(5, 44100), 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-f", "ogg", "-c:a", "flac", tmp_path / "a.ogg")
    data = bytearray((tmp_path / "a.ogg").read_bytes())
    (tmp_path / "half.ogg").write_bytes(data[: len(data) // 2])
    assert 1 < Speech.of(tmp_path / "half.ogg").seconds < 4


def test_a_user_can_stop_while_the_sound_is_heard():
    with host.use(host.Host(device="cpu")) as _, pytest.raises(Cancelled):
        host.current().cancel()
        Speech.of(Audio(murmur(2), SAMPLE_RATE))


# --- mel spectrogram


def test_the_mel_spectrogram_is_that_of_the_published_code():
    theirs = stored("sadtalker")
    ours = mel_spectrogram(theirs["mel.in"])
    assert ours.shape == theirs["mel.out"].shape == (MELS, 161)
    assert (ours - theirs["mel.out"]).abs().max() < 1e-4 * theirs["mel.out"].abs().mean()


def test_a_mel_frame_is_the_sound_around_its_sample_and_silence_is_the_floor():
    click = torch.zeros(SAMPLE_RATE)
    click[40 * HOP] = 1
    spectrum = mel_spectrogram(click)
    assert spectrum.shape == (MELS, 81) and spectrum.mean(0).argmax() == 40
    assert (spectrum[:, [37, 43]] == -4).all() and (mel_spectrogram(torch.zeros(799)) == -4).all()
    tones = [
        mel_spectrogram(torch.sin(torch.arange(SAMPLE_RATE) * 2 * np.pi * hz / SAMPLE_RATE))[:, 40]
        for hz in (200, 1000, 4000)
    ]
    bands = [int(tone.argmax()) for tone in tones]
    assert bands == sorted(bands) and bands[1] - bands[0] > 10 < bands[2] - bands[1]


@pytest.mark.parametrize("count", [1, 199, 200, 399, 401, 799, 800, 1000, 3 * SAMPLE_RATE, 3 * SAMPLE_RATE + 77])
def test_the_streamed_mel_is_the_whole_one(count):
    sound = murmur(4)[:, 5000 : 5000 + count] + 0.01
    speech = Speech.of(Audio(sound, SAMPLE_RATE))
    assert torch.allclose(torch.cat(list(mel_stream(speech, normalised=False))).T, mel_spectrogram(sound[0]), atol=1e-5)
    assert sum(map(len, mel_stream(speech))) == 1 + speech.samples // HOP

    class Crumbs(Speech):
        def blocks(self, normalised=True):
            for block in super().blocks(normalised):
                yield from block.split(333)

    crumbs = Crumbs(speech.sound, speech.seconds, speech.level_db)
    assert torch.allclose(torch.cat(list(mel_stream(crumbs))), mel_spectrogram(heard(speech, True)).T, atol=1e-5)


# --- sound in the finished file


@pytest.mark.parametrize("rate, channels", [(44100, 2), (8000, 6)])
def test_lossless_sound_is_the_given_one_sample_by_sample(tmp_path, rate, channels):
    sound = Audio(murmur(3.7, rate, channels).double(), rate)
    kept = read_audio(black(tmp_path / "a", 3, sound, "lossless", Fraction(30000, 1001)))
    assert torch.equal(kept.waveform, sound.waveform[:, : round(90 * 1001 * rate / 30000)].float())
    file = AudioFile.open(save(tmp_path / "a.wav", sound.waveform, rate))
    assert (file.sample_rate, file.channels) == (rate, channels)
    kept = read_audio(black(tmp_path / "b", 5, file, "lossless"))
    assert torch.equal(kept.waveform, read_audio(file.source).waveform)


def test_values_that_are_no_numbers_do_not_cost_the_finished_frames(tmp_path):
    sound = murmur(1)
    sound[0, 5000] = float("nan")
    kept = read_audio(black(tmp_path / "a", 1, Audio(sound, SAMPLE_RATE), "lossless"))
    assert torch.equal(kept.waveform, sound.nan_to_num(0))


def test_after_ten_minutes_sound_and_picture_are_still_together(tmp_path):
    save(tmp_path / "a.wav", clicking(601.37, 44100)[None], 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-b:a", "64k", tmp_path / "a.mp3")
    speech = Speech.of(tmp_path / "a.mp3")
    assert speech.samples == round(601.37 * SAMPLE_RATE) and speech.seconds == Fraction(60137, 100)
    late = lateness(heard(speech), SAMPLE_RATE)
    assert len(late) == 60 and abs(late).max() < 1e-4 and abs(late[0] - late[-1]) < 2e-5
    fps = Fraction(5000, 1001)  # as odd as NTSC, with fewer frames
    for format, source in (("mp4", "a.mp3"), ("lossless", "a.wav")):
        film = black(tmp_path / format, 600, AudioFile.open(tmp_path / source), format, fps)
        clip, sound = Clip.open(film), AudioFile.open(film)
        assert clip.frames == 2997 and clip.fps == fps
        waveform = torch.cat([block[0] for block in sound.blocks()])
        assert len(waveform) == round(2997 / fps * 44100)
        late = lateness(waveform, 44100)
        assert len(late) == 60 and abs(late).max() < 1e-4 and abs(late[0] - late[-1]) < 2e-5


@counts_memory
def test_memory_does_not_grow_with_the_length(tmp_path):
    for name, seconds in (("short", 2), ("long", 300)):
        save(tmp_path / f"{name}.wav", murmur(2, 44100, 2).repeat(1, seconds // 2), 44100)

    def use(sound, format):
        sum(map(len, mel_stream(Speech.of(sound))))
        black(tmp_path / "a", Speech.of(sound).frames(1), sound, format, 1)

    use(AudioFile.open(tmp_path / "short.wav"), "lossless")
    before = restart_peak()
    use(AudioFile.open(tmp_path / "long.wav"), "lossless")
    assert peak() - before < 12  # MiB; the sound is 101 as floats
    memory = read_audio(tmp_path / "long.wav")
    before = restart_peak()
    use(memory, "lossless")
    assert peak() - before < 12


# --- as nodes pass it on


def test_a_loaded_sound_is_audio_to_every_node_and_stays_in_its_file(tmp_path):
    path = save(tmp_path / "a.wav", murmur(2, 44100, 2), 44100)
    audio = LoadAudio.execute(str(path))[0]
    assert isinstance(audio, dict) and audio_of(audio).source == str(path)
    whole = read_audio(path)
    for same in (audio, dict(audio), {**audio}, dict(audio.items())):
        assert same["sample_rate"] == 44100 and torch.equal(same["waveform"], whole.waveform[None])
    assert "waveform" in audio and audio.get("no such") is None and len(audio) == 2
    for given in (dict(audio), {"waveform": whole.waveform[None].double(), "sample_rate": 44100.0}):
        assert torch.equal(heard(Speech.of(audio_of(given))), heard(Speech.of(path)))
    assert audio_of(None) is None


def test_a_graph_carries_sound_from_file_to_file(tmp_path, monkeypatch):
    save(tmp_path / "voice.wav", clicking(15, 44100).repeat(2, 1), 44100)
    black(tmp_path / "face.mp4", 12, None)
    black(tmp_path / "talk.mp4", 13, AudioFile.open(tmp_path / "voice.wav"))
    monkeypatch.setattr("mimaface.mimaface_core.media.audio.read_audio", None)  # all of it in memory
    graph = {
        "a": GraphNode("a", "LoadVideo", "a", {"file": str(tmp_path / "face.mp4")}),
        "b": GraphNode("b", "LoadAudio", "b", {"audio": str(tmp_path / "voice.wav")}),
        "c": GraphNode("c", "LoadVideo", "c", {"file": str(tmp_path / "talk.mp4")}),
    }
    for key, more in (("d", {"audio": ["b", 0]}), ("e", {"sound_of": ["c", 0]})):
        inputs = {"frames": ["a", 0], "filename_prefix": key, "format": "mp4", "fps": 0.0, **more}
        graph[key] = GraphNode(key, "MIMAFaceCombineVideo", key, inputs)
    for film in run_graph(graph, node_classes(), TerminalHost(outputs=tmp_path / "out", device="cpu")):
        sound = torch.cat([block[0] for block in AudioFile.open(film).blocks()])
        assert len(sound) == 12 * 44100 and abs(lateness(sound, 44100)).max() < 1e-4
