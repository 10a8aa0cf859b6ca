"""Images read as upright sRGB pixels, whatever their format, depth, profile and rotation."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from .colour import profile_mode, srgb_conversion
from .container import Source, existing_file, name_of
from .named_colours import note_colours

# Pixels are float32 in memory, beside the decoded file: this many take 1.3 GB while they are read.
LARGEST_MEGAPIXELS = 64
_STRIP_ROWS = 256  # converted at a time
# What Pillow raises for damaged files, apart from DecompressionBombError.
DAMAGED = (
    *(
        OSError,
        EOFError,
        SyntaxError,
        ValueError,
        TypeError,
        LookupError,
        ArithmeticError,
        RuntimeError,
        AssertionError,
    ),
    struct.error,
)
# Brands of ISO media files that are still images.
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF_BRANDS = {b"avif", b"avis"}
_MASK_FOLDER = "clipspace"  # where ComfyUI's mask editor writes
# Below a cut-out's transparency lies one colour: more neighbouring pixels than this share are equal there.
_FLAT_SHARE = 0.9


def read_image(source: Source) -> torch.Tensor:
    """Read an image: upright by its EXIF orientation, in sRGB by its colour profile, in three channels.

    16-bit values are scaled. Transparency goes on white, except where the image goes on below it, as ComfyUI's mask
    editor stores it: there the image is kept and the transparency is only a mask. Of an animation, the first frame is
    read.

    Args:
        source: path or bytes of the file.

    Returns:
        float32 [H, W, 3] in 0–1.

    Raises:
        InputError: the file is missing, damaged, too large, or no image.
    """
    with open_image(source) as image:
        ImageOps.exif_transpose(image, in_place=True)
        return _pixels(image, keep_hidden=_is_masked(image, source))


def read_cut_out(source: Source) -> torch.Tensor | None:
    """Read a cut-out with its alpha, float32 [H, W, 4] in 0–1; white where nothing can be seen.

    None for an image without transparency, and where its transparency is only a mask, see `read_image`. Raises as
    `read_image`.
    """
    with open_image(source) as image:
        if not image.has_transparency_data:
            return None
        ImageOps.exif_transpose(image, in_place=True)
        if _is_masked(image, source):
            return None
        alpha = torch.empty(image.height, image.width, 1)
        for rows, strip in _strips(image):
            alpha[rows] = torch.from_numpy(np.array(strip.convert("RGBA").getchannel("A"))).float()[..., None] / 255
        if alpha.min() == 1:
            return None
        colours = _pixels(image, keep_hidden=True)
    return torch.cat([torch.where(alpha > 0, colours, 1), alpha], -1)


def read_transparency(source: Source) -> torch.Tensor | None:
    """1 − alpha of an image, float32 [H, W] in 0–1; None where it has no alpha. Raises as `read_image`."""
    with open_image(source) as image:
        if not image.has_transparency_data:
            return None
        ImageOps.exif_transpose(image, in_place=True)
        mask = torch.empty(image.height, image.width)
        for rows, strip in _strips(image):
            alpha = strip.convert("RGBA").getchannel("A")
            mask[rows] = 1 - torch.from_numpy(np.asarray(alpha, dtype=np.float32) / 255)
        return mask


@contextmanager
def open_image(source: Source) -> Iterator[Image.Image]:
    """An image file, not decoded yet; what goes wrong with it in the block is refused in one sentence.

    Args:
        source: path or bytes of the file.

    Raises:
        InputError: the file is missing, damaged, too large, or no image.
    """
    name = name_of(source, "the image")
    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else existing_file(source)
    too_large = f"{name} has too many pixels; scale it down to at most {LARGEST_MEGAPIXELS} megapixels."
    try:
        with open_lazily(file) as image:
            if image.width * image.height > LARGEST_MEGAPIXELS * 1_000_000:
                raise InputError(too_large)
            note_colours(image, file)
            yield image
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(_unknown_kind(file, name)) from error
    except Image.DecompressionBombError as error:
        raise InputError(too_large) from error
    except DAMAGED as error:
        raise InputError(f"{name} is damaged and cannot be read; save or copy the image again.") from error


def open_lazily(file: io.BytesIO | Path) -> Image.Image:
    """`Image.open`, also for HEIC where pillow-heif is installed, and without Pillow's own warning about the size."""
    if _brands(file) & _HEIF_BRANDS:
        try:
            from pillow_heif import register_heif_opener
        except ImportError:
            pass
        else:
            register_heif_opener()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file)


