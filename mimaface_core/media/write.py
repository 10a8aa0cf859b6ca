"""Video and image-sequence writer: frame by frame, and under its final name only when it is whole."""

from __future__ import annotations

import json
import logging
import math
import os
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image

from .. import host
from ..errors import InputError
from ..files import scratch_folder
from ..tensors import off_white, to_float, to_uint8
from . import ffmpeg
from .audio import AnyAudio
from .encoders import FORMATS
from .marks.embed import Watermark
from .marks.sign import Credentials, check_signing, sign
from .provenance import mark_gif, mark_mp4, png_info
from .rate import exact_rate

if TYPE_CHECKING:
    from typing_extensions import Self

# Names in the scratch folder.
_METADATA, _VIDEO, _MUXED, _PALETTE, _GIF, _IMAGES = "metadata.txt", "video", "muxed", "palette.png", "gif", "images"
_METADATA_INPUT = ["-f", "ffmetadata", "-i", _METADATA]

_log = logging.getLogger(__name__)


class VideoWriter:
    """A video being written; a context manager with `write`.

    >>> with VideoWriter("out/face.mp4", Fraction(30000, 1001), "mp4", audio=speech) as writer:
    ...     for frame in frames:
    ...         writer.write(frame)

    The file appears when the block ends well; when it ends by an exception, nothing is left.

    Args:
        path: where it goes; the format's suffix is added when it has another one. An existing file is replaced.
        fps: frames a second, kept exactly (GIF can only store hundredths of a second, right on average).
        format: "mp4" (H.264; odd sizes gain an edge line to become even), "webm" (VP9), "gif" (one palette), "png"
            (one frame: a file; more: a folder of the same name with numbered files), or "lossless" (bit exact RGB in
            a mov, for passing videos on; `read.Clip` opens it).
        audio: it begins with the first frame; cut to the sample where the frames end, never loaded as a whole; values
            that are no numbers become silence. GIF and PNG hold none.
        metadata: text by key; other values are stored as JSON. See `provenance.synthetic_metadata`.
        crf: constant rate factor of mp4 and webm, lower is better and bigger; None for the usual one.
        watermark: laid into every frame, see `provenance.own_watermark`; not for files that are passed on.
        credentials: signed into the finished file, or each image; not for files that are passed on.

    Attributes:
        path: the final path; for "png" settled when finished.
        frames: number of frames written.

    Raises:
        InputError: an unknown format, one that cannot be signed, or an impossible rate; when the block is entered, the
            folder cannot be written; later, the disk is full, ffmpeg fails, there was no frame, or the key is unusable.
        Cancelled: the user stops while the file is finished.
    """

    _folder: Path  # from __enter__ on
    _stack: ExitStack  # likewise; deletes the folder and ends the encoder
    _encoder: ffmpeg.Ffmpeg  # from the first frame on

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        format: str = "mp4",
        *,
        audio: AnyAudio | None = None,
        metadata: dict | None = None,
        crf: int | None = None,
        watermark: Watermark | None = None,
        credentials: Credentials | None = None,
    ) -> None:
        if format not in FORMATS:
            raise InputError(f"'{format}' is not a video format; choose one of {', '.join(FORMATS)}.")
        self._target = FORMATS[format]
        if credentials is not None:
            check_signing(self._target.suffix)
        path, suffix = Path(path), self._target.suffix
        self.path = path if path.suffix.lower() == suffix else path.with_name(path.name + suffix)
        self.fps, self.format, self.frames = exact_rate(fps), format, 0
        self._audio = audio if self._target.audio and audio and any(True for _ in audio.blocks()) else None
        self._metadata = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()
        }
        self._crf, self._watermark, self._credentials = crf, watermark, credentials
        self._size: tuple[int, ...] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as stack:
                self._folder = stack.enter_context(scratch_folder(self.path.parent))
                ffmpeg.write_metadata(self._folder / _METADATA, self._metadata)
                self._stack = stack.pop_all()
        except OSError as error:
            raise InputError(
                f"'{self.path.name}' cannot be written to the folder {self.path.parent} "
                f"({error.strerror or error}); choose another folder or make room in it."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is not None:
                return
            try:
                self._finish()
            except OSError as broken:
                raise self._failure(broken) from broken

    def write(self, frame: torch.Tensor) -> None:
        """Append one frame.

        Args:
            frame: uint8 [H, W, 3], of the first one's size; or [H, W, 4] with an alpha, colours as of
                `tensors.on_white`, all of a file alike. WebM, PNG and GIF (a pixel is in it or not) hold it; in an
                mp4 the image stands on white, which is logged.

        Raises:
            ValueError: another number type, shape or size.
            InputError: the disk is full, or ffmpeg has failed.
        """
        if frame.dtype != torch.uint8 or frame.ndim != 3 or frame.shape[2] not in (3, 4):
            raise ValueError(f"a frame is uint8 [H, W, 3 or 4], not {frame.dtype} {list(frame.shape)}")
        self._size = self._size or tuple(frame.shape)
        if tuple(frame.shape) != self._size:
            raise ValueError(f"frame {self.frames} is {tuple(frame.shape)} in size, the first was {self._size}")
        frame = frame.cpu() if self._watermark is None else self._watermark(frame.cpu())
        pixels = self._stored(frame).numpy()
        try:
            if self.format == "png":
                self._write_image(pixels)
            else:
                self._encode(pixels)
        except OSError as error:
            raise self._failure(error) from error
        self.frames += 1

    def _stored(self, frame: torch.Tensor) -> torch.Tensor:
        """The frame's pixels as this format holds them."""
        if frame.shape[2] == 3 or self.format == "lossless":
            return frame
        if self._target.transparent is None:
            if not self.frames:
                _log.warning("%s holds no transparency: the image stands on white; webm and png keep it.", self.format)
            return frame[..., :3]
        return to_uint8(off_white(to_float(frame)))

    def _write_image(self, pixels: np.ndarray) -> None:
        folder = self.path.with_suffix("")
        if self.frames == 1 and folder.exists():
            raise InputError(f"'{folder.name}' exists already in {folder.parent}; choose another name.")
        file = self._folder / _IMAGES / f"{self.path.stem}_{self.frames + 1:05d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file, pnginfo=png_info(self._metadata), compress_level=4)

    def _encode(self, pixels: np.ndarray) -> None:
        if self._target.even_sides:
            pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
        if self.frames == 0:
            self._encoder = self._stack.enter_context(self._start(*pixels.shape))
        self._encoder.feed(np.ascontiguousarray(pixels).data)

    def _start(self, height: int, width: int, channels: int) -> ffmpeg.Ffmpeg:
        # A GIF needs all frames before its palette: until then they lie in a lossless file.
        target = FORMATS["lossless"] if self.format == "gif" else self._target
        order, alpha = ("rgba", True) if channels == 4 else ("rgb24", False)
        raw = ["-f", "rawvideo", "-pix_fmt", order, "-s", f"{width}x{height}", "-framerate", str(self.fps)]
        streams = ["-map", "0:v", "-map_metadata", "1", *target.video_arguments(self._crf, alpha)]
        return ffmpeg.Ffmpeg(self._folder, [*raw, "-i", "pipe:0", *_METADATA_INPUT, *streams, *target.muxer, _VIDEO])

    def _finish(self) -> None:
        if self.frames == 0:
            raise InputError(f"'{self.path.name}' needs at least one frame; give a video that is not empty.")
        finished = self._finished_images() if self.format == "png" else self._finished_video()
        if self._credentials is not None:
            for file in sorted(finished.iterdir()) if finished.is_dir() else [finished]:
                sign(file, self._credentials, self._target.suffix)
        os.replace(finished, self.path)

    def _finished_images(self) -> Path:
        images = self._folder / _IMAGES
        if self.frames == 1:
            return next(images.iterdir())
        self.path = self.path.with_suffix("")
        return images

    def _finished_video(self) -> Path:
        self._encoder.finish()
        name = _VIDEO
        if self.format == "gif":
            name = self._make_gif()
        elif self._audio is not None:
            name = self._add_audio(self._audio)
        finished = self._folder / name
        if self.format == "gif":
            mark_gif(finished, self._metadata)
        elif self.format == "mp4":
            mark_mp4(finished, self._metadata)
        return finished

    def _make_gif(self) -> str:
        # Two passes over the frames on disk: one palette for all of them, without holding them in memory.
        palette_use = ["-filter_complex", "[0:v][1:v]paletteuse=diff_mode=rectangle"]
        with host.current().progress(2, f"making {self.path.name}") as progress:
            ffmpeg.run(self._folder, ["-i", _VIDEO, "-vf", "palettegen", _PALETTE])
            progress.update()
            ffmpeg.run(self._folder, ["-i", _VIDEO, "-i", _PALETTE, *palette_use, *self._target.muxer, _GIF])
            progress.update()
        return _GIF

    def _add_audio(self, audio: AnyAudio) -> str:
        # Cut to the sample here, because ffmpeg's own -shortest cuts at packets.
        seconds, rate = self.frames / self.fps, audio.sample_rate
        left = round(seconds * rate)
        raw = ["-f", "f32le", "-ar", str(rate), "-ac", str(audio.channels), "-i", "pipe:0"]
        streams = ["-map_metadata", "2", "-map", "0:v", "-map", "1:a", "-c:v", "copy", *self._target.audio]
        arguments = ["-i", _VIDEO, *raw, *_METADATA_INPUT, *streams, *self._target.muxer, _MUXED]
        with (
            ffmpeg.Ffmpeg(self._folder, arguments) as muxer,
            host.current().progress(math.ceil(seconds), f"adding audio to {self.path.name}") as progress,
        ):
            for block in audio.blocks():
                samples = block[:, :left].t().nan_to_num(0, 1, -1).contiguous().numpy()
                muxer.feed(samples.astype("<f4").tobytes())
                progress.update()
                left -= len(samples)
                if not left:
                    break
            muxer.finish()
        return _MUXED

    def _failure(self, error: OSError) -> InputError:
        # What ffmpeg logged is nearer to the cause than the pipe that broke.
        reason = ffmpeg.last_message(self._folder) or error.strerror or str(error)
        return InputError(
            f"'{self.path.name}' could not be finished ({reason}); "
            "make room on the disk or choose another folder or format."
        )
