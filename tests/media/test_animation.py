"""Animated WebP images as videos: every frame, at the exact rate that its durations mean."""

import io
from fractions import Fraction

import pytest
import torch
from PIL import Image
from support.films import noise

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import Frames
from mimaface.nodes.comfyui.standin.video import VideoFromFile


def animated(path, pixels, milliseconds):
    images = [Image.fromarray(each.numpy()) for each in pixels]
    images[0].save(
        path, save_all=True, append_images=images[1:], duration=milliseconds, lossless=True, minimize_size=False
    )
    return path


@pytest.mark.parametrize(
    "milliseconds, fps",
    [(125, 8), (40, 25), ([33, 33, 34] * 2, 30), ([42, 41, 42, 42, 41, 42], 24), (33, Fraction(1000, 33)), (0, 10)],
)
def test_an_animated_webp_is_a_video(tmp_path, milliseconds, fps):
    pixels = torch.stack(noise(6, 24, 32))
    frames = Frames.open(animated(tmp_path / "a.webp", pixels, milliseconds))
    assert (frames.count, frames.fps, frames.size) == (6, fps, (32, 24))
    for _ in range(2):
        assert torch.equal(torch.stack(list(frames)), pixels)
    assert torch.equal(torch.stack(list(Frames.of_video(io.BytesIO((tmp_path / "a.webp").read_bytes())))), pixels)


def test_a_long_frame_is_repeated(tmp_path):
    pixels = torch.stack(noise(4, 24, 32))
    frames = Frames.open(animated(tmp_path / "a.webp", pixels, [100, 100, 300, 100]))
    read = torch.stack(list(frames))
    assert frames.fps == Fraction(20, 3) and frames.count == 4
    assert torch.equal(read, pixels[[0, 2, 2, 3]])


def test_a_webp_of_one_frame_is_a_still(tmp_path):
    pixels = torch.stack(noise(1, 24, 32))
    assert Frames.open(animated(tmp_path / "a.webp", pixels, 40)).count == 1


def test_a_damaged_animation_ends_at_its_last_good_frame_or_is_refused(tmp_path, caplog):
    pixels = torch.stack(noise(6, 24, 32))
    data = bytearray(animated(tmp_path / "a.webp", pixels, 40).read_bytes())
    at = [i for i in range(len(data)) if data[i : i + 4] == b"VP8L"][3]
    data[at + 20 : at + 200] = bytes(180)
    (tmp_path / "a.webp").write_bytes(data)
    assert torch.equal(torch.stack(list(Frames.open(tmp_path / "a.webp"))), pixels[:3])
    assert "damaged after 3 frames" in caplog.text
    (tmp_path / "a.webp").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.webp"):
        list(Frames.open(tmp_path / "a.webp"))


def test_load_video_takes_an_animated_webp_and_saves_it_as_mp4(tmp_path):
    video = VideoFromFile(animated(tmp_path / "a.webp", torch.stack(noise(6, 24, 32)), 40))
    parts = video.get_components()
    assert video.get_dimensions() == (32, 24) and parts.images.shape == (6, 24, 32, 3) and parts.audio is None
    video.save_to(tmp_path / "a.mp4")
    assert Frames.open(tmp_path / "a.mp4").count == 6
