"""Finished clips and pictures: what is in them, what is left when they fail, and how much memory they take."""

from pathlib import Path

import av
import pytest
import torch
from PIL import Image
from support.films import chirp, greys, noise, one_sentence, write

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.media import Clip, VideoWriter, read_image, synthetic_metadata


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_png_is_one_file_or_a_folder_of_numbered_ones(tmp_path):
    frames = noise(3)
    one = write(tmp_path / "one", frames[:1], 25, "png")
    assert one == tmp_path / "one.png" and torch.equal(read_image(one), frames[0].float() / 255)
    many = write(tmp_path / "many.png", frames, 25, "png")
    assert many == tmp_path / "many"
    assert leftovers(many) == ["many_00001.png", "many_00002.png", "many_00003.png"]
    assert torch.equal(read_image(many / "many_00003.png"), frames[2].float() / 255)
    with pytest.raises(InputError, match="exists already"):
        write(tmp_path / "many.png", frames, 25, "png")
    assert leftovers(tmp_path) == ["many", "one.png"] and len(leftovers(many)) == 3


def test_every_format_says_that_the_face_is_synthetic(tmp_path):
    said = synthetic_metadata()
    assert said["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    notes = {**said, "prompt": {"1": "a=b;c#d\\e\nf"}}
    for format in ("mp4", "webm", "gif", "lossless"):
        path = write(tmp_path / "a", greys(2), 25, format, metadata=notes, audio=chirp(16000, 1))
        with av.open(str(path)) as container:
            found = {key.lower(): value for key, value in container.metadata.items()}
        if format == "gif":
            assert all(f"{key}: {value}" in found["comment"] for key, value in said.items())
        else:
            assert found["comment"] == said["comment"]
            assert found["digitalsourcetype"] == said["digitalSourceType"]
            assert found["prompt"] == '{"1": "a=b;c#d\\\\e\\nf"}'
        assert len(list(Clip.open(path))) == 2
        if format == "mp4":
            assert b"<Iptc4xmpExt:DigitalSourceType>" in path.read_bytes()
    picture = Image.open(write(tmp_path / "a", greys(1), 25, "png", metadata=notes))
    assert picture.text["comment"] == said["comment"]
    assert picture.text["digitalSourceType"] == said["digitalSourceType"]
    assert said["digitalSourceType"] in picture.text["XML:com.adobe.xmp"]


def test_an_mp4_is_made_for_every_player(tmp_path):
    path = write(tmp_path / "a.mp4", noise(3))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.colorspace) == ("h264", "yuv420p", 6)


def test_metadata_longer_than_a_command_line(tmp_path):
    text = "x" * 300_000
    with av.open(str(write(tmp_path / "a.mp4", greys(2), metadata={"workflow": text}))) as container:
        assert container.metadata["workflow"] == text


@pytest.mark.parametrize("format", ["mp4", "gif", "png"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_frame(tmp_path, format):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError) as error:
        write(tmp_path / "file" / "below" / "a", greys(1), 25, format)
    one_sentence(error, "a.", "choose another folder")
    assert leftovers(tmp_path) == ["file"]


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "png", "lossless"])
def test_cancelled_in_the_middle_nothing_is_left(tmp_path, format):
    with pytest.raises(Cancelled), VideoWriter(tmp_path / "a", 25, format, audio=chirp(16000, 1)) as film:
        for frame in noise(5):
            film.write(frame)
        raise Cancelled
    assert leftovers(tmp_path) == []


def test_what_was_there_before_stays_when_a_new_one_is_cancelled(tmp_path):
    path = write(tmp_path / "a.mp4", greys(3))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 25) as film:
        film.write(greys(1)[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and leftovers(tmp_path) == ["a.mp4"]
    write(path, greys(5))
    assert len(list(Clip.open(path))) == 5 and leftovers(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_cancelled_while_finishing_nothing_is_left(tmp_path, format):
    plain = host.Host(device="cpu")
    with host.use(plain), pytest.raises(Cancelled), VideoWriter(tmp_path / "a", 25, format) as film:
        for frame in noise(3):
            film.write(frame)
        plain.cancel()
    assert leftovers(tmp_path) == []


def test_an_encoder_that_fails_ends_in_a_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError) as error:
        write(tmp_path / "a.mp4", noise(200, 64, 64), crf=-5000)
    one_sentence(error, "a.mp4")
    assert leftovers(tmp_path) == []


def test_a_folder_in_the_way_of_the_final_name_ends_in_a_sentence(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(InputError) as error:
        write(tmp_path / "a.mp4", greys(2))
    one_sentence(error, "a.mp4")
    assert leftovers(tmp_path) == ["a.mp4"]


def test_no_frames_and_unknown_formats_are_refused(tmp_path):
    with pytest.raises(InputError) as error:
        write(tmp_path / "a.mp4", [])
    one_sentence(error, "a.mp4", "at least one frame")
    with pytest.raises(InputError) as error:
        VideoWriter(tmp_path / "a", 25, "avi")
    one_sentence(error, "avi", "webm")
    assert leftovers(tmp_path) == []


def test_frames_of_another_kind_are_a_mistake_of_the_caller(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as film:
        film.write(greys(1)[0])
        for wrong in (torch.zeros(24, 32, 3), torch.zeros(24, 32, 4, dtype=torch.uint8), noise(1, 8, 8)[0]):
            with pytest.raises(ValueError, match="frame"):
                film.write(wrong)
    assert film.frames == 1


# --- length


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use as Linux tells it")
@pytest.mark.parametrize("format", ["mp4", "lossless"])
def test_memory_does_not_grow_with_the_length(tmp_path, format):
    def memory():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    def peak(count):
        frames, seen = greys(8, 128, 128), []
        with VideoWriter(tmp_path / str(count), 25, format) as film:
            for i in range(count):
                film.write(frames[i % 8])
                seen += [memory()] if i % 20 == 0 else []
        for i, _ in enumerate(Clip.open(film.path), 1):
            seen += [memory()] if i % 20 == 0 else []
        assert i == count
        return max(seen)

    short = peak(100)
    assert peak(2000) - short < 10  # MiB; the pixels alone are 94
