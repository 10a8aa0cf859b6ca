"""Images as cameras and tools store them: profiles, masks in the alpha channel, HEIC and AVIF, sizes."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features
from support.films import noise, one_sentence
from support.profiles import RGB_SPACES, grey_profile, rgb_profile

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media import read_image
from mimaface.mimaface_core.media.image import LARGEST_MEGAPIXELS, read_transparency
from mimaface.mimaface_core.media.marks.report import name_marks


def colours():
    """Muted colours, which every colour space has, as RGB."""
    steps = np.linspace(70, 180, 24).round().astype(np.uint8)
    red, green = np.meshgrid(steps, steps)
    return Image.fromarray(np.stack([red, green, red[::-1, ::-1]], -1).repeat(4, 0).repeat(4, 1))


def stored(image, profile):
    """The image's colours as values of another colour space."""
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.profileToProfile(image, ImageCms.createProfile("sRGB"), target, 1, image.mode)


def levels_apart(image, other):
    return (image - torch.from_numpy(np.array(other.convert("RGB"))) / 255).abs().mean() * 255


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
@pytest.mark.parametrize("space", RGB_SPACES)
def test_colours_are_those_of_the_embedded_profile(tmp_path, space, suffix):
    profile, file = rgb_profile(space), tmp_path / f"a{suffix}"
    image = stored(colours(), profile)
    image.save(file, icc_profile=profile, quality=100)
    assert levels_apart(read_image(file), image) > 3
    assert levels_apart(read_image(file), colours()) < 2


def exif(space, index=None):
    """EXIF that states a colour space, and an interoperability index."""
    written = Image.Exif()
    written.get_ifd(0x8769)[0xA001] = space
    if index:
        written.get_ifd(0x8769)[0xA005] = {1: index}
    return written


@pytest.mark.parametrize(
    ("name", "said", "adobe"),
    [
        ("a.jpg", exif(0xFFFF, "R03"), True),
        ("_DSC1.jpg", exif(0xFFFF), True),
        ("_DSC1.jpg", exif(0xFFFF, "R98"), False),
        ("DSC1.jpg", exif(0xFFFF), False),
        ("_DSC1.jpg", exif(1), False),
    ],
)
def test_adobe_rgb_is_known_by_what_cameras_write_without_a_profile(tmp_path, name, said, adobe):
    image = Image.fromarray(np.array(stored(colours(), rgb_profile("adobe rgb"))))  # without its profile
    image.save(tmp_path / name, exif=said, quality=100)
    assert levels_apart(read_image(tmp_path / name), colours() if adobe else image) < 2


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
@pytest.mark.parametrize(("primaries", "transfer", "converted"), [(12, 13, True), (12, 16, False), (1, 13, False)])
def test_display_p3_is_known_by_the_nclx_of_an_avif(tmp_path, primaries, transfer, converted):
    image = Image.fromarray(np.array(stored(colours(), rgb_profile("display p3"))))  # without its profile
    image.save(tmp_path / "a.avif", quality=100)
    data = (tmp_path / "a.avif").read_bytes()
    at = data.index(b"colrnclx") + 8
    named = data[:at] + primaries.to_bytes(2, "big") + transfer.to_bytes(2, "big") + data[at + 4 :]
    (tmp_path / "a.avif").write_bytes(named)
    found = read_image(tmp_path / "a.avif")
    assert levels_apart(found, colours() if converted else image) < 3
    assert levels_apart(found, image if converted else colours()) > 2


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "I;16"])
def test_a_profile_counts_in_every_mode(tmp_path, mode):
    grey, deep = mode in ("L", "LA", "I;16"), mode == "I;16"
    profile = grey_profile(1.0) if grey else rgb_profile("prophoto")
    ramp = Image.fromarray(np.linspace(60, 250, 64).round().astype(np.uint8)[None].repeat(8, 0))
    image = ramp if grey else stored(colours(), profile)
    if deep:
        image = Image.fromarray(np.asarray(ramp).astype(np.uint16) * 257)
    else:
        image = image.quantize(256) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "a.png", icc_profile=profile)
    read = read_image(tmp_path / "a.png")
    if grey:
        light = torch.from_numpy(np.array(ramp)).double()[..., None] / 255
        curved = torch.where(light > 0.0031308, 1.055 * light.pow(1 / 2.4) - 0.055, 12.92 * light)
        assert (read - curved).abs().max() * 255 < 2
    else:
        assert levels_apart(read, colours()) < (8 if mode == "P" else 2)


