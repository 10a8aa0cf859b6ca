"""Reads pictures and clips, whatever shape they come in, as upright sRGB pixels."""

import io
import logging
import struct
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import InputError
from .container import LONGEST_PAUSE, Source, existing, is_cover, name_of, opened
from .rate import exact_rate

_log = logging.getLogger(__name__)


def read_image(source: Source) -> torch.Tensor:
    """Reads a picture as float32 [H, W, 3] in 0–1.

    Turns it as its EXIF says, puts transparency on white, spreads grey and palettes to three channels, scales
    16-bit values and converts CMYK by its own profile. Of an animation, the first frame. Raises InputError
    when the file is missing, damaged or no picture.
    """
    name = name_of(source, "the picture")
    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else existing(source)
    try:
        with Image.open(file) as picture:
            return _rgb(ImageOps.exif_transpose(picture))
    except UnidentifiedImageError as error:
        raise InputError(f"{name} is not a readable picture; give a JPEG, PNG or WebP file.") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"{name} has too many pixels; scale it down to at most 150 megapixels.") from error
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise InputError(f"{name} is damaged and cannot be read; save or copy the picture again.") from error


def _rgb(picture: Image.Image) -> torch.Tensor:
    if picture.mode.startswith("I") or picture.mode == "F":
        # one wide channel, which Pillow's own conversion would clip at 255
        grey = torch.from_numpy(np.array(picture, dtype=np.float32))
        full = 65535 if picture.mode != "F" else 1 if grey.max() <= 1 else 255
        return (grey / full).clamp_(0, 1)[..., None].repeat(1, 1, 3)
    if picture.mode == "CMYK" and picture.info.get("icc_profile"):
        picture = _by_profile(picture)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return torch.from_numpy(np.array(picture.convert("RGB"))).float().div_(255)


