"""Images of every kind: colours, channels, orientation, and refusals."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from support.films import noise, one_sentence

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import read_image


def png16(values):
    """PNG bytes of uint16 [H, W] or [H, W, C], which Pillow cannot write itself."""
    height, width = values.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[values.size // (height * width)]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_a_colour_image_is_read_exactly(tmp_path):
    pixels = noise(1)[0]
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.dtype == torch.float32 and torch.equal(image, pixels.float() / 255)


@pytest.mark.parametrize("mode, value", [("L", 51), ("1", 1), ("P", 51), ("LA", (51, 255)), ("F", 0.2)])
def test_grey_and_palette_images_get_three_channels(tmp_path, mode, value):
    Image.new(mode, (4, 3), value).save(tmp_path / "a.tiff")
    image = read_image(tmp_path / "a.tiff")
    assert image.shape == (3, 4, 3)
    if mode == "P":
        assert torch.allclose(image, torch.from_numpy(np.array(Image.new("P", (4, 3), 51).convert("RGB"))) / 255)
    else:
        assert torch.allclose(image, torch.tensor(1.0 if mode == "1" else 0.2))


def test_transparency_goes_on_white(tmp_path):
    Image.new("RGBA", (2, 2), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert torch.equal(read_image(tmp_path / "clear.png"), torch.ones(2, 2, 3))
    Image.new("RGBA", (2, 2), (255, 0, 0, 51)).save(tmp_path / "half.png")
    assert torch.allclose(read_image(tmp_path / "half.png")[0, 0], torch.tensor([1, 0.8, 0.8]), atol=1 / 255)
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([10, 20, 30])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert torch.equal(read_image(tmp_path / "palette.png"), torch.ones(2, 2, 3))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bit_images_keep_their_brightness(tmp_path, channels):
    values = np.full((3, 5, channels), 40000, np.uint16)
    if channels in (2, 4):
        values[..., -1] = 65535
    (tmp_path / "a.png").write_bytes(png16(values[..., 0] if channels == 1 else values))
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 5, 3)
    assert torch.allclose(image, torch.tensor(40000 / 65535), atol=1 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    image = Image.new("RGB", (8, 16), "black")
    image.paste("white", (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    read = read_image(tmp_path / "a.png")
    # The place where the stored top left corner is displayed.
    rows = {1: "top", 2: "top", 3: "bottom", 4: "bottom", 5: "top", 6: "top", 7: "bottom", 8: "bottom"}
    columns = {1: "left", 2: "right", 3: "right", 4: "left", 5: "left", 6: "right", 7: "right", 8: "left"}
    assert read.shape == ((16, 8, 3) if orientation < 5 else (8, 16, 3))
    row = 0 if rows[orientation] == "top" else -1
    column = 0 if columns[orientation] == "left" else -1
    assert read[row, column, 0] == 1 and read.mean() == 0.125


def test_cmyk_images_keep_their_colours(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg")
    red = read_image(tmp_path / "red.jpg").mean((0, 1))
    assert red[0] > 0.9 and red[1:].max() < 0.1


def test_an_unusable_colour_profile_is_only_a_warning(tmp_path, caplog):
    wrong = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "red.jpg", icc_profile=wrong)
    assert read_image(tmp_path / "red.jpg").mean((0, 1))[0] > 0.9
    assert "profile" in caplog.text


def test_the_first_frame_of_an_animation_is_read(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert torch.equal(read_image(tmp_path / "a.gif")[0, 0], torch.tensor([1.0, 0, 0]))


def test_a_24_megapixel_image_is_read_from_bytes(tmp_path):
    file = io.BytesIO()
    Image.new("RGB", (6000, 4000), (255, 0, 0)).save(file, "JPEG")
    image = read_image(file)
    assert image.shape == (4000, 6000, 3) and image[0, 0, 0] > 0.98


def test_unreadable_images_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "none.png")
    one_sentence(error, "none.png", "check the path")
    with pytest.raises(InputError) as error:
        read_image(tmp_path)
    one_sentence(error, "folder")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "text.png")
    one_sentence(error, "text.png", "JPEG")
    file = io.BytesIO()
    Image.fromarray(noise(1, 64, 64)[0].numpy()).save(file, "PNG")
    (tmp_path / "cut.png").write_bytes(file.getvalue()[:2000])
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "cut.png")
    one_sentence(error, "cut.png", "damaged")


def test_an_image_with_too_many_pixels_is_refused(tmp_path, monkeypatch):
    Image.new("L", (30, 30)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "a.png")
    one_sentence(error, "a.png", "scale it down")


@pytest.mark.parametrize("kind", [TypeError, RuntimeError])
def test_whatever_the_decoder_raises_is_a_damaged_image(tmp_path, monkeypatch, kind):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")

    def decoder(*arguments):
        raise kind("function takes at most 3 arguments (4 given)")

    monkeypatch.setattr(Image, "_getdecoder", decoder)
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "a.png")
    one_sentence(error, "a.png", "damaged")
