"""Reads pictures, clips and sound, whatever shape they come in, as upright sRGB pixels and float sound."""

import io
import logging
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from ..errors import InputError
from .rate import exact_rate

_log = logging.getLogger(__name__)

Source = str | Path | io.BytesIO

# Demuxers that read text, or other files than the one given.
_NOT_MEDIA = {"concat", "dash", "hls", "lavfi", "sdp", "tty"}
# A longer step of a file's clock than this (seconds) is a fault of the clock, not a picture that stands
# still.
_LONGEST_PAUSE = 30
# Samples in the longest packet of the usual codecs (HE-AAC).
_LONGEST_PACKET = 2048


@dataclass(frozen=True)
class Audio:
    """Sound: `waveform` float32 [C, T] in ±1, time 0 being the first video frame, and `sample_rate` in Hz."""

    waveform: torch.Tensor
    sample_rate: int


def read_picture(source: Source) -> torch.Tensor:
    """Reads a picture as float32 [H, W, 3] in 0–1.

    Turns it as its EXIF says, puts transparency on white, spreads grey and palettes to three channels, scales
    16-bit values and converts CMYK by its own profile. Of an animation, the first frame. Raises InputError
    when the file is missing, damaged or no picture.
    """
    name = _name(source, "the picture")
    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else _existing(source)
    try:
        with Image.open(file) as opened:
            return _rgb(ImageOps.exif_transpose(opened))
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
        name = _name(source, "the video")
        first, _, _ = next(_frames(source, name), (None, None, None))
        if first is None:
            raise InputError(f"{name} is damaged and has no readable frame; export or copy it again.")
        height, width = _picture(first, *_pose(first)).shape[:2]
        with _container(source, name) as container:
            track = _video_track(container, name)
            fps, frames = _rate(container, track), track.frames
            seconds = _seconds(container, track) or Fraction(container.duration or 0, 1_000_000)
            if seconds:
                frames = max(1, round(seconds * fps))
            return cls(source, width, height, fps, frames, bool(container.streams.audio))

    def __iter__(self) -> Iterator[torch.Tensor]:
        # A frame is shown from its own tick of the constant clock until the next frame's tick.
        held, lasts, tick, start, pose = None, Fraction(0), 0, None, None
        for frame, time, duration in _frames(self.source, _name(self.source, "the video")):
            pose = pose or _pose(frame)
            after = tick + 1 if held is not None else 0
            if time is not None:
                start = time if start is None else start
                if not tick <= round((time - start) * self.fps) <= tick + _LONGEST_PAUSE * self.fps:
                    start = time - after / self.fps
                after = round((time - start) * self.fps)
            for _ in range(after - tick):
                yield _picture(held, *pose)
            held, lasts, tick = frame, duration, after
        if held is not None:
            for _ in range(max(1, round(min(lasts, _LONGEST_PAUSE) * self.fps))):
                yield _picture(held, *pose)


def read_audio(source: Source) -> Audio | None:
    """Reads the whole first sound track of a video or sound file; None when there is none.

    Time 0 is the first video frame: sound that starts later begins with silence, sound that starts earlier is
    cut. Damaged sound ends, with a logged warning, before the damage. Raises InputError when the file is
    missing or no media file.
    """
    name = _name(source, "the sound")
    with _container(source, name) as container:
        if not container.streams.audio:
            return None
        track = container.streams.audio[0]
        sample_rate, begin, pieces = _samples(container, track, name)
        if not pieces:
            return None
        waveform = torch.cat(pieces, dim=1)
        if "mp4" in container.format.name and track.duration:
            # the last packet of a codec is filled up with silence; the file knows where the sound really ends
            excess = waveform.shape[1] - round(track.duration * track.time_base * sample_rate)
            waveform = waveform[:, :-excess] if 0 < excess < _LONGEST_PACKET else waveform
        films = [
            film for film in container.streams.video if not _is_cover(film) and film.start_time is not None
        ]
        late = begin - films[0].start_time * films[0].time_base if films else 0
    late = round(late * sample_rate) if abs(late) < _LONGEST_PAUSE else 0
    waveform = torch.nn.functional.pad(waveform, (late, 0)) if late >= 0 else waveform[:, -late:].clone()
    return Audio(waveform, sample_rate)


def _samples(container, track, name: str) -> tuple[int, Fraction, list[torch.Tensor]]:
    """Sample rate, time of the first sample in seconds, and the sound as pieces of float32 [C, n]."""
    import av

    planar = av.AudioResampler(format="fltp")
    sample_rate, begin, pieces = 0, Fraction(0), []
    try:
        for frame in container.decode(track):
            if not pieces:
                sample_rate, begin = frame.sample_rate, Fraction(frame.pts or 0) * track.time_base
            pieces += [torch.from_numpy(part.to_ndarray()) for part in planar.resample(frame)]
        pieces += [torch.from_numpy(part.to_ndarray()) for part in planar.resample(None) if part.samples]
    except (av.FFmpegError, ValueError) as error:
        _log.warning("The sound of %s is damaged; what comes before is used (%s).", name, error)
    return sample_rate, begin, pieces


def _name(source: Source, otherwise: str) -> str:
    return otherwise.capitalize() if isinstance(source, io.BytesIO) else f"'{Path(source).name}'"


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if path.is_dir():
        raise InputError(f"'{path.name}' is a folder; give the path of a file in it.")
    if not path.is_file():
        raise InputError(f"'{path.name}' was not found at {path.absolute()}; check the path.")
    return path


@contextmanager
def _container(source: Source, name: str):
    import av

    file = io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else str(_existing(source))
    try:
        container = av.open(file, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise InputError(
            f"{name} cannot be read as video or sound, it is damaged or of another kind; "
            "give a complete mp4, webm or mov (for sound also wav or mp3)."
        ) from error
    with container:
        if _NOT_MEDIA.intersection(container.format.name.split(",")):
            raise InputError(f"{name} is not a video; give an mp4, webm or mov file.")
        yield container


def _is_cover(track) -> bool:
    # the cover picture of a song is kept as a video track
    import av

    return bool(track.disposition & av.stream.Disposition.attached_pic)


def _video_track(container, name: str):
    for track in container.streams.video:
        if not _is_cover(track):
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

    with _container(source, name) as container:
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
