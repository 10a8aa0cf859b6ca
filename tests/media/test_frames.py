"""Frames of videos, stills and batches: the same pixels in every iteration, of any source."""

from fractions import Fraction
from itertools import islice

import pytest
import torch
from PIL import Image
from support.films import greys, noise, one_sentence, write

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import Frames, read_image

NTSC = Fraction(30000, 1001)


def test_frames_of_a_video_are_its_pixels_in_every_iteration(tmp_path):
    pixels = torch.stack(noise(5, 24, 32))
    frames = Frames.open(write(tmp_path / "a", pixels, NTSC, "lossless"))
    assert (frames.count, frames.fps, frames.size) == (5, NTSC, (32, 24))
    for _ in range(2):
        assert torch.equal(torch.stack(list(frames)), pixels)
    first, second = iter(frames), iter(frames)
    next(first)
    assert torch.equal(next(second), pixels[0]) and torch.equal(next(first), pixels[1])


def test_an_image_file_is_one_frame(tmp_path):
    Image.fromarray(noise(1, 6, 4)[0].numpy()).save(tmp_path / "a.PNG")
    frames = Frames.open(str(tmp_path / "a.PNG"))
    assert (frames.count, frames.fps, frames.size) == (1, 25, (4, 6))
    assert torch.equal(torch.stack(list(frames))[0], read_image(tmp_path / "a.PNG"))


@pytest.mark.parametrize("name", ["none.mp4", "none.png", "text.png", "text.mov"])
def test_unreadable_files_are_refused(tmp_path, name):
    if name.startswith("text"):
        (tmp_path / name).write_text("neither image nor video")
    with pytest.raises(InputError) as error:
        Frames.open(tmp_path / name)
    one_sentence(error, name)


def test_batches_are_float_and_whole(tmp_path):
    pixels = torch.stack(greys(7))
    video = Frames.open(write(tmp_path / "a", pixels, 25, "lossless"))
    for frames in (video, Frames.of_batch(pixels.float() / 255), Frames.of_batch(pixels)):
        batches = list(frames.batches(3))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        assert torch.equal(torch.cat(batches), pixels.float() / 255)
    assert list(Frames([], 0, Fraction(25)).batches(3)) == [] and Frames([], 0, Fraction(25)).size == (0, 0)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_batch_is_read_image_by_image_without_a_copy(channels):
    endless = torch.rand(1, 8, 10, channels).requires_grad_().expand(10**12, -1, -1, -1)
    frames = Frames.of_batch(endless, 29.97)
    assert frames.fps == NTSC and frames.count == 10**12
    for frame in islice(frames, 3):
        assert frame.shape == (8, 10, 3) and frame.dtype == torch.float32 and not frame.requires_grad
        assert torch.equal(frame, endless[0, ..., :3].expand(-1, -1, 3))


@pytest.mark.parametrize("shape", [(8, 10, 3), (2, 3, 8, 10), (1, 2, 8, 10, 3)])
def test_another_shape_is_no_batch(shape):
    with pytest.raises(InputError, match="give an IMAGE"):
        Frames.of_batch(torch.zeros(shape))


def test_stills_end_before_an_unreadable_one(tmp_path, caplog):
    pixels = torch.stack(noise(3))
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for image, file in zip(pixels, files, strict=True):
        Image.fromarray(image.numpy()).save(file)
    frames = Frames.of_stills(files, NTSC)
    assert (frames.count, frames.fps) == (3, NTSC) and torch.equal(torch.stack(list(frames)), pixels)
    files[2].write_bytes(b"damaged")
    assert torch.equal(torch.stack(list(frames)), pixels[:2]) and "only the 2 frames" in caplog.text
    files[0].write_bytes(b"damaged")
    with pytest.raises(InputError):
        list(frames)


@pytest.mark.parametrize("fps, step", [(60, 2), (NTSC, 1), (25, 1), (10, 1), (62, 2), (63, 3)])
def test_thinned_frames_come_at_about_the_rate_asked_for(fps, step):
    pixels = torch.stack(greys(7))
    frames = Frames(pixels, 7, Fraction(fps)).thinned(25)
    assert frames.fps == Fraction(fps) / step and frames.count == len(pixels[::step])
    for _ in range(2):
        assert torch.equal(torch.stack(list(frames)), pixels[::step])
