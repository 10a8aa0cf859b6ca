"""Pictures, clips and sound in every shape users have, exact rates, and files that are whole or absent."""

import io
import struct
import subprocess
import zlib
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from mimaface.mimaface_core import host
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.media import (
    Audio,
    Clip,
    VideoWriter,
    exact_rate,
    read_audio,
    read_picture,
    synthetic_metadata,
)

NTSC = Fraction(30000, 1001)


def ffmpeg(*arguments):
    program = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([program, "-v", "error", "-y", *map(str, arguments)], check=True, stdin=subprocess.DEVNULL)


def noise(count, height=24, width=32, seed=0):
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.integers(0, 256, (height, width, 3), np.uint8)) for _ in range(count)]


def greys(count, height=24, width=32):
    """Frames that say which one they are: frame i is all 8·i."""
    return [torch.full((height, width, 3), 8 * i, dtype=torch.uint8) for i in range(count)]


def numbers(clip):
    return [round(frame.float().mean().item() / 8) for frame in clip]


def write(path, frames, fps=25, format="mp4", **more):
    with VideoWriter(path, fps, format, **more) as film:
        for frame in frames:
            film.write(frame)
    return film.path


def chirp(sample_rate, seconds, channels=1):
    time = torch.arange(round(sample_rate * seconds)) / sample_rate
    return Audio((0.4 * torch.sin(2 * np.pi * 300 * time * (1 + time))).repeat(channels, 1), sample_rate)


def one_sentence(error, *words):
    text = str(error.value)
    assert text[-1] == "." and "\n" not in text and ";" in text, text
    assert all(word in text for word in words), text


# --- rates


