"""Videos read as upright sRGB pixels, whatever their format, rotation and frame rate."""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
import torch

from ..errors import InputError
from .container import (
    LONGEST_PAUSE_SECONDS,
    Source,
    best_stream,
    codecs_of,
    in_seconds,
    is_cover,
    name_of,
    open_container,
    packets_of,
    warn_once,
)
from .hdr import HLG, PQ, to_sdr
from .rate import exact_rate

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.sidedata.sidedata import SideData
    from av.video.stream import VideoStream

_DEFAULT_FPS = Fraction(25)  # frames a second of a file that states none
_CONTAINER_TICKS = 1_000_000  # of a container's clock in a second
_LONGEST_PIXEL = 4  # times as wide as high, or as high as wide; beyond it, the file is wrong

_log = logging.getLogger(__name__)


class Clip:
    """A video file, decoded one frame at a time; each iteration starts at the first frame. Made by `Clip.open`.

    Frames are uint8 [H, W, 3] in sRGB (high dynamic range is tone-mapped), turned by the file's rotation. Pixels are
    square: where the file's are not, the side that it squeezed is spread, so that nothing is scaled down. Frames of
    another size than the first one's are scaled to it. They come at the constant rate `fps`: where the file's own
    timestamps vary, a frame is repeated or left out so that each is within half a frame of its time. For a damaged
    place, the last good frame is repeated, with one logged warning.

    Attributes:
        source: path or bytes of the file.
        width: of the upright frames, in pixels.
        height: likewise.
        fps: frames a second, exact.
        frames: estimated number of frames; 0 if it is unknown.
        has_audio: the file has an audio stream.
        alpha: frames come with their alpha, [H, W, 4]; else it is left out.
    """

    alpha = False

    def __init__(self, source: Source, width: int, height: int, fps: Fraction, frames: int, has_audio: bool) -> None:
        self.source, self.width, self.height = source, width, height
        self.fps, self.frames, self.has_audio = fps, frames, has_audio

    @classmethod
    def open(cls, source: Source) -> Clip:
        """Open a path or the bytes of a file, and decode one frame as a check.

        Raises:
            InputError: it is missing, damaged from the start, or no video.
        """
        name = name_of(source, "the video")
        first = next(_decoded(source, name), None)
        if first is None:
            raise InputError(f"{name} is damaged and has no readable frame; export or copy it again.")
        height, width = _pixels(first.frame, _geometry(first)).shape[:2]
        with open_container(source, name) as container:
            stream = _video_stream(container, name)
            fps, frames = _rate(container, stream), stream.frames
            seconds = _seconds(container, stream) or Fraction(container.duration or 0, _CONTAINER_TICKS)
            if seconds:
                frames = max(1, round(seconds * fps))
            return cls(source, width, height, fps, frames, _has_audio(container, name))

    def __iter__(self) -> Iterator[torch.Tensor]:
        # A frame is shown from its own tick of the constant clock until the next frame's tick.
        shown, geometry, start = None, None, None
        duration, tick = Fraction(0), 0
        for decoded in _decoded(self.source, name_of(self.source, "the video")):
            frame, time, its_duration = decoded[:3]
            geometry = geometry or _geometry(decoded)
            its_tick = tick if shown is None else tick + 1
            if time is not None:
                start = time if start is None else start
                if not tick <= round((time - start) * self.fps) <= tick + LONGEST_PAUSE_SECONDS * self.fps:
                    start = time - its_tick / self.fps
                its_tick = round((time - start) * self.fps)
            if shown is not None:
                for _ in range(its_tick - tick):
                    yield _pixels(shown, geometry, self.alpha)
            shown, duration, tick = frame, its_duration, its_tick
        if shown is not None and geometry is not None:
            for _ in range(max(1, round(min(duration, Fraction(LONGEST_PAUSE_SECONDS)) * self.fps))):
                yield _pixels(shown, geometry, self.alpha)


class _Decoded(NamedTuple):
    """A decoded frame; its time and duration in seconds, None and 0 if not stated; a pixel's width by its height.

    Further the transfer function of its stream, as ffmpeg counts them.
    """

    frame: VideoFrame
    time: Fraction | None
    duration: Fraction
    aspect: Fraction
    transfer: int


class _Geometry(NamedTuple):
    """Size of a video's frames in square pixels before they are turned, what turns them, their transfer function."""

    width: int
    height: int
    matrix: bytes | None
    transfer: int


def _video_stream(container: InputContainer, name: str) -> VideoStream:
    stream = best_stream(container.streams.video)
    if stream is not None:
        return stream
    if not all(is_cover(cover) for cover in container.streams.video):
        raise InputError(
            f"The video of {name} is of a codec that cannot be decoded here ({codecs_of(container, 'Video')}); "
            "convert it to H.264."
        )
    raise InputError(f"{name} holds no video; give an mp4, webm or mov file with a video stream.")


def _has_audio(container: InputContainer, name: str) -> bool:
    streams = container.streams.audio
    if streams and best_stream(streams) is None:
        _log.warning("The audio of %s is of a codec that cannot be decoded (%s).", name, codecs_of(container, "Audio"))
        return False
    return bool(streams)


