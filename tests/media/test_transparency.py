"""Transparency: read from a cut-out, kept in every format that can hold it, said where it is lost."""

import av
import numpy as np
import pytest
import torch
from av.codec.context import CodecContext
from PIL import Image
from support.films import chirp, write

from mimaface.mimaface_core.media import Frames, read_image
from mimaface.mimaface_core.media.image import read_cut_out
from mimaface.mimaface_core.tensors import off_white, on_white, to_float, to_uint8


def straight(count=6, height=48, width=64):
    """A blue disc with a soft edge, which moves to the right over nothing: float [N, H, W, 4], colours and alpha."""
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    frames = []
    for number in range(count):
        alpha = ((14 - ((x - 18 - 5 * number) ** 2 + (y - 24) ** 2).sqrt()) / 3 + 0.5).clamp(0, 1)[..., None]
        blue = torch.tensor([0.1, 0.2, 0.9]).expand(height, width, 3)
        frames.append(torch.cat([torch.where(alpha > 0, blue, torch.ones(3)), alpha], -1))
    return torch.stack(frames)


def stored(frames):
    """The frames as `VideoWriter` takes them."""
    return to_uint8(on_white(frames))


def apart(found, frames):
    """Mean difference of alpha, and of colour where something is seen, in steps of 255."""
    found, alpha = torch.as_tensor(np.asarray(found)).float(), frames[..., 3]
    colours = (found[..., :3] - 255 * frames[..., :3]).abs()[alpha > 0.9]
    return float((found[..., 3] - 255 * alpha).abs().mean()), float(colours.mean())


def test_laid_on_white_and_taken_off_again():
    frames = straight()
    assert torch.allclose(off_white(on_white(frames)), frames, atol=1e-5)
    assert torch.equal(on_white(frames)[..., :3][frames[..., 3] == 0].unique(), torch.ones(1))


def test_a_cut_out_is_read_with_its_alpha(tmp_path):
    pixels = straight(1)[0]
    Image.fromarray(to_uint8(pixels).numpy()).save(tmp_path / "a.png")
    cut_out = read_cut_out(tmp_path / "a.png")
    assert (cut_out - pixels).abs().max() < 0.003
    assert (on_white(cut_out)[..., :3] - read_image(tmp_path / "a.png")).abs().max() < 0.006
    kept = next(iter(Frames.open(tmp_path / "a.png", alpha=True)))
    assert torch.equal(kept, on_white(cut_out))
    assert next(iter(Frames.open(tmp_path / "a.png"))).shape == (48, 64, 3)


def test_an_opaque_image_has_no_alpha(tmp_path):
    pixels = to_uint8(straight(1)[0])
    pixels[..., 3] = 255
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., :3].numpy()).save(tmp_path / "a.jpg")
    assert read_cut_out(tmp_path / "a.png") is None and read_cut_out(tmp_path / "a.jpg") is None


def test_png_keeps_it(tmp_path):
    frames = straight(2)
    folder = write(tmp_path / "a.png", stored(frames), 25, "png")
    for file, frame in zip(sorted(folder.iterdir()), frames, strict=True):
        image = Image.open(file)
        assert image.mode == "RGBA" and max(apart(image, frame)) < 1


@pytest.mark.parametrize("audio", [None, chirp(16000, 1)])
def test_webm_keeps_it_with_and_without_audio(tmp_path, audio):
    frames = straight()
    path = write(tmp_path / "a.webm", stored(frames), 25, "webm", audio=audio)
    decoder = CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as container:
        found = [
            frame for packet in container.demux(video=0) for frame in decoder.decode(packet if packet.size else None)
        ]
    assert len(found) == len(frames)
    for image, frame in zip(found, frames, strict=True):
        assert image.format.name == "yuva420p"
        alpha, colour = apart(image.to_ndarray(format="rgba"), frame)
        assert alpha < 4 and colour < 12


def test_gif_keeps_it_and_leaves_no_trail(tmp_path):
    frames = straight()
    path = write(tmp_path / "a.gif", stored(frames), 25, "gif")
    with Image.open(path) as image:
        assert image.n_frames == len(frames)
        for number, frame in enumerate(frames):
            image.seek(number)
            found = np.asarray(image.convert("RGBA"))[..., 3] > 127
            assert (found != (frame[..., 3].numpy() > 0.5)).mean() < 0.01


def test_mp4_shows_the_image_on_white_and_says_so_once(tmp_path, caplog):
    frames = straight()
    path = write(tmp_path / "a.mp4", stored(frames), 25, "mp4")
    assert caplog.text.count("transparency") == 1
    for shown, frame in zip(Frames.open(path), on_white(frames), strict=True):
        assert (to_float(shown) - frame[..., :3]).abs().mean() < 0.03


def test_between_nodes_it_keeps_every_bit(tmp_path):
    frames = stored(straight())
    path = write(tmp_path / "a.mov", frames, 25, "lossless")
    assert torch.equal(torch.stack(list(Frames.of_video(path, alpha=True))), frames)
    assert torch.equal(torch.stack(list(Frames.of_video(path))), frames[..., :3])