def test_an_srgb_profile_changes_no_bit(tmp_path):
    pixels = noise(1)[0]
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png", icc_profile=srgb)
    assert torch.equal(read_image(tmp_path / "a.png"), pixels.float() / 255)


@pytest.mark.parametrize("profile", [b"no profile", rgb_profile("prophoto")[:200], grey_profile(2.2)])
def test_a_damaged_or_unfit_profile_is_only_a_warning(tmp_path, caplog, profile):
    pixels = noise(1)[0]
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png", icc_profile=profile)
    assert torch.equal(read_image(tmp_path / "a.png"), pixels.float() / 255)
    assert "profile" in caplog.text


def masked(colour_below):
    """An image with a transparent rectangle, below which the image goes on, or `colour_below` lies."""
    pixels = torch.cat([noise(1, 40, 40)[0], torch.full((40, 40, 1), 255, dtype=torch.uint8)], -1)
    pixels[10:30, 10:30, 3] = 0
    if colour_below is not None:
        pixels[10:30, 10:30, :3] = torch.tensor(colour_below, dtype=torch.uint8)
    return pixels


def test_an_image_goes_on_below_a_mask_as_comfyui_stores_it(tmp_path):
    pixels = masked(None)
    Image.fromarray(pixels.numpy()).save(tmp_path / "a.png")
    assert torch.equal(read_image(tmp_path / "a.png"), pixels[..., :3].float() / 255)
    assert torch.equal(read_transparency(tmp_path / "a.png"), (pixels[..., 3] == 0).float())


@pytest.mark.parametrize("suffix", [".png", ".webp"])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (30, 60, 90)])
def test_a_cut_out_stands_on_white(tmp_path, colour, suffix):
    pixels = masked(colour)
    Image.fromarray(pixels.numpy()).save(tmp_path / f"a{suffix}", quality=80)
    assert torch.equal(read_image(tmp_path / f"a{suffix}")[12:28, 12:28], torch.ones(16, 16, 3))


def test_what_the_mask_editor_wrote_is_a_mask_whatever_lies_below(tmp_path):
    pixels = masked((30, 60, 90))
    (tmp_path / "clipspace").mkdir()
    Image.fromarray(pixels.numpy()).save(tmp_path / "clipspace" / "a.png")
    assert torch.equal(read_image(tmp_path / "clipspace" / "a.png"), pixels[..., :3].float() / 255)


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_avif_is_read(tmp_path):
    colours().save(tmp_path / "a.avif", quality=95)
    assert levels_apart(read_image(tmp_path / "a.avif"), colours()) < 3


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_a_damaged_avif_is_refused_and_has_no_marks(tmp_path):
    colours().save(tmp_path / "a.avif")
    data = (tmp_path / "a.avif").read_bytes()
    (tmp_path / "b.avif").write_bytes(data[:16] + bytes(len(data) - 16))
    with pytest.raises(InputError, match="b.avif"):
        read_image(tmp_path / "b.avif")
    name_marks(tmp_path / "b.avif", "the image")


def test_heic_is_read_where_its_library_is_installed(tmp_path):
    heif = pytest.importorskip("pillow_heif")
    profile = rgb_profile("display p3")
    heif.from_pillow(stored(colours(), profile)).save(tmp_path / "a.heic", quality=95, icc_profile=profile)
    for source in (tmp_path / "a.heic", io.BytesIO((tmp_path / "a.heic").read_bytes())):
        assert levels_apart(read_image(source), colours()) < 3


@pytest.mark.parametrize("brand, advice", [("heic", "pillow-heif"), ("mif1", "pillow-heif"), ("avif", "Pillow 11.3")])
def test_without_its_library_a_kind_is_named(tmp_path, monkeypatch, brand, advice):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    file = tmp_path / "a.heic"
    file.write_bytes(b"\0\0\0\x18ftyp" + brand.encode() + b"\0\0\0\0" + brand.encode() + b"miaf" + bytes(64))
    with pytest.raises(InputError) as error:
        read_image(file)
    one_sentence(error, "a.heic", advice)


def test_an_image_above_the_limit_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    side = int((LARGEST_MEGAPIXELS * 1_000_000) ** 0.5) + 1
    Image.new("1", (side, side)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(InputError) as error:
        read_image(tmp_path / "a.png")
    one_sentence(error, "a.png", f"{LARGEST_MEGAPIXELS} megapixels")
