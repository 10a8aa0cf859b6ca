"""Embedded colour profiles (ICC) of images, converted to sRGB."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from .named_colours import named_conversion

ToSrgb = Callable[[Image.Image], Image.Image]

_PROFILE_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # Pillow's mode by the profile's colour space
# A profile that moves no colour further, in steps of 255, is sRGB under another name: its pixels stay as they are.
_SAME_AS_SRGB = 2
_GRID = 17  # colours along each axis of RGB that are tried for it

_log = logging.getLogger(__name__)


def srgb_conversion(image: Image.Image) -> ToSrgb | None:
    """The conversion of an image's pixels to sRGB by its embedded profile, or the colour space that it names.

    Args:
        image: an image as it was opened; only its mode and its profile are looked at.

    Returns:
        A function from an image of the mode `profile_mode(image)` to one in RGB; None where nothing is to be
        converted. A damaged profile, or one that does not fit the image, is ignored with a logged warning.
    """
    data = image.info.get("icc_profile")
    if not data:
        return named_conversion(image)
    if image.mode in ("1", "F"):
        return None
    mode = profile_mode(image)
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        stored = _PROFILE_MODES.get(profile.profile.xcolor_space.strip())
        if mode == "L" and stored == "RGB":  # a colour image that was made grey
            return _unless_srgb(lambda grey: _transform(profile, "RGB")(grey.convert("RGB")), "L")
        if stored != mode:
            raise ImageCms.PyCMSError(f"it describes {profile.profile.xcolor_space.strip()} values")
        return _unless_srgb(_transform(profile, mode), mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        kind = {"L": "grey", "RGB": "colour"}.get(mode, mode)
        _log.warning("The colour profile of a %s image is unusable (%s); its colours may be off.", kind, error)
        return None


def profile_mode(image: Image.Image) -> str:
    """The mode, of `L`, `RGB` and `CMYK`, that an image's profile applies to."""
    if image.mode == "CMYK":
        return "CMYK"
    return "L" if image.mode.startswith(("L", "I")) and image.mode != "LAB" else "RGB"


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ToSrgb:
    # Inks are fitted into sRGB as a whole; colours of screens and cameras keep their values where sRGB has them.
    intent = ImageCms.Intent.PERCEPTUAL if mode == "CMYK" else ImageCms.Intent.RELATIVE_COLORIMETRIC
    transform = ImageCms.buildTransform(profile, ImageCms.createProfile("sRGB"), mode, "RGB", intent)

    def apply(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None  # since it is not done in place
        return converted

    return apply


def _unless_srgb(convert: ToSrgb, mode: str) -> ToSrgb | None:
    """`convert`; None where it changes nothing that is worth it."""
    if mode == "CMYK":
        return convert
    steps = np.linspace(0, 255, _GRID).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    tried = Image.fromarray(np.arange(256, dtype=np.uint8)[None] if mode == "L" else colours)
    before, after = (np.asarray(each, np.int16) for each in (tried.convert("RGB"), convert(tried)))
    return convert if np.abs(before - after).max() > _SAME_AS_SRGB else None
