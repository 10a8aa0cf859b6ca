"""Written videos and image sequences: metadata, failures without leftovers, and memory."""

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


def test_every_format_is_marked_as_synthetic(tmp_path):
    marks = synthetic_metadata()
    assert marks["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    notes = {**marks, "prompt": {"1": "a=b;c#d\\e\nf"}}
    for format in ("mp4", "webm", "gif", "lossless"):
        path = write(tmp_path / "a", greys(2), 25, format, metadata=notes, audio=chirp(16000, 1))
        with av.open(str(path)) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        if format == "gif":
            assert all(f"{key}: {value}" in tags["comment"] for key, value in marks.items())
        else:
            assert tags["comment"] == marks["comment"]
            assert tags["digitalsourcetype"] == marks["digitalSourceType"]
            assert tags["prompt"] == '{"1": "a=b;c#d\\\\e\\nf"}'
        assert len(list(Clip.open(path))) == 2
        if format == "mp4":
            assert b"<Iptc4xmpExt:DigitalSourceType>" in path.read_bytes()
    picture = Image.open(write(tmp_path / "a", greys(1), 25, "png", metadata=notes))
    assert picture.text["comment"] == marks["comment"]
    assert picture.text["digitalSourceType"] == marks["digitalSourceType"]
    assert marks["digitalSourceType"] in picture.text["XML:com.adobe.xmp"]


def test_an_mp4_is_h264_in_yuv420p_with_its_index_in_front(tmp_path):
    path = write(tmp_path / "a.mp4", noise(3))
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.name, codec.pix_fmt, codec.colorspace) == ("h264", "yuv420p", 6)


def test_metadata_may_be_longer_than_a_command_line(tmp_path):
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


@pytest.mark.parametrize("format", ["mp4", "png"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path, format):
    for count in (1, 2):
        path = write(tmp_path / f"{count}{240 * 'a'}", greys(count), 25, format)
        assert path.exists() and leftovers(tmp_path)[-1] == path.name


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "png", "lossless"])
def test_cancelled_between_frames_nothing_is_left(tmp_path, format):
    with pytest.raises(Cancelled), VideoWriter(tmp_path / "a", 25, format, audio=chirp(16000, 1)) as writer:
        for frame in noise(5):
            writer.write(frame)
        raise Cancelled
    assert leftovers(tmp_path) == []


def test_an_existing_file_stays_when_its_replacement_is_cancelled(tmp_path):
    path = write(tmp_path / "a.mp4", greys(3))
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), VideoWriter(path, 25) as writer:
        writer.write(greys(1)[0])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and leftovers(tmp_path) == ["a.mp4"]
    write(path, greys(5))
    assert len(list(Clip.open(path))) == 5 and leftovers(tmp_path) == ["a.mp4"]


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_cancelled_while_finishing_nothing_is_left(tmp_path, format):
    plain = host.Host(device="cpu")
    with host.use(plain), pytest.raises(Cancelled), VideoWriter(tmp_path / "a", 25, format) as writer:
        for frame in noise(3):
            writer.write(frame)
        plain.cancel()
    assert leftovers(tmp_path) == []


def test_a_failing_encoder_is_refused_in_one_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError) as error:
        write(tmp_path / "a.mp4", noise(200, 64, 64), crf=-5000)
    one_sentence(error, "a.mp4")
    assert leftovers(tmp_path) == []


def test_a_folder_under_the_final_name_is_refused_in_one_sentence(tmp_path):
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


def test_frames_of_another_type_or_size_raise_a_value_error(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        writer.write(greys(1)[0])
        for wrong in (torch.zeros(24, 32, 3), torch.zeros(24, 32, 4, dtype=torch.uint8), noise(1, 8, 8)[0]):
            with pytest.raises(ValueError, match="frame"):
                writer.write(wrong)
    assert writer.frames == 1


# --- length


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory in use from /proc")
@pytest.mark.parametrize("format", ["mp4", "lossless"])
def test_memory_does_not_grow_with_the_length(tmp_path, format):
    def memory():
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

    def peak(count):
        frames, use = greys(8, 128, 128), []
        with VideoWriter(tmp_path / str(count), 25, format) as writer:
            for i in range(count):
                writer.write(frames[i % 8])
                use += [memory()] if i % 20 == 0 else []
        for i, _ in enumerate(Clip.open(writer.path), 1):
            use += [memory()] if i % 20 == 0 else []
        assert i == count
        return max(use)

    short = peak(100)
    assert peak(2000) - short < 10  # MiB; the pixels alone are 94
