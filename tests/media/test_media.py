"""Videos and audio of every kind users have, and exact frame rates."""

import io
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image
from support.films import chirp, ffmpeg, greys, noise, one_sentence, write

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import Audio, Clip, exact_rate, read_audio
from mimaface.mimaface_core.media.read import _display_matrix

NTSC = Fraction(30000, 1001)


def numbers(clip):
    return [round(frame.float().mean().item() / 8) for frame in clip]


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
def test_decimal_rates_become_exact_ones(given, exact):
    assert exact_rate(given) == exact


@pytest.mark.parametrize("given", [0, -25, float("nan"), float("inf")])
def test_impossible_rates_are_refused(given):
    with pytest.raises(InputError, match="above zero"):
        exact_rate(given)


# --- videos


@pytest.mark.parametrize("size", [(24, 32), (33, 47), (1, 1)])
def test_the_lossless_format_is_bit_exact(tmp_path, size):
    frames, sound = noise(5, *size), chirp(44100, 1, 2)
    path = write(tmp_path / "a", frames, NTSC, "lossless", audio=sound)
    clip = Clip.open(path)
    assert (clip.height, clip.width, clip.fps, clip.frames, clip.has_audio) == (*size, NTSC, 5, True)
    assert all(torch.equal(*pair) for pair in zip(frames, clip, strict=True))
    assert all(frame.dtype == torch.uint8 for frame in clip)
    stored = read_audio(path)
    assert torch.equal(stored.waveform, sound.waveform[:, : round(5 / NTSC * 44100)])


@pytest.mark.parametrize("fps", [25, NTSC, Fraction(24000, 1001), 60, Fraction(25, 2)])
@pytest.mark.parametrize("format", ["mp4", "webm", "lossless"])
def test_rates_are_exact_and_no_frame_is_lost_or_doubled(tmp_path, fps, format):
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


def test_odd_sizes_are_padded_for_mp4_only(tmp_path):
    ramp = torch.arange(47, dtype=torch.uint8).mul(5)[None, :, None].expand(33, 47, 3)
    clip = Clip.open(write(tmp_path / "a.mp4", [ramp] * 2))
    assert (clip.height, clip.width) == (34, 48)
    frame = next(iter(clip)).float()
    assert (frame[:33, :47] - ramp.float()).abs().mean() < 3 and (frame[:, 47] - 230).abs().max() < 12
    again = Clip.open(write(tmp_path / "b.webm", [ramp] * 2, format="webm"))
    assert (again.height, again.width) == (33, 47)


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "lossless"])
def test_a_video_of_one_frame(tmp_path, format):
    clip = Clip.open(write(tmp_path / "a", greys(1), 25, format))
    assert clip.frames == 1 and len(list(clip)) == 1


def test_each_iteration_starts_at_the_first_frame(tmp_path):
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


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_the_rotation_is_known_where_other_side_data_cannot_be_read(tmp_path, turn):
    write(tmp_path / "a.mp4", greys(2))
    ffmpeg("-display_rotation", turn, "-i", tmp_path / "a.mp4", "-c", "copy", tmp_path / "turned.mp4")
    with av.open(str(tmp_path / "turned.mp4")) as container:
        frame = next(container.decode(video=0))

    class Unknown:
        rotation = frame.rotation

        @property
        def side_data(self):
            raise ValueError("31 is not a valid Type")

    assert _display_matrix(Unknown())[:20] == _display_matrix(frame)[:20]


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
    # Two seconds, each dense in its first half, sparse in its second and with a pause at its end.
    times = [second * 600 + tick for second in (0, 1) for tick in [*range(0, 300, 30), 340, 400, 460]]
    clip = Clip.open(timed(tmp_path / "a.mp4", times))
    frames = numbers(clip)
    assert abs(len(frames) - clip.frames) <= 1
    assert 0 < len(frames) / clip.fps - Fraction(times[-1], 600) < Fraction(1, 5)
    for tick, number in enumerate(frames):
        now = tick / clip.fps
        # The frame shown is the latest one that has started, give or take half a frame.
        started = [i for i, time in enumerate(times) if Fraction(time, 600) <= now + Fraction(1, 2) / clip.fps]
        assert number in started[-2:], (tick, number, started[-3:])


def test_jitter_around_a_constant_rate_neither_drops_nor_doubles_frames(tmp_path):
    clip = Clip.open(timed(tmp_path / "a.mp4", [20 * i + (3 if i % 3 == 1 else 0) for i in range(31)]))
    assert abs(float(clip.fps) - 30) < 0.5
    assert numbers(clip) == list(range(31))


def test_a_jump_of_the_timestamps_is_not_filled_with_frames(tmp_path):
    times = [20 * i for i in range(10)] + [600 * 3600 + 20 * i for i in range(10)]
    assert len(list(Clip.open(timed(tmp_path / "a.mp4", times)))) <= 21


# --- files that are damaged or no video


def test_missing_files_folders_and_texts_are_refused(tmp_path):
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


def test_an_audio_file_is_no_video(tmp_path):
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", tmp_path / "a.wav")
    with pytest.raises(InputError) as error:
        Clip.open(tmp_path / "a.wav")
    one_sentence(error, "a.wav", "no video")


def test_a_song_with_a_cover_has_audio_and_no_video(tmp_path):
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
def test_the_frames_before_the_damage_of_a_truncated_video_are_read(tmp_path, caplog, suffix):
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
    # The decoder may hold the last one or two for frames that were stored later.
    assert all(torch.equal(*pair) for pair in zip(before[: len(after) - 3], after, strict=False))


def test_an_undamaged_video_gives_no_warning(tmp_path, caplog):
    for format in ("mp4", "webm", "gif", "lossless"):
        list(Clip.open(write(tmp_path / "a", greys(9), 25, format, audio=chirp(16000, 2))))
    assert not caplog.text


# --- audio


def test_a_video_without_audio_has_none(tmp_path):
    path = write(tmp_path / "a.mp4", greys(3))
    assert not Clip.open(path).has_audio and read_audio(path) is None


@pytest.mark.parametrize("sample_rate, channels", [(44100, 2), (48000, 1), (16000, 1)])
@pytest.mark.parametrize("format", ["mp4", "webm"])
def test_audio_is_muxed_to_the_sample_and_cut_with_the_video(tmp_path, format, sample_rate, channels):
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


def test_audio_shorter_than_the_video_is_not_changed(tmp_path):
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
def test_audio_that_starts_before_or_after_the_video_is_aligned(tmp_path, offset):
    write(tmp_path / "a.mp4", greys(25))
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.8:r=16000", tmp_path / "a.wav")
    shifts = ["-itsoffset", max(-offset, 0)], ["-itsoffset", max(offset, 0)]
    inputs = [*shifts[0], "-i", tmp_path / "a.mp4", *shifts[1], "-i", tmp_path / "a.wav"]
    ffmpeg(*inputs, "-c:v", "copy", "-c:a", "pcm_s16le", "-copyts", tmp_path / "both.mkv")
    waveform = read_audio(tmp_path / "both.mkv").waveform
    assert abs(waveform.shape[1] - round((0.8 + offset) * 16000)) <= 16
    assert bool((waveform[:, :3000] == 0).all()) == (offset > 0)
