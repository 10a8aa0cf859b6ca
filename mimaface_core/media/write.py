"""Writes clips frame by frame; only a whole file gets its final name, and nothing half done is left."""

import json
import math
import os
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from .. import host
from ..errors import InputError
from .audio import AnyAudio
from .provenance import mark_gif, mark_mp4, xmp_packet
from .rate import exact_rate

# File suffix and ffmpeg muxer of each format.
_KINDS = {
    "mp4": (".mp4", ["-f", "mp4", "-movflags", "+faststart+use_metadata_tags"]),
    "webm": (".webm", ["-f", "webm"]),
    "gif": (".gif", ["-f", "gif"]),
    "png": (".png", []),
    "lossless": (".mov", ["-f", "mov", "-movflags", "+use_metadata_tags"]),
}
FORMATS = tuple(_KINDS)

_X264 = ["-c:v", "libx264", "-preset", "medium"]
_VP9 = ["-c:v", "libvpx-vp9", "-b:v", "0", "-deadline", "good", "-cpu-used", "4", "-row-mt", "1"]
_LOSSLESS = ["-c:v", "libx264rgb", "-preset", "ultrafast", "-qp", "0"]
_SOUND = {
    "mp4": ["-c:a", "aac", "-b:a", "192k"],
    "webm": ["-c:a", "libopus", "-b:a", "160k"],
    "lossless": ["-c:a", "pcm_f32le"],
}
# Visually lossless to the eye at these constant rate factors.
_USUAL_CRF = {"mp4": 16, "webm": 24}
# BT.601, and tagged so: players that heed the tag and readers that assume the old default then agree.
_YUV = ["-vf", "scale=out_color_matrix=bt601:out_range=tv:flags=bicubic+accurate_rnd", "-pix_fmt", "yuv420p"]
_YUV += ["-colorspace", "smpte170m", "-color_primaries", "bt709"]
_YUV += ["-color_trc", "iec61966-2-1", "-color_range", "tv"]


