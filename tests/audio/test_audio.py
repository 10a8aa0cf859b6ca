"""Audio of any length: in finished videos, between nodes, and in constant memory."""

from fractions import Fraction

import pytest
import torch
from support.recordings import (
    clicking,
    counts_memory,
    ffmpeg,
    lateness,
    murmur,
    peak_memory,
    restart_peak_memory,
    save,
    whole,
    write_black,
)

from mimaface.headless.builtin_nodes import LoadAudio
from mimaface.headless.execute import run_graph
from mimaface.headless.graph import GraphNode
from mimaface.headless.node_classes import node_classes
from mimaface.mimaface_core.audio.mel import mel_stream
from mimaface.mimaface_core.audio.speech import SAMPLE_RATE, Speech
from mimaface.mimaface_core.media import Audio, AudioFile, Clip, read_audio
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.nodes.streams import audio_of

# --- in finished videos


@pytest.mark.parametrize("rate, channels", [(44100, 2), (8000, 6)])
def test_lossless_audio_is_equal_sample_by_sample(tmp_path, rate, channels):
    audio = Audio(murmur(3.7, rate, channels).double(), rate)
    stored = read_audio(write_black(tmp_path / "a", 3, audio, "lossless", Fraction(30000, 1001)))
    assert torch.equal(stored.waveform, audio.waveform[:, : round(90 * 1001 * rate / 30000)].float())
    file = AudioFile.open(save(tmp_path / "a.wav", audio.waveform, rate))
    assert (file.sample_rate, file.channels) == (rate, channels)
    stored = read_audio(write_black(tmp_path / "b", 5, file, "lossless"))
    assert torch.equal(stored.waveform, read_audio(file.source).waveform)


def test_values_that_are_no_numbers_become_silence(tmp_path):
    audio = murmur(1)
    audio[0, 5000] = float("nan")
    stored = read_audio(write_black(tmp_path / "a", 1, Audio(audio, SAMPLE_RATE), "lossless"))
    assert torch.equal(stored.waveform, audio.nan_to_num(0))


@pytest.mark.long
def test_after_ten_minutes_audio_and_video_are_still_in_time(tmp_path):
    save(tmp_path / "a.wav", clicking(601.37, 44100)[None], 44100)
    ffmpeg("-i", tmp_path / "a.wav", "-b:a", "64k", tmp_path / "a.mp3")
    speech = Speech.of(tmp_path / "a.mp3")
    assert speech.samples == round(601.37 * SAMPLE_RATE) and speech.seconds == Fraction(60137, 100)
    late = lateness(whole(speech), SAMPLE_RATE)
    assert len(late) == 60 and abs(late).max() < 1e-4 and abs(late[0] - late[-1]) < 2e-5
    fps = Fraction(5000, 1001)  # as odd as NTSC, with fewer frames
    for format, source in (("mp4", "a.mp3"), ("lossless", "a.wav")):
        video = write_black(tmp_path / format, 600, AudioFile.open(tmp_path / source), format, fps)
        clip, audio = Clip.open(video), AudioFile.open(video)
        assert clip.frames == 2997 and clip.fps == fps
        waveform = torch.cat([block[0] for block in audio.blocks()])
        assert len(waveform) == round(2997 / fps * 44100)
        late = lateness(waveform, 44100)
        assert len(late) == 60 and abs(late).max() < 1e-4 and abs(late[0] - late[-1]) < 2e-5


@counts_memory
def test_memory_does_not_grow_with_the_length(tmp_path):
    for name, seconds in (("short", 2), ("long", 300)):
        save(tmp_path / f"{name}.wav", murmur(2, 44100, 2).repeat(1, seconds // 2), 44100)

    def use(audio, format):
        sum(map(len, mel_stream(Speech.of(audio))))
        write_black(tmp_path / "a", Speech.of(audio).frames(1), audio, format, 1)

    use(AudioFile.open(tmp_path / "short.wav"), "lossless")
    before = restart_peak_memory()
    use(AudioFile.open(tmp_path / "long.wav"), "lossless")
    assert peak_memory() - before < 12  # MiB; the audio is 101 as floats
    memory = read_audio(tmp_path / "long.wav")
    before = restart_peak_memory()
    use(memory, "lossless")
    assert peak_memory() - before < 12


# --- between nodes


def test_loaded_audio_is_an_audio_value_and_stays_in_its_file(tmp_path):
    path = save(tmp_path / "a.wav", murmur(2, 44100, 2), 44100)
    audio = LoadAudio.execute(str(path))[0]
    assert isinstance(audio, dict) and audio_of(audio).source == str(path)
    memory = read_audio(path)
    for same in (audio, dict(audio), {**audio}, dict(audio.items())):
        assert same["sample_rate"] == 44100 and torch.equal(same["waveform"], memory.waveform[None])
    assert "waveform" in audio and audio.get("no such") is None and len(audio) == 2
    for given in (dict(audio), {"waveform": memory.waveform[None].double(), "sample_rate": 44100.0}):
        assert torch.equal(whole(Speech.of(audio_of(given))), whole(Speech.of(path)))
    assert audio_of(None) is None


def test_a_graph_carries_audio_from_file_to_file(tmp_path, monkeypatch):
    save(tmp_path / "voice.wav", clicking(15, 44100).repeat(2, 1), 44100)
    write_black(tmp_path / "face.mp4", 12, None)
    write_black(tmp_path / "talk.mp4", 13, AudioFile.open(tmp_path / "voice.wav"))
    monkeypatch.setattr("mimaface.mimaface_core.media.audio.read_audio", None)  # would load all of it
    graph = {
        "a": GraphNode("a", "LoadVideo", "a", {"file": str(tmp_path / "face.mp4")}),
        "b": GraphNode("b", "LoadAudio", "b", {"audio": str(tmp_path / "voice.wav")}),
        "c": GraphNode("c", "LoadVideo", "c", {"file": str(tmp_path / "talk.mp4")}),
    }
    for key, more in (("d", {"audio": ["b", 0]}), ("e", {"sound_of": ["c", 0]})):
        inputs = {"frames": ["a", 0], "filename_prefix": key, "format": "mp4", "fps": 0.0, **more}
        graph[key] = GraphNode(key, "MIMAFaceCombineVideo", key, inputs)
    for video in run_graph(graph, node_classes(), TerminalHost(outputs=tmp_path / "out", device="cpu")):
        audio = torch.cat([block[0] for block in AudioFile.open(video).blocks()])
        assert len(audio) == 12 * 44100 and abs(lateness(audio, 44100)).max() < 1e-4