def _seconds(container: InputContainer, stream: VideoStream) -> Fraction | None:
    if stream.duration:
        return in_seconds(stream.duration, stream)
    # If only the container has a duration, it is the video's where there is nothing else.
    alone = container.duration and not container.streams.audio
    return Fraction(container.duration or 0, _CONTAINER_TICKS) if alone else None


def _rate(container: InputContainer, stream: VideoStream) -> Fraction:
    average = stream.average_rate or stream.base_rate or _DEFAULT_FPS
    seconds = _seconds(container, stream)
    if container.format.name == "gif" and stream.frames and seconds:
        # Its average is guessed from the first frames, whose delays are rounded to hundredths of a second.
        average = stream.frames / seconds
    # Constant: the file's rate, to the digit. Variable: a measured average, so the usual rate beside it.
    return Fraction(average) if average == stream.base_rate else exact_rate(float(average))


def _decoded(source: Source, name: str) -> Iterator[_Decoded]:
    """The good frames; after the last one, it again for what is damaged at the end. Damage is logged as one warning."""
    import av

    with open_container(source, name) as container:
        stream = _video_stream(container, name)
        aspect = _aspect(stream)
        durations: dict[int | None, int] = {}
        last: _Decoded | None = None
        lost: Fraction | None = None  # end of the latest bad packet
        good, faults = 0, 0
        for packet in packets_of(container, stream):
            durations[packet.pts] = packet.duration or 0
            try:
                frames = packet.decode()
            except av.FFmpegError:
                frames, faults = [], faults + 1
                if packet.pts is not None:
                    lost = in_seconds(packet.pts + (packet.duration or 0), stream)
            for frame in frames:
                time = None if frame.pts is None else in_seconds(frame.pts, stream)
                duration = in_seconds(durations.pop(frame.pts, 0), stream)
                # Before the first good frame, what refers to a lost one is no use; key frames begin anew.
                if frame.is_corrupt or (faults and last is None and not frame.key_frame):
                    faults += 1
                    lost = lost if time is None else time + duration
                    continue
                last, good = _Decoded(frame, time, duration, aspect, stream.codec_context.color_trc), good + 1
                yield last
        end = None if last is None or last.time is None else last.time + last.duration
        if last is not None and end is not None and lost is not None and faults and lost > end:
            yield last._replace(time=end, duration=lost - end)
            end = lost
        if faults:
            sentence = "%s is damaged in %d places; the last of %d good frames stands in for them."
            warn_once(source, sentence, name, faults, good)
        elif _ends_early(container, stream, end):
            warn_once(source, "%s is damaged after %d frames; only those are used (the file ends early).", name, good)


def _aspect(stream: VideoStream) -> Fraction:
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and Fraction(1, _LONGEST_PIXEL) <= aspect <= _LONGEST_PIXEL else Fraction(1)


def _ends_early(container: InputContainer, stream: VideoStream, end: Fraction | None) -> bool:
    """True if the last frame ends (at `end`, in seconds) well before the duration that the file states."""
    seconds = _seconds(container, stream)
    if seconds is None or end is None:
        return False
    missing = seconds - (end - in_seconds(stream.start_time or 0, stream))
    return missing > 0.1 + seconds / 50


def _geometry(first: _Decoded) -> _Geometry:
    """Size and rotation of a video from its first frame; side data of each frame would keep all frames alive."""
    matrix = _display_matrix(first.frame)
    width = round(first.frame.width * max(first.aspect, Fraction(1)))
    height = round(first.frame.height / min(first.aspect, Fraction(1)))
    return _Geometry(width, height, matrix, first.transfer)


def _display_matrix(frame: VideoFrame) -> bytes | None:
    """What turns a frame upright, as the file has it: nine numbers of 32 bits."""
    try:
        matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
        return None if matrix is None else bytes(matrix)
    except ValueError:  # PyAV knows a kind of side data beside it no name for
        turn = -math.radians(getattr(frame, "rotation", 0))
        cos, sin = round(65536 * math.cos(turn)), round(65536 * math.sin(turn))
        return struct.pack("=9i", cos, sin, 0, -sin, cos, 0, 0, 0, 1 << 30)


def _pixels(frame: VideoFrame, geometry: _Geometry, alpha: bool = False) -> torch.Tensor:
    """A decoded frame as uint8 [H, W, 3] (4 with `alpha`), scaled to the size of `geometry`, then turned upright."""
    width, height, matrix, of_stream = geometry
    transfer = getattr(frame, "color_trc", of_stream)  # PyAV 15 and older: frames have none
    if transfer in (PQ, HLG):
        deep = frame.to_ndarray(format="rgb48le", width=width, height=height)
        pixels = to_sdr(torch.from_numpy(deep.astype(np.float32) / 65535), transfer)
    else:
        pixels = torch.from_numpy(frame.to_ndarray(format="rgba" if alpha else "rgb24", width=width, height=height))
    if matrix is None:
        return pixels
    # x' = a·x + c·y, y' = b·x + d·y, whole quarter turns and mirrorings only
    a, b, _, c, d = struct.unpack("=9i", matrix)[:5]
    if abs(b) > abs(a):
        pixels = pixels.transpose(0, 1)
        a, d = c, b
    mirrored = [axis for axis, sign in ((0, d), (1, a)) if sign < 0]
    return pixels.flip(mirrored).contiguous()