@pytest.mark.parametrize(
    "given, exact",
    [
        (29.97, NTSC),
        (23.976, Fraction(24000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (25, 25),
        (25.0, 25),
        (12.5, Fraction(25, 2)),
        (NTSC, NTSC),
        (Fraction(30001, 1000), Fraction(30001, 1000)),
    ],
)
def test_decimal_rates_become_the_exact_ones_that_are_meant(given, exact):
    assert exact_rate(given) == exact


@pytest.mark.parametrize("given", [0, -25, float("nan"), float("inf")])
def test_impossible_rates_are_refused(given):
    with pytest.raises(InputError, match="above zero"):
        exact_rate(given)


# --- pictures


def png16(values):
    """PNG bytes of uint16 [H, W] or [H, W, C], which Pillow cannot write itself."""
    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.size // (height * width)]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_colour_picture_is_read_exactly(tmp_path):
    pixels = noise(1)[0]
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png")
    assert picture.dtype == torch.float32 and torch.equal(picture, pixels.float() / 255)


@pytest.mark.parametrize("mode, value", [("L", 51), ("1", 1), ("P", 51), ("LA", (51, 255)), ("F", 0.2)])
def test_grey_and_palette_pictures_get_three_channels(tmp_path, mode, value):
    Image.new(mode, (4, 3), value).save(tmp_path / "a.tiff")
    picture = read_picture(tmp_path / "a.tiff")
    assert picture.shape == (3, 4, 3)
    if mode == "P":
        assert torch.allclose(
            picture, torch.from_numpy(np.array(Image.new("P", (4, 3), 51).convert("RGB"))) / 255
        )
    else:
        assert torch.allclose(picture, torch.tensor(1.0 if mode == "1" else 0.2))


def test_transparency_goes_on_white(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert torch.equal(read_picture(tmp_path / "clear.png"), torch.ones(2, 2, 3))
    Image.new("RGBA", (2, 2), (255, 0, 0, 51)).save(tmp_path / "half.png")
    assert torch.allclose(
        read_picture(tmp_path / "half.png")[0, 0], torch.tensor([1, 0.8, 0.8]), atol=1 / 255
    )
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert torch.equal(read_picture(tmp_path / "palette.png"), torch.ones(2, 2, 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_pictures_keep_their_brightness(tmp_path, channels):
    values = np.full((3, 5, channels), 40000, np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(png16(values[..., 0] if channels == 1 else values))
    picture = read_picture(tmp_path / "a.png")
    assert picture.shape == (3, 5, 3)
    assert torch.allclose(picture, torch.tensor(40000 / 65535), atol=1 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    picture = Image.new("RGB", (8, 16), "black")
    picture.paste("white", (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    read = read_picture(tmp_path / "a.png")
    # the stored top left corner is meant to be seen there
    rows = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
    columns = {1: "left", 2: "right", 3: "right", 4: "left", 5: "left", 6: "right", 7: "right", 8: "left"}
    assert read.shape == ((16, 8, 3) if orientation < 5 else (8, 16, 3))
    row = 0 if rows[orientation] == "top" else -1
    column = 0 if columns[orientation] == "left" else -1
    assert read[row, column, 0] == 1 and read.mean() == 0.125


def test_cmyk_pictures_come_out_in_their_colours(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    red = read_picture(tmp_path / "red.jpg").mean((0, 1))
    assert red[0] > 0.9 and red[1:].max() < 0.1


def test_an_unusable_colour_profile_is_only_a_warning(tmp_path, caplog):
    wrong = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", icc_profile=wrong)
    assert read_picture(tmp_path / "red.jpg").mean((0, 1))[0] > 0.9
    assert "profile" in caplog.text


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert torch.equal(read_picture(tmp_path / "a.gif")[0, 0], torch.tensor([1.0, 0, 0]))


def test_a_24_megapixel_photograph_and_bytes_are_read(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (6000, 4000), (255, 0, 0)).save(file, "JPEG")
    picture = read_picture(file)
    assert picture.shape == (4000, 6000, 3) and picture[0, 0, 0] > 0.98


def test_pictures_that_cannot_be_read_are_refused_in_a_sentence(tmp_path):
    with pytest.raises(InputError) as error:
        read_picture(tmp_path / "none.png")
    one_sentence(error, "none.png", "check the path")
    with pytest.raises(InputError) as error:
        read_picture(tmp_path)
    one_sentence(error, "folder")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError) as error:
        read_picture(tmp_path / "text.png")
    one_sentence(error, "text.png", "JPEG")
    file = io.BytesIO()
    Image.fromarray(noise(1, 64, 64)[0].numpy()).save(file, "PNG")
    (tmp_path / "cut.png").write_bytes(file.getvalue()[:2000])
    with pytest.raises(InputError) as error:
        read_picture(tmp_path / "cut.png")
    one_sentence(error, "cut.png", "damaged")


def test_a_picture_with_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.new("L", (30, 30)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError) as error:
        read_picture(tmp_path / "a.png")
    one_sentence(error, "a.png", "scale it down")


# --- clips


@pytest.mark.parametrize("size", [(24, 32), (33, 47), (1, 1)])
def test_the_lossless_format_is_bit_exact(tmp_path, size):
    frames, sound = noise(5, *size), chirp(44100, 1, 2)
    path = write(tmp_path / "a", frames, NTSC, "lossless", audio=sound)
    clip = Clip.open(path)
    assert (clip.height, clip.width, clip.fps, clip.frames, clip.has_audio) == (*size, NTSC, 5, True)
    assert all(torch.equal(*pair) for pair in zip(frames, clip, strict=True))
    assert all(frame.dtype == torch.uint8 for frame in clip)
    kept = read_audio(path)
    assert torch.equal(kept.waveform, sound.waveform[:, : round(5 / NTSC * 44100)])


@pytest.mark.parametrize("fps", [25, NTSC, Fraction(24000, 1001), 60, Fraction(25, 2)])
@pytest.mark.parametrize("format", ["mp4", "webm", "lossless"])
def test_rates_stay_exact_and_no_frame_is_lost_or_doubled(tmp_path, fps, format):
    clip = Clip.open(write(tmp_path / "a", greys(31), fps, format, audio=chirp(16000, 3)))
    assert clip.fps == fps and clip.frames == 31
    assert numbers(clip) == list(range(31))


@pytest.mark.parametrize("format", ["mp4", "webm", "gif"])
def test_colours_survive_in_every_format(tmp_path, format):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (128, 128, 128), (255, 255, 255), (0, 0, 0)]
    for colour in colours:
        pixels = torch.tensor(colour, dtype=torch.uint8).expand(24, 32, 3)
        read = next(iter(Clip.open(write(tmp_path / "a", [pixels], 25, format))))
        assert (read.float() - pixels.float()).abs().mean((0, 1)).max() <= 3, colour


def test_an_odd_sized_clip_is_padded_for_mp4_only(tmp_path):
    ramp = torch.arange(47, dtype=torch.uint8).mul(5)[None, :, None].expand(33, 47, 3)
    clip = Clip.open(write(tmp_path / "a.mp4", [ramp] * 2))
    assert (clip.height, clip.width) == (34, 48)
    frame = next(iter(clip)).float()
    assert (frame[:33, :47] - ramp.float()).abs().mean() < 3 and (frame[:, 47] - 230).abs().max() < 12
    again = Clip.open(write(tmp_path / "b.webm", [ramp] * 2, format="webm"))
    assert (again.height, again.width) == (33, 47)


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "lossless"])
def test_a_clip_of_one_frame(tmp_path, format):
    clip = Clip.open(write(tmp_path / "a", greys(1), 25, format))
    assert clip.frames == 1 and len(list(clip)) == 1


def test_a_clip_iterates_anew_each_time_from_bytes_too(tmp_path):
    path = write(tmp_path / "a.mp4", greys(6), audio=chirp(16000, 1))
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        clip = Clip.open(source)
        first, second = iter(clip), iter(clip)
        next(first)
        assert numbers(second) == list(range(6)) and numbers(first) == list(range(1, 6))
        assert read_audio(source).sample_rate == 16000


@pytest.mark.parametrize(
    "turn",
    [["-display_rotation", 90], ["-display_rotation", 180], ["-display_rotation", 270]]
    + [["-display_hflip"], ["-display_vflip"], ["-display_rotation", 90, "-display_hflip"]],
)
def test_the_rotation_in_the_file_is_applied(tmp_path, turn):
    corner = torch.zeros(24, 32, 3, dtype=torch.uint8)
    corner[:8, :8] = 255
    write(tmp_path / "a.mp4", [corner] * 2)
    ffmpeg(*turn, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    ffmpeg("-i", tmp_path / "turned.mp4", "-c:v", "libx264rgb", "-qp", 0, tmp_path / "upright.mov")
    clip, upright = Clip.open(tmp_path / "turned.mp4"), Clip.open(tmp_path / "upright.mov")
    assert (clip.width, clip.height) == (upright.width, upright.height)
    for ours, theirs in zip(clip, upright, strict=True):
        assert ours.shape == (clip.height, clip.width, 3)
        assert (ours.float() - theirs.float()).abs().mean() < 3


def timed(path, times, base=Fraction(1, 600)):
    """Writes greys whose frame i is shown at times[i] ticks of `base`."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=30, options={"qp": "0", "bf": "0"})
        track.width, track.height, track.pix_fmt = 32, 24, "yuv444p"
        track.codec_context.time_base = base
        for frame, time in zip(greys(len(times)), times, strict=True):
            picture = av.VideoFrame.from_ndarray(frame.numpy(), format="rgb24")
            picture.pts, picture.time_base = time, base
            container.mux(track.encode(picture))
        container.mux(track.encode(None))
    return path


def test_a_variable_rate_becomes_constant_with_every_frame_at_its_time(tmp_path):
    # two seconds, each dense in its first half, sparse in its second and with a pause at its end
    times = [second * 600 + tick for second in (0, 1) for tick in [*range(0, 300, 30), 340, 400, 460]]
    clip = Clip.open(timed(tmp_path / "a.mp4", times))
    frames = numbers(clip)
    assert abs(len(frames) - clip.frames) <= 1
    assert 0 < len(frames) / clip.fps - Fraction(times[-1], 600) < Fraction(1, 5)
    for tick, number in enumerate(frames):
        now = tick / clip.fps
        # the picture shown is the latest one that has begun, give or take half a frame
        begun = [i for i, time in enumerate(times) if Fraction(time, 600) <= now + Fraction(1, 2) / clip.fps]
        assert number in begun[-2:], (tick, number, begun[-3:])


def test_jitter_around_a_constant_rate_neither_drops_nor_doubles(tmp_path):
    clip = Clip.open(timed(tmp_path / "a.mp4", [20 * i + (3 if i % 3 == 1 else 0) for i in range(31)]))
    assert abs(float(clip.fps) - 30) < 0.5
    assert numbers(clip) == list(range(31))


def test_a_jump_of_the_clock_does_not_fill_the_disk(tmp_path):
    times = [20 * i for i in range(10)] + [600 * 3600 + 20 * i for i in range(10)]
    assert len(list(Clip.open(timed(tmp_path / "a.mp4", times)))) <= 21


# --- clips that are damaged or none


def test_a_missing_clip_a_folder_and_a_text_are_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("this is no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\ntext.mp4\n")
    names = {"none.mp4": "check the path", "text.mp4": "mp4", "empty.mp4": "mp4", "list.m3u8": "mp4"}
    for name, remedy in names.items():
        for open_it in (Clip.open, read_audio):
            with pytest.raises(InputError) as error:
                open_it(tmp_path / name)
            one_sentence(error, name, remedy)
    with pytest.raises(InputError) as error:
        Clip.open(tmp_path)
    one_sentence(error, "folder")
    with pytest.raises(InputError) as error:
        Clip.open(io.BytesIO(b"this is no video"))
    one_sentence(error, "The video")


def test_sound_alone_is_no_clip(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "a.wav")
    with pytest.raises(InputError) as error:
        Clip.open(tmp_path / "a.wav")
    one_sentence(error, "a.wav", "no video")


def test_a_song_with_a_cover_is_no_clip_but_has_sound(tmp_path):
    Image.new("RGB", (16, 16), "red").save(tmp_path / "cover.png")
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", tmp_path / "a.m4a")
    cover = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic"]
    ffmpeg("-i", tmp_path / "a.m4a", "-i", tmp_path / "cover.png", *cover, tmp_path / "song.m4a")
    with pytest.raises(InputError, match="no video"):
        Clip.open(tmp_path / "song.m4a")
    assert read_audio(tmp_path / "song.m4a").waveform.abs().max() > 0.05


def test_an_mp4_cut_before_its_index_is_refused(tmp_path):
    path = write(tmp_path / "whole.mp4", noise(8))
    ffmpeg("-i", path, "-c", "copy", tmp_path / "cut.mp4")  # the index is at the end
    data = (tmp_path / "cut.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 6 // 10])
    with pytest.raises(InputError) as error:
        Clip.open(tmp_path / "cut.mp4")
    one_sentence(error, "cut.mp4", "damaged")


def test_a_corrupt_mp4_is_refused(tmp_path):
    data = bytearray(write(tmp_path / "a.mp4", noise(8)).read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = bytes((i * 37 + 11) % 256 for i in range(len(data) - begin))
    (tmp_path / "corrupt.mp4").write_bytes(data)
    with pytest.raises(InputError) as error:
        Clip.open(tmp_path / "corrupt.mp4")
    one_sentence(error, "corrupt.mp4", "damaged")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_of_a_truncated_clip_the_frames_before_the_damage_are_kept(tmp_path, caplog, suffix):
    write(tmp_path / "whole.mp4", noise(20, 48, 64))  # the index is at the front
    whole = tmp_path / "whole.mp4"
    if suffix == ".mkv":
        ffmpeg("-i", whole, "-c", "copy", tmp_path / "whole.mkv")
        whole = tmp_path / "whole.mkv"
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    before = list(Clip.open(whole))
    assert not caplog.text
    after = list(Clip.open(path))
    assert 5 <= len(after) < 20 and path.name in caplog.text and "damaged" in caplog.text
    # the last one or two may be held for pictures that were stored later
    assert all(torch.equal(*pair) for pair in zip(before[: len(after) - 3], after, strict=False))


def test_a_whole_clip_gives_no_warning(tmp_path, caplog):
    for format in ("mp4", "webm", "gif", "lossless"):
        list(Clip.open(write(tmp_path / "a", greys(9), 25, format, audio=chirp(16000, 2))))
    assert not caplog.text


# --- sound


def test_a_video_without_audio_has_none(tmp_path):
    path = write(tmp_path / "a.mp4", greys(3))
    assert not Clip.open(path).has_audio and read_audio(path) is None


@pytest.mark.parametrize("sample_rate, channels", [(44100, 2), (48000, 1), (16000, 1)])
@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_sound_is_muxed_to_the_sample_and_cut_with_the_video(tmp_path, format, sample_rate, channels):
    sound = chirp(sample_rate, 3, channels)
    read = read_audio(write(tmp_path / "a", greys(31), NTSC, format, audio=sound))
    assert read.waveform.dtype == torch.float32 and read.waveform.shape[0] == channels
    assert abs(read.waveform.shape[1] - 31 / NTSC * read.sample_rate) <= 2
    if read.sample_rate == sample_rate:
        length = read.waveform.shape[1]
        spectra = [torch.fft.rfft(wave[0, :length], 2 * length) for wave in (sound.waveform, read.waveform)]
        assert torch.fft.irfft(spectra[0].conj() * spectra[1]).argmax() == 0
    else:
        assert read.sample_rate == 48000  # the only rate of the codec


def test_sound_shorter_than_the_video_stays_as_it_is(tmp_path):
    path = write(tmp_path / "a", greys(31), 25, "lossless", audio=chirp(16000, 0.5))
    assert read_audio(path).waveform.shape == (1, 8000) and len(list(Clip.open(path))) == 31
    silent = write(tmp_path / "b.mp4", greys(3), audio=Audio(torch.zeros(1, 0), 16000))
    assert read_audio(silent) is None


def test_wav_files_are_read_exactly(tmp_path):
    samples = (chirp(16000, 0.2).waveform[0] * 32767).round().numpy().astype("<i2")
    (tmp_path / "raw").write_bytes(samples.tobytes())
    ffmpeg("-f", "s16le", "-ar", 16000, "-ac", 1, "-i", tmp_path / "raw", tmp_path / "a.wav")
    sound = read_audio(tmp_path / "a.wav")
    assert sound.sample_rate == 16000
    assert torch.equal(sound.waveform[0], torch.from_numpy(samples).float() / 32768)


@pytest.mark.parametrize("offset", [0.2, -0.2])
def test_sound_that_starts_beside_the_video_is_put_in_its_place(tmp_path, offset):
    write(tmp_path / "a.mp4", greys(25))
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.8:r=16000", tmp_path / "a.wav")
    shifts = ["-itsoffset", max(-offset, 0)], ["-itsoffset", max(offset, 0)]
    inputs = [*shifts[0], "-i", tmp_path / "a.mp4", *shifts[1], "-i", tmp_path / "a.wav"]
    ffmpeg(*inputs, "-c:v", "copy", "-c:a", "pcm_s16le", "-copyts", tmp_path / "both.mkv")
    waveform = read_audio(tmp_path / "both.mkv").waveform
    assert abs(waveform.shape[1] - round((0.8 + offset) * 16000)) <= 16
    assert bool((waveform[:, :3000] == 0).all()) == (offset > 0)


# --- finished files


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_png_is_one_file_or_a_folder_of_numbered_ones(tmp_path):
    frames = noise(3)
    one = write(tmp_path / "one", frames[:1], 25, "png")
    assert one == tmp_path / "one.png" and torch.equal(read_picture(one), frames[0].float() / 255)
    many = write(tmp_path / "many.png", frames, 25, "png")
    assert many == tmp_path / "many"
    assert leftovers(many) == ["many_00001.png", "many_00002.png", "many_00003.png"]
    assert torch.equal(read_picture(many / "many_00003.png"), frames[2].float() / 255)
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