class VideoWriter:
    """A clip being written; a context manager with `write`.

    >>> with VideoWriter("out/face.mp4", Fraction(30000, 1001), "mp4", audio=speech) as film:
    ...     for frame in frames:
    ...         film.write(frame)

    path: where it goes; the format's suffix is added when it has another one. An existing file is replaced.
    fps: frames a second, kept exactly (GIF can only store hundredths of a second, right on average).
    format: "mp4" (H.264; odd sizes gain an edge line to become even), "webm" (VP9), "gif" (one palette),
        "png" (one frame: a file; more: a folder of the same name with numbered files), or "lossless" (bit
        exact RGB in a mov, for passing clips on; `read.Clip` opens it).
    audio: `Audio` or `AudioFile`, from the first frame on; cut to the sample where the frames end, never loaded
        as a whole; values that are no numbers become silence. GIF and PNG hold none.
    metadata: text by key; other values are stored as JSON. See `provenance.synthetic_metadata`.
    crf: constant rate factor of mp4 and webm, lower is better and bigger; None for the usual one.

    `path` holds the final path (for "png" settled when finished), `frames` how many were written. The file
    appears when the block ends well; when it ends by an exception, nothing is left. Raises InputError when
    the folder cannot be written, the disk is full, or there was no frame; Cancelled when the user stops while
    the file is finished.
    """

    def __init__(
        self,
        path: str | Path,
        fps: Fraction | float,
        format: str = "mp4",
        *,
        audio: AnyAudio | None = None,
        metadata: dict | None = None,
        crf: int | None = None,
    ):
        if format not in _KINDS:
            raise InputError(f"'{format}' is not a format for clips; choose one of {', '.join(FORMATS)}.")
        suffix, self._muxer = _KINDS[format]
        path = Path(path)
        self.path = path if path.suffix.lower() == suffix else path.with_name(path.name + suffix)
        self.fps, self.format, self.frames = exact_rate(fps), format, 0
        self._audio = audio if format in _SOUND and audio and any(True for _ in audio.blocks()) else None
        self._metadata = {
            key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()
        }
        self._crf = str(_USUAL_CRF.get(format) if crf is None else crf)
        self._size: tuple[int, int] | None = None
        self._folder: Path | None = None
        self._process: subprocess.Popen | None = None

    def __enter__(self):
        # Everything unfinished lives in a folder of its own beside the final name, on the same file system.
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._folder = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.path.parent))
            _write_ffmetadata(self._folder / "metadata.txt", self._metadata)
        except OSError as error:
            self._discard()
            raise InputError(
                f"'{self.path.name}' cannot be written to the folder {self.path.parent} "
                f"({error.strerror or error}); choose another folder or make room in it."
            ) from error
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as broken:
            raise self._failure(broken.strerror or str(broken)) from broken
        finally:
            self._discard()

    def write(self, frame: torch.Tensor) -> None:
        """Appends one frame, uint8 [H, W, 3]. All frames have the size of the first."""
        if frame.dtype != torch.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"a frame is uint8 [H, W, 3], not {frame.dtype} {list(frame.shape)}")
        pixels = frame.cpu().numpy()
        self._size = self._size or pixels.shape[:2]
        if pixels.shape[:2] != self._size:
            raise ValueError(f"frame {self.frames} is {pixels.shape[:2]} in size, the first was {self._size}")
        try:
            if self.format == "png":
                self._write_png(pixels)
            else:
                self._write_film(pixels)
        except OSError as error:
            raise self._failure(error.strerror or str(error)) from error
        self.frames += 1

    def _write_png(self, pixels: np.ndarray) -> None:
        folder = self.path.with_suffix("")
        if self.frames == 1 and folder.exists():
            raise InputError(f"'{folder.name}' exists already in {folder.parent}; choose another name.")
        chunks = PngImagePlugin.PngInfo()
        for key, value in self._metadata.items():
            chunks.add_text(key, value)
        packet = xmp_packet(self._metadata)
        if packet is not None:
            chunks.add_itxt("XML:com.adobe.xmp", packet)
        file = self._folder / "pictures" / f"{self.path.stem}_{self.frames + 1:05d}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file, pnginfo=chunks, compress_level=4)

    def _write_film(self, pixels: np.ndarray) -> None:
        if self.format == "mp4":
            pixels = np.pad(pixels, ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0)), mode="edge")
        if self._process is None:
            self._start_film(pixels.shape[1], pixels.shape[0])
        self._process.stdin.write(np.ascontiguousarray(pixels).data)

    def _start_film(self, width: int, height: int) -> None:
        codec = {
            "mp4": [*_X264, "-crf", self._crf, *_YUV],
            "webm": [*_VP9, "-crf", self._crf, *_YUV],
        }.get(self.format, _LOSSLESS)
        muxer = _KINDS["lossless"][1] if self.format == "gif" else self._muxer
        raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-framerate", str(self.fps)]
        about = ["-f", "ffmetadata", "-i", "metadata.txt", "-map", "0:v", "-map_metadata", "1"]
        self._start([*raw, "-i", "pipe:0", *about, *codec, *muxer, "film"])

    def _finish(self) -> None:
        if self.frames == 0:
            raise InputError(f"'{self.path.name}' needs at least one frame; give a clip that is not empty.")
        if self.format == "png":
            finished = self._folder / "pictures"
            if self.frames == 1:
                finished = next(finished.iterdir())
            else:
                self.path = self.path.with_suffix("")
        else:
            self._wait()
            finished = self._folder / "film"
            if self.format == "gif":
                finished = self._make_gif()
                mark_gif(finished, self._metadata)
            elif self._audio is not None:
                finished = self._add_sound()
            if self.format == "mp4":
                mark_mp4(finished, self._metadata)
        os.replace(finished, self.path)

    def _make_gif(self) -> Path:
        # Two passes over the frames on disk: one palette for all of them, without holding them in memory.
        use = ["-filter_complex", "[0:v][1:v]paletteuse=diff_mode=rectangle"]
        with host.current().progress(2, f"making {self.path.name}") as progress:
            self._run(["-i", "film", "-vf", "palettegen", "palette.png"])
            progress.update()
            self._run(["-i", "film", "-i", "palette.png", *use, *self._muxer, "gif"])
            progress.update()
        return self._folder / "gif"

    def _add_sound(self) -> Path:
        # Cut to the sample here, because ffmpeg's own -shortest cuts at packets.
        seconds, rate = self.frames / self.fps, self._audio.sample_rate
        left = round(seconds * rate)
        raw = ["-f", "f32le", "-ar", str(rate), "-ac", str(self._audio.channels), "-i", "pipe:0"]
        about = ["-f", "ffmetadata", "-i", "metadata.txt", "-map_metadata", "2"]
        streams = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", *_SOUND[self.format]]
        self._start(["-i", "film", *raw, *about, *streams, *self._muxer, "whole"])
        with host.current().progress(math.ceil(seconds), f"adding sound to {self.path.name}") as progress:
            for block in self._audio.blocks():
                samples = block[:, :left].t().nan_to_num(0, 1, -1).contiguous().numpy()
                self._process.stdin.write(samples.astype("<f4").tobytes())
                progress.update()
                left -= len(samples)
                if not left:
                    break
        self._wait()
        return self._folder / "whole"

    def _run(self, arguments: list[str]) -> None:
        self._start(arguments)
        self._wait()

    def _start(self, arguments: list[str]) -> None:
        import imageio_ffmpeg

        try:
            found = imageio_ffmpeg.get_ffmpeg_exe()
        except RuntimeError as error:
            raise InputError("ffmpeg was not found; reinstall imageio-ffmpeg, which contains it.") from error
        program = os.path.abspath(shutil.which(found) or found)
        # In a process group of its own: Ctrl-C then reaches only us, and we decide what happens to the file.
        apart = {"start_new_session": True}
        if os.name == "nt":
            apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        with open(self._folder / "log.txt", "wb") as log:
            self._process = subprocess.Popen(
                [program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._folder,
                **apart,
            )

    def _wait(self) -> None:
        self._process.stdin.close()
        while True:
            host.current().check_cancelled()
            try:
                status = self._process.wait(0.2)
                break
            except subprocess.TimeoutExpired:
                continue
        if status != 0:
            raise self._failure(f"ffmpeg ended with status {status}")

    def _failure(self, reason: str) -> InputError:
        # what ffmpeg said is nearer to the cause than the pipe that broke
        log = self._folder / "log.txt"
        said = log.read_text("utf-8", "replace").strip() if log.exists() else ""
        return InputError(
            f"'{self.path.name}' could not be finished ({said.splitlines()[-1] if said else reason}); "
            "make room on the disk or choose another folder or format."
        )

    def _discard(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            try:
                self._process.stdin.close()
            except OSError:
                # the pipe still held bytes for the process that is gone
                pass
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def _write_ffmetadata(path: Path, metadata: dict[str, str]) -> None:
    # in a file, since a workflow can be longer than a command line may be
    escape = str.maketrans({char: "\\" + char for char in "=;#\\\n"})
    lines = [f"{key.translate(escape)}={value.translate(escape)}\n" for key, value in metadata.items()]
    path.write_text(";FFMETADATA1\n" + "".join(lines), encoding="utf-8", newline="\n")
