"""Audio as devices write it: several tracks, many channels, damage, changing rates, playlists."""

import shutil
import socket
from fractions import Fraction

import pytest
import torch
from support.films import chirp, ffmpeg, greys, one_sentence, tracks, undecodable, write

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import AudioFile, Clip, read_audio


@pytest.mark.parametrize("marked, heard", [([0], False), ([1], True), ([], False), ([0, 1], False)])
def test_the_track_that_the_file_marks_as_default_is_used(tmp_path, marked, heard):
    waveform = read_audio(tracks(tmp_path / "a.mkv", *marked)).waveform
    assert bool(waveform.abs().max() > 0.05) == heard


def test_a_track_that_cannot_be_decoded_is_passed_over(tmp_path, caplog):
    path = undecodable(tracks(tmp_path / "a.mp4", 0))
    assert read_audio(path).waveform.abs().max() > 0.05 and not caplog.text


def test_where_no_track_can_be_decoded_the_sentence_names_the_codec(tmp_path):
    with pytest.raises(InputError) as error:
        read_audio(undecodable(tracks(tmp_path / "a.mp4", 0), 2))
    one_sentence(error, "a.mp4", "apac", "AAC")


@pytest.mark.parametrize("channels", [7, 8, 9, 16, 24])
@pytest.mark.parametrize("suffix", ["wav", "mka"])
def test_any_number_of_channels_is_heard(tmp_path, channels, suffix):
    sound = chirp(16000, 0.5, channels)
    (tmp_path / "raw").write_bytes(sound.waveform.t().contiguous().numpy().astype("<f4").tobytes())
    raw = ["-f", "f32le", "-ar", 16000, "-ac", channels, "-i", tmp_path / "raw"]
    ffmpeg(*raw, "-c:a", "pcm_f32le", tmp_path / f"a.{suffix}")
    file = AudioFile.open(tmp_path / f"a.{suffix}")
    heard = torch.cat(list(file.blocks()), dim=1)
    assert file.channels == len(heard) == (channels if channels < 8 else 1)
    assert (heard - sound.waveform[: len(heard)]).abs().max() < 1e-6


@pytest.mark.parametrize("codec", ["flac", "aac"])
def test_surround_in_planes_is_heard(tmp_path, codec):
    tone = "sine=d=0.5:r=16000,pan=7.1|" + "|".join(f"c{i}=c0" for i in range(8))
    ffmpeg("-f", "lavfi", "-i", tone, "-c:a", codec, tmp_path / "a.mka")
    waveform = read_audio(tmp_path / "a.mka").waveform
    assert waveform.shape[0] == 1 and abs(waveform.shape[1] - 8000) < 2048 and waveform.abs().max() > 0.05


def damaged(tmp_path, codec, suffix, where):
    """Four seconds of a tone with 600 bytes overwritten at a share of the file."""
    ffmpeg("-f", "lavfi", "-i", "sine=d=4:r=44100", "-b:a", "128k", "-c:a", codec, tmp_path / f"a{suffix}")
    whole = read_audio(tmp_path / f"a{suffix}")
    data = bytearray((tmp_path / f"a{suffix}").read_bytes())
    begin = int(len(data) * where)
    data[begin : begin + 600] = b"\x55" * 600
    (tmp_path / f"bad{suffix}").write_bytes(data)
    return whole, tmp_path / f"bad{suffix}"


@pytest.mark.parametrize("where", [0.3, 0.6])
@pytest.mark.parametrize("codec, suffix", [("libmp3lame", ".mp3"), ("aac", ".mp4"), ("aac", ".aac")])
def test_after_a_bad_packet_the_audio_goes_on_in_time(tmp_path, caplog, codec, suffix, where):
    whole, path = damaged(tmp_path, codec, suffix, where)
    read = read_audio(path)
    read_audio(path)  # a run reads a file several times
    assert caplog.text.count("WARNING") == 1 and path.name in caplog.text
    assert abs(read.waveform.shape[1] - whole.waveform.shape[1]) < 0.1 * 44100
    end = min(read.waveform.shape[1], whole.waveform.shape[1]) - 4410
    assert read.waveform[:, end - 4410 : end].abs().max() > 0.05


def test_a_rate_that_changes_within_the_file_becomes_the_first_one(tmp_path):
    with open(tmp_path / "a.aac", "wb") as joined:
        for rate, channels in ((44100, 1), (22050, 2), (44100, 1)):
            part = tmp_path / f"{rate}.aac"
            ffmpeg("-f", "lavfi", "-i", f"sine=d=1:r={rate}", "-ac", channels, "-c:a", "aac", part)
            with open(part, "rb") as file:
                shutil.copyfileobj(file, joined)
    read = read_audio(tmp_path / "a.aac")
    assert read.sample_rate == 44100 and read.waveform.shape[0] == 1
    assert abs(read.waveform.shape[1] / 44100 - 3) < 0.3
    assert all(second.abs().max() > 0.05 for second in read.waveform.split(44100, dim=1)[:3])


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{}\n",
        "ffconcat version 1.0\nfile '{}'\n",
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="dynamic"><BaseURL>{}</BaseURL></MPD>',
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nm=video 9 RTP/AVP 96\r\na={}\r\n",
    ],
)
@pytest.mark.parametrize("suffix", [".m3u8", ".mp4", ".sdp", ".mpd"])
def test_a_playlist_is_refused_before_what_it_names_is_opened(tmp_path, text, suffix):
    write(tmp_path / "short.mp4", greys(3))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)
        for named in ("short.mp4", f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"):
            path = tmp_path / f"list{suffix}"
            path.write_text(text.format(named))
            for open_it in (Clip.open, read_audio):
                with pytest.raises(InputError) as error:
                    open_it(path)
                one_sentence(error, "playlist", "names other files")
        with pytest.raises(TimeoutError):
            server.accept()


def test_audio_that_starts_later_stays_in_time_with_the_chosen_video(tmp_path):
    write(tmp_path / "a.mp4", greys(25))
    tone = ["-itsoffset", 0.4, "-f", "lavfi", "-i", "sine=d=0.5:r=16000"]
    ffmpeg("-i", tmp_path / "a.mp4", *tone, "-c:v", "copy", "-c:a", "pcm_s16le", "-copyts", tmp_path / "b.mkv")
    file = AudioFile.open(tmp_path / "b.mkv")
    waveform = torch.cat(list(file.blocks()), dim=1)[0]
    assert abs(Fraction(int(waveform.abs().gt(0.01).nonzero()[0]), 16000) - Fraction(2, 5)) < Fraction(1, 100)