def _by_profile(picture: Image.Image) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"]))
        return ImageCms.profileToProfile(picture, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        _log.warning("The colour profile of a CMYK picture is unusable (%s); its colours may be off.", error)
        return picture


class Clip:
    """A video that yields its frames one at a time; iterating again starts again. Made by `Clip.open`.

    `source` is what was opened, `width` and `height` (pixels) are those of the upright picture, `fps` is an
    exact Fraction, `frames` an estimate of how many frames come (0 = unknown), `has_audio` whether there is a
    sound track.

    Frames are uint8 [H, W, 3], turned as the file's rotation says. They come at the constant rate `fps`:
    where the file's own timestamps vary, a frame is repeated or left out so that each is within half a frame
    of its time. A damaged file ends, with a logged warning, at the last good frame.
    """

    def __init__(self, source: Source, width: int, height: int, fps: Fraction, frames: int, has_audio: bool):
        self.source, self.width, self.height = source, width, height
        self.fps, self.frames, self.has_audio = fps, frames, has_audio

    @classmethod
    def open(cls, source: Source) -> "Clip":
        """Opens a path or the bytes of a file, and decodes one frame to be sure of it.

        Raises InputError when it is missing, damaged from the start, or no video.
        """
        name = name_of(source, "the video")
        first, _, _ = next(_frames(source, name), (None, None, None))
        if first is None:
            raise InputError(f"{name} is damaged and has no readable frame; export or copy it again.")
        height, width = _picture(first, *_pose(first)).shape[:2]
        with opened(source, name) as container:
            track = _video_track(container, name)
            fps, frames = _rate(container, track), track.frames
            seconds = _seconds(container, track) or Fraction(container.duration or 0, 1_000_000)
            if seconds:
                frames = max(1, round(seconds * fps))
            return cls(source, width, height, fps, frames, bool(container.streams.audio))

    def __iter__(self) -> Iterator[torch.Tensor]:
        # A frame is shown from its own tick of the constant clock until the next frame's tick.
        held, lasts, tick, start, pose = None, Fraction(0), 0, None, None
        for frame, time, duration in _frames(self.source, name_of(self.source, "the video")):
            pose = pose or _pose(frame)
            after = tick + 1 if held is not None else 0
            if time is not None:
                start = time if start is None else start
                if not tick <= round((time - start) * self.fps) <= tick + LONGEST_PAUSE * self.fps:
                    start = time - after / self.fps
                after = round((time - start) * self.fps)
            for _ in range(after - tick):
                yield _picture(held, *pose)
            held, lasts, tick = frame, duration, after
        if held is not None:
            for _ in range(max(1, round(min(lasts, LONGEST_PAUSE) * self.fps))):
                yield _picture(held, *pose)


def _video_track(container, name: str):
    for track in container.streams.video:
        if not is_cover(track):
            return track
    raise InputError(f"{name} holds no video; give an mp4, webm or mov file with a picture.")


def _seconds(container, track) -> Fraction | None:
    if track.duration:
        return track.duration * track.time_base
    # only the length of the whole is known: it is the picture's where there is nothing else
    alone = container.duration and not container.streams.audio
    return Fraction(container.duration, 1_000_000) if alone else None


def _rate(container, track) -> Fraction:
    average = track.average_rate or track.base_rate or Fraction(25)
    seconds = _seconds(container, track)
    if container.format.name == "gif" and track.frames and seconds:
        # its average is guessed from the first frames, whose delays are rounded to hundredths of a second
        average = track.frames / seconds
    # Constant: what the file says, to the digit. Variable: a measured average, so the usual rate beside it.
    return Fraction(average) if average == track.base_rate else exact_rate(float(average))


def _frames(source: Source, name: str):
    """Yields (frame, its time, its duration) up to the first damage, about which it warns.

    Times are Fractions of a second; the time is None and the duration 0 where the file does not say.
    """
    import av

    with opened(source, name) as container:
        track = _video_track(container, name)
        packets, durations = container.demux(track), {}
        good, skipped, harm, end = 0, False, None, None
        while harm is None:
            try:
                packet = next(packets)
                durations[packet.pts] = packet.duration or 0
                decoded = packet.decode()
            except StopIteration:
                break
            except av.FFmpegError as error:
                # after good frames: take what the decoder still holds and stop; before: look for a good one
                harm, skipped = (error, skipped) if good else (None, True)
                decoded = track.codec_context.decode(None) if good else []
            for frame in decoded:
                if frame.is_corrupt and good:
                    harm = "a broken frame"
                    break
                if frame.is_corrupt or (skipped and not good and not frame.key_frame):
                    skipped = True
                    continue
                good += 1
                duration = durations.pop(frame.pts, 0) * track.time_base
                time = frame.pts * track.time_base if frame.pts is not None else None
                end = time + duration if time is not None else None
                yield frame, time, duration
        seconds = _seconds(container, track)
        if harm is None and good and None not in (seconds, end):
            lost = seconds - (end - (track.start_time or 0) * track.time_base)
            harm = "the file ends early" if lost > 0.1 + seconds / 50 else None
        if harm is not None:
            _log.warning("%s is damaged after %d frames; only those are used (%s).", name, good, harm)


def _pose(frame) -> tuple[int, int, bytes | None]:
    """Width, height and rotation of a clip by its first frame; asking each one would keep all alive."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return frame.width, frame.height, matrix and bytes(matrix)


def _picture(frame, width: int, height: int, matrix: bytes | None) -> torch.Tensor:
    """A decoded frame as uint8 [H, W, 3], scaled to width × height before it is turned upright."""
    pixels = torch.from_numpy(frame.to_ndarray(format="rgb24", width=width, height=height))
    if matrix is None:
        return pixels
    # x' = a·x + c·y, y' = b·x + d·y, whole quarter turns and mirrorings only
    a, b, _, c, d = struct.unpack("=9i", matrix)[:5]
    if abs(b) > abs(a):
        pixels = pixels.transpose(0, 1)
        a, d = c, b
    mirrored = [axis for axis, sign in ((0, d), (1, a)) if sign < 0]
    return pixels.flip(mirrored).contiguous()
