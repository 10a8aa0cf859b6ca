"""Colour spaces that an image names without a profile: Adobe RGB by EXIF, Display P3 and BT.2020 by nclx."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

# From linear light in the space to that of sRGB; the white of all of them is D65.
_TO_SRGB = {
    "Adobe RGB": ((1.39836, -0.39836, 0.0), (0.0, 1.0, 0.0), (0.0, -0.04293, 1.04293)),
    "Display P3": ((1.22494, -0.22494, 0.0), (-0.04206, 1.04206, 0.0), (-0.01964, -0.07864, 1.09827)),
    "BT.2020": ((1.66049, -0.58764, -0.07285), (-0.12455, 1.1329, -0.00835), (-0.01815, -0.10058, 1.11873)),
}
_ADOBE_GAMMA = 563 / 256
_EXIF, _INTEROP, _COLOUR_SPACE, _INTEROP_INDEX = 0x8769, 0xA005, 0xA001, 1  # EXIF 2.3
_UNCALIBRATED = 0xFFFF
_NCLX_PRIMARIES = {9: "BT.2020", 12: "Display P3"}  # ISO/IEC 23091-2
_SDR_TRANSFERS = {1, 2, 6, 13, 14, 15}  # not those of high dynamic range
_HEAD_BYTES = 1 << 16  # of a file, in which its nclx box lies
_KEY = "named_colours"  # in `Image.info`


def note_colours(image: Image.Image, file: io.BytesIO | Path) -> None:
    """Note in `image.info` the colour space that a file names, where it has no embedded profile.

    Cameras write Adobe RGB as EXIF's “uncalibrated” with the interoperability index R03, or, by DCF, with a file name
    that begins with an underscore.
    """
    if image.info.get("icc_profile"):
        return
    space = _of_nclx(file) if image.format in ("AVIF", "HEIF") else _of_exif(image, file)
    if space is not None:
        image.info[_KEY] = space


def named_conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """The conversion to sRGB of an RGB image by the colour space that was noted; None where there is none."""
    space = image.info.get(_KEY)
    if space not in _TO_SRGB:
        return None
    steps = np.arange(256) / 255
    srgb = np.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    light = (steps**_ADOBE_GAMMA if space == "Adobe RGB" else srgb).astype(np.float32)
    matrix = np.asarray(_TO_SRGB[space], np.float32)

    def convert(image: Image.Image) -> Image.Image:
        linear = (light[np.asarray(image)] @ matrix.T).clip(0, 1)
        curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
        return Image.fromarray((curved * 255).round().astype(np.uint8))

    return convert


def _of_exif(image: Image.Image, file: io.BytesIO | Path) -> str | None:
    if image.mode not in ("RGB", "RGBA"):
        return None
    try:
        exif = image.getexif()
        space = exif.get_ifd(_EXIF).get(_COLOUR_SPACE)
        index = str(exif.get_ifd(_INTEROP).get(_INTEROP_INDEX, "")).strip("\0 ")
    except (OSError, SyntaxError, ValueError, KeyError, TypeError, AttributeError):  # damaged EXIF says nothing
        return None
    underscore = isinstance(file, Path) and file.name.startswith("_")
    return "Adobe RGB" if space == _UNCALIBRATED and (index == "R03" or (not index and underscore)) else None


def _of_nclx(file: io.BytesIO | Path) -> str | None:
    if isinstance(file, io.BytesIO):
        head = file.getvalue()[:_HEAD_BYTES]
    else:
        with file.open("rb") as opened:
            head = opened.read(_HEAD_BYTES)
    at = head.find(b"colrnclx")
    if at < 0 or len(head) < at + 12:
        return None
    primaries, transfer = (int.from_bytes(head[at + start : at + start + 2], "big") for start in (8, 10))
    return _NCLX_PRIMARIES.get(primaries) if transfer in _SDR_TRANSFERS else None