def _brands(file: io.BytesIO | Path) -> set[bytes]:
    """The brands that an ISO media file names in its first box; empty for other files."""
    if isinstance(file, io.BytesIO):
        head = file.getvalue()[:64]
    else:
        with file.open("rb") as opened:
            head = opened.read(64)
    if head[4:8] != b"ftyp":
        return set()
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return {head[8:12], *(head[start : start + 4] for start in range(16, end, 4))}


def _unknown_kind(file: io.BytesIO | Path, name: str) -> str:
    brands = _brands(file)
    if brands & _AVIF_BRANDS:
        return f"{name} is an AVIF that cannot be read here; install Pillow 11.3 or newer, or convert it to JPEG."
    if brands & _HEIF_BRANDS:
        return f"{name} is a HEIC image; install pillow-heif (pip install pillow-heif), or convert it to JPEG or PNG."
    return f"{name} is not a readable image; give a JPEG, PNG or WebP file."


def rgb_pixels(image: Image.Image) -> torch.Tensor:
    """An open image as uint8 [H, W, 3] in sRGB, transparency on white."""
    return _pixels(image, keep_hidden=False).mul_(255).round_().to(torch.uint8)


def _pixels(image: Image.Image, keep_hidden: bool) -> torch.Tensor:
    """An open image as float32 [H, W, 3] in 0–1.

    Args:
        image: of any mode.
        keep_hidden: leave out its transparency, instead of laying it on white.
    """
    to_rgb = _wide_grey(image) if image.mode.startswith("I") or image.mode == "F" else _eight_bits(image, keep_hidden)
    pixels = torch.empty(image.height, image.width, 3)
    for rows, strip in _strips(image):
        pixels[rows] = to_rgb(strip)
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    for top in range(0, image.height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _wide_grey(image: Image.Image) -> Callable[[Image.Image], torch.Tensor]:
    """Conversion of one wide channel, which Pillow's own would clip at 255, to float32 [H, W, 3]."""
    full = 65535
    if image.mode == "F":
        brightest = image.getextrema()[1]
        assert isinstance(brightest, (int, float))  # since it has one channel
        full = 1 if brightest <= 1 else 255
    convert = srgb_conversion(image)
    curve = None
    if convert is not None:
        levels = convert(Image.fromarray(np.arange(256, dtype=np.uint8)[None]))
        curve = np.asarray(levels, dtype=np.float32)[0] / 255

    def to_rgb(strip: Image.Image) -> torch.Tensor:
        grey = (torch.from_numpy(np.array(strip, dtype=np.float32)) / full).clamp_(0, 1)
        if curve is None:
            return grey[..., None].expand(-1, -1, 3)
        at = np.linspace(0, 1, 256)
        return torch.from_numpy(np.stack([np.interp(grey.numpy(), at, curve[:, c]) for c in range(3)], -1)).float()

    return to_rgb


def _eight_bits(image: Image.Image, keep_hidden: bool) -> Callable[[Image.Image], torch.Tensor]:
    """Conversion of a strip of an image with 8 bits a channel to float32 [H, W, 3]."""
    convert, mode = srgb_conversion(image), profile_mode(image)
    transparent = image.has_transparency_data

    def to_rgb(strip: Image.Image) -> torch.Tensor:
        whole = strip.convert("RGBA") if transparent else strip
        colours = whole if convert is None else convert(whole.convert(mode))
        if transparent and not keep_hidden:
            if convert is not None:
                colours.putalpha(whole.getchannel("A"))
            colours = Image.alpha_composite(Image.new("RGBA", strip.size, "white"), colours)
        return torch.from_numpy(np.array(colours.convert("RGB"))).float().div_(255)

    return to_rgb


def _is_masked(image: Image.Image, source: Source) -> bool:
    """True if the image goes on below its transparency: an alpha channel that is a mask, not a cut-out."""
    if image.mode not in ("RGBA", "LA"):
        return False
    if isinstance(source, (str, Path)) and Path(source).absolute().parent.name == _MASK_FOLDER:
        return True
    if image.format == "WEBP":  # its encoder changes what cannot be seen
        return False
    pairs = equal = 0
    for _, strip in _strips(image):
        values = np.asarray(strip)
        colours, hidden = values[..., :-1], values[..., -1] == 0
        both = hidden[:, 1:] & hidden[:, :-1]
        pairs += int(both.sum())
        equal += int((both & (colours[:, 1:] == colours[:, :-1]).all(-1)).sum())
    return equal < _FLAT_SHARE * pairs
