"""Video as devices write it: pixels that are not square, damage, changing sizes, high dynamic range, odd notes."""

import av
import pytest
from support.films import chirp, ffmpeg, greys, noise, one_sentence, write

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import Clip, read_audio
from mimaface.nodes.comfyui.standin.video import VideoFromFile


@pytest.mark.parametrize("aspect, size", [("16/9", (64, 36)), ("1/2", (36, 72)), ("15/16", (36, 38)), ("1", (36, 36))])
def test_frames_are_spread_to_square_pixels(tmp_path, aspect, size):
    write(tmp_path / "a.mp4", noise(3, 36, 36))
    squeezed = ["-vf", f"setsar={aspect}", "-c:v", "libx264", "-qp", 0]
    ffmpeg("-i", tmp_path / "a.mp4", *squeezed, tmp_path / "b.mp4")
    clip = Clip.open(tmp_path / "b.mp4")
    assert (clip.width, clip.height) == size
    assert all(frame.shape == (size[1], size[0], 3) for frame in clip)
    ffmpeg("-display_rotation", 90, "-i", tmp_path / "b.mp4", "-c", "copy", tmp_path / "turned.mp4")
    clip = Clip.open(tmp_path / "turned.mp4")
    assert (clip.height, clip.width) == size and next(iter(clip)).shape == (size[0], size[1], 3)


def test_an_impossible_pixel_shape_is_ignored(tmp_path):
    write(tmp_path / "a.mp4", greys(3))
    ffmpeg("-i", tmp_path / "a.mp4", "-vf", "setsar=1/250", "-c:v", "libx264", tmp_path / "b.mp4")
    assert next(iter(Clip.open(tmp_path / "b.mp4"))).shape == (24, 32, 3)


def without(path, *numbers):
    """Overwrites the packets with these numbers."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        begin, size = places[number]
        data[begin : begin + size] = b"\xff" * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bad", [(10,), (5, 6, 7), (18, 19)])
def test_after_a_bad_packet_the_video_goes_on_in_time(tmp_path, caplog, bad):
    frames = greys(20, 48, 64)
    write(tmp_path / "a.mp4", frames, audio=chirp(16000, 1))
    single = ["-c:v", "libx264", "-g", 1, "-qp", 8, "-bf", 0, "-c:a", "copy"]
    ffmpeg("-i", tmp_path / "a.mp4", *single, tmp_path / "b.mp4")
    read = [round(frame.float().mean().item() / 8) for frame in Clip.open(without(tmp_path / "b.mp4", *bad))]
    assert caplog.text.count("is damaged in") == 1
    assert read == [i if i not in bad else bad[0] - 1 for i in range(20)]
    assert abs(read_audio(tmp_path / "b.mp4").waveform.shape[1] / 16000 - 0.8) < 0.01


def test_a_size_that_changes_within_the_file_becomes_the_first_one(tmp_path):
    write(tmp_path / "a.mp4", greys(8, 48, 64))
    for name, size in (("a", "64:48"), ("b", "32:40")):
        coded = ["-vf", f"scale={size},setsar=1", "-c:v", "libx264", "-f", "mpegts"]
        ffmpeg("-i", tmp_path / "a.mp4", *coded, tmp_path / f"{name}.ts")
    (tmp_path / "c.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    frames = list(Clip.open(tmp_path / "c.ts"))
    assert 14 <= len(frames) <= 17 and all(frame.shape == (48, 64, 3) for frame in frames)


@pytest.mark.parametrize("transfer, white", [("smpte2084", 0.581), ("arib-std-b67", 0.75)])
def test_high_dynamic_range_becomes_a_plain_picture(tmp_path, transfer, white):
    means = []
    for share in (0.0, 0.5, 1.0, 1.25):
        code = round(64 + 876 * min(1, white * share))
        plain = f"nullsrc=s=32x24:d=0.2:r=10,format=yuv420p10le,lutyuv=y={code}:u=512:v=512"
        tags = f"setparams=color_primaries=bt2020:color_trc={transfer}:colorspace=bt2020nc:range=tv"
        ffmpeg("-f", "lavfi", "-i", f"{plain},{tags}", "-c:v", "libx264", "-qp", 1, tmp_path / "a.mp4")
        frame = next(iter(Clip.open(tmp_path / "a.mp4"))).float()
        assert frame.amax(-1).sub(frame.amin(-1)).max() <= 2  # grey stays grey
        means.append(frame.mean().item())
    assert means[0] < 2 and 30 < means[1] < 140 and 210 < means[2] < 235 and means[2] < means[3] <= 255


def test_a_video_that_cannot_be_decoded_is_refused_by_its_codec(tmp_path):
    path = write(tmp_path / "a.mp4", greys(3))
    path.write_bytes(path.read_bytes().replace(b"avc1\0\0", b"zzzz\0\0"))
    with pytest.raises(InputError) as error:
        Clip.open(path)
    one_sentence(error, "a.mp4", "zzzz", "H.264")


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_notes_that_are_no_utf_8_are_replaced_when_a_video_is_saved(tmp_path, suffix):
    write(tmp_path / "a.mp4", greys(3), metadata={"comment": "abcdefgh"}, audio=chirp(16000, 1))
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-movflags", "use_metadata_tags", tmp_path / f"b{suffix}")
    data = (tmp_path / f"b{suffix}").read_bytes()
    data = data.replace(b"abcdefgh", b"abc\xff\xfeefg").replace(b"VideoHandler", b"Vide\xff\xffandler")
    (tmp_path / f"b{suffix}").write_bytes(data)
    VideoFromFile(tmp_path / f"b{suffix}").save_to(tmp_path / "c.mp4")
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert "abc" in container.metadata["comment"] and "�" in container.metadata["comment"]
        for metadata in (container.metadata, *(stream.metadata for stream in container.streams)):
            "".join([*metadata, *metadata.values()]).encode()  # a surrogate would be refused
    assert len(list(Clip.open(tmp_path / "c.mp4"))) == 3
