"""ComfyUI's IMAGE, VIDEO and AUDIO as streams: read frame by frame, passed on as lossless temporary files."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import scratch_folder
from ..mimaface_core.media.audio import AnyAudio, Audio, AudioFile
from ..mimaface_core.media.frames import Frames
from ..mimaface_core.media.read import Clip
from ..mimaface_core.media.write import VideoWriter
from ..mimaface_core.tensors import to_uint8
from .comfyui.schema import VideoFromComponents, VideoFromFile


def frames_of(frames: Any, fps: float = 25.0, alpha: bool = False) -> Frames:
    """Frames of an IMAGE (at `fps`) or of a VIDEO (at its own rate).

    A VIDEO is never loaded as a whole; one that was made of an IMAGE gives that, not an encoding of it.

    Args:
        frames: IMAGE or VIDEO.
        fps: frames a second of an IMAGE.
        alpha: whether the alpha of an IMAGE with four channels, or of a video of `lossless_video`, is kept.

    Raises:
        InputError: an IMAGE of another shape than [N, H, W, C], or a VIDEO that cannot be read.
    """
    if isinstance(frames, VideoFromComponents):
        parts = frames.get_components()
        return frames_of(parts.images, float(parts.frame_rate), alpha)
    if not is_video(frames):
        return Frames.of_batch(frames, fps, alpha)
    whole = Frames.of_video(frames.get_stream_source(), alpha and getattr(frames, "has_alpha", False))
    whole = replace(whole, images=_Held(whole.images, frames))
    return whole.part(*_window(frames)) if any(_window(frames)) else whole


@dataclass(frozen=True, eq=False)
class _Held:
    """Images with the VIDEO from whose file they are read: a temporary file lasts as long as that."""

    images: Iterable[Tensor]
    video: Any

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.images)


def is_video(value: Any) -> bool:
    """Whether a value is a VIDEO, of whichever class: ComfyUI and other extensions have several."""
    return hasattr(value, "get_stream_source")


def file_of(value: Any) -> str | None:
    """The path of a VIDEO's file; None for images, and for videos that are in memory."""
    if not is_video(value) or isinstance(value, VideoFromComponents):
        return None
    file = value.get_stream_source()
    return str(file) if isinstance(file, (str, os.PathLike)) else None


def _window(video: Any) -> tuple[float, float]:
    """Start and length in seconds of a VIDEO that a newer ComfyUI has trimmed; 0 for all of it.

    Its file is the whole one.
    """
    window = getattr(video, "get_active_trim_window", None)
    return (0.0, 0.0) if window is None else window()


class StreamedAudio(Mapping, dict):  # type: ignore[misc, metaclass]  # Mapping's methods over dict's, for `isinstance`
    """An AUDIO that stays in its file until a node asks for `waveform` [1, C, T]; a dict, as ComfyUI's is."""

    def __init__(self, file: AudioFile) -> None:
        self.file = file

    def __getitem__(self, key: str) -> Any:
        if key == "waveform":
            return self._waveform
        return {"sample_rate": self.file.sample_rate}[key]

    def __iter__(self) -> Iterator[str]:
        return iter(("waveform", "sample_rate"))

    def __len__(self) -> int:
        return 2

    @cached_property
    def _waveform(self) -> Tensor:
        return torch.cat(list(self.file.blocks()), dim=1)[None]


def audio_of(value: Any) -> AnyAudio | None:
    """The audio of an AUDIO or a VIDEO, to be read block by block; None for a VIDEO without any, and for None."""
    if value is None:
        return None
    if isinstance(value, VideoFromComponents):
        return audio_of(value.get_components().audio)
    if is_video(value):
        whole = AudioFile.open(value.get_stream_source())
        return whole.part(*_window(value)) if whole is not None and any(_window(value)) else whole
    if isinstance(value, StreamedAudio):
        return value.file
    return Audio(_in_memory(value["waveform"]), int(value["sample_rate"]))


def _in_memory(waveform: Tensor) -> Tensor:
    """The first waveform [C, T] of a batch, float32 in ±1; ComfyUI's Get Video Components gives whole numbers, too."""
    if not len(waveform):
        raise InputError("The audio is empty; connect a recording of at least one sample.")
    samples = waveform[0].detach().cpu()
    return samples.float() if samples.is_floating_point() else samples / -float(torch.iinfo(samples.dtype).min)


class StreamedVideo(VideoFromFile):
    """A VIDEO whose file is lossless; saved, it is encoded as one that plays anywhere.

    Attributes:
        has_alpha: the file has an alpha beside its colours, which stand on white (`tensors.on_white`).
    """

    has_alpha = False

    def save_to(
        self,
        path: str | os.PathLike | BinaryIO,
        format: str = "auto",
        codec: str = "auto",
        metadata: dict | None = None,
    ) -> None:
        """Write an mp4 (H.264) to a path or BytesIO. Raises InputError for other formats."""
        if format not in ("auto", "mp4") or codec not in ("auto", "h264"):
            raise InputError(f"A video cannot be saved as {format} with {codec} here; choose mp4 with h264.")
        clip = Clip.open(self.get_stream_source())
        audio = AudioFile.open(self.get_stream_source()) if clip.has_audio else None

        def encode(target: Path) -> Path:
            with VideoWriter(target, clip.fps, "mp4", audio=audio, metadata=metadata) as writer:
                for frame in clip:
                    writer.write(frame)
            return writer.path

        if isinstance(path, (str, os.PathLike)):
            encode(Path(path))
            return
        with scratch_folder(host.current().temp_folder()) as folder:
            path.write(encode(folder / "video.mp4").read_bytes())


class LosslessVideo:
    """A VIDEO being written for another node; `video` is set when the block has ended well."""

    def __init__(self, writer: VideoWriter) -> None:
        self._writer = writer
        self.video: StreamedVideo | None = None
        self.has_alpha = False

    def add(self, frames: Tensor) -> None:
        """Append frames [N, H, W, 3], or 4 with an alpha, in 0–1."""
        self.has_alpha = frames.shape[-1] == 4
        for frame in to_uint8(frames).cpu():
            self._writer.write(frame)


@contextmanager
def lossless_video(fps: Fraction) -> Iterator[LosslessVideo]:
    """A new lossless video in the temporary folder; deleted when the last reference to it is garbage-collected."""
    with ExitStack() as cleanup:
        folder = cleanup.enter_context(scratch_folder(host.current().temp_folder()))
        with VideoWriter(folder / "frames.mov", fps, "lossless") as writer:
            written = LosslessVideo(writer)
            yield written
        written.video = StreamedVideo(str(writer.path))
        written.video.has_alpha = written.has_alpha
        weakref.finalize(written.video, cleanup.pop_all().close)
