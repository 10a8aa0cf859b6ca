"""The sockets of this pack, and pictures, clips and sound at node borders: read bit by bit, passed on as files."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.media.audio import AnyAudio, Audio, AudioFile
from ..mimaface_core.media.rate import exact_rate
from ..mimaface_core.media.read import Clip
from ..mimaface_core.media.write import VideoWriter
from .comfyui.schema import VideoFromComponents, VideoFromFile, io

CATEGORY = "MIMAFace"
Pack = io.Custom("MIMAFACE_PACK")
Source = io.Custom("MIMAFACE_SOURCE")
Motion = io.Custom("MIMAFACE_MOTION")
Appearance = io.Custom("MIMAFACE_APPEARANCE")
Landmarks = io.Custom("FACE_LANDMARKS")  # of ComfyUI's core, where it is new enough

PACK_TIP = "The model pack, from Load Pack."
SOURCE_TIP = "The person to be animated, from Extract 3DMM."


class Frames(NamedTuple):
    """Pictures to go through, as often as wanted: uint8 or 0–1 float [H, W, 3]; about how many; their exact rate."""

    pictures: Iterable[Tensor]
    count: int
    fps: Fraction


def frames_of(picture, fps: float = 25.0) -> Frames:
    """The frames of an IMAGE (at `fps`) or of a VIDEO (at its own rate).

    A VIDEO is never loaded as a whole; one that was made of an IMAGE gives that, not an encoding of it. Raises
    InputError for an IMAGE of another shape than [N, H, W, C].
    """
    if isinstance(picture, VideoFromComponents):
        parts = picture.get_components()
        return frames_of(parts.images, float(parts.frame_rate))
    if isinstance(picture, Tensor):
        return Frames(Pictures(picture), len(picture), exact_rate(fps))
    clip = Clip.open(picture.get_stream_source())
    return Frames(clip, clip.frames, clip.fps)


class Pictures:
    """An IMAGE, picture by picture: [H, W, 3] in float32 in main memory, without transparency."""

    def __init__(self, images: Tensor):
        if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
            raise InputError(
                f"A batch of pictures has the shape [pictures, height, width, 3], not {list(images.shape)};"
                " connect an IMAGE."
            )
        self._images = images.detach()

    def __iter__(self) -> Iterator[Tensor]:
        for number in range(len(self._images)):
            yield self._images[number, ..., :3].float().cpu().expand(-1, -1, 3)


class StreamedAudio(Mapping, dict):
    """An AUDIO that stays in its file until a node asks for `waveform` [1, C, T]."""

    def __init__(self, sound: AudioFile):
        self.sound = sound

    def __getitem__(self, key):
        if key == "waveform":
            return self._waveform
        return {"sample_rate": self.sound.sample_rate}[key]

    def __iter__(self):
        return iter(("waveform", "sample_rate"))

    def __len__(self):
        return 2

    @cached_property
    def _waveform(self) -> Tensor:
        import torch

        return torch.cat(list(self.sound.blocks()), dim=1)[None]


def sound_in(value) -> AnyAudio | None:
    """The sound of an AUDIO or a VIDEO, to be read block by block; None for a VIDEO without any, and for None."""
    if value is None:
        return None
    if isinstance(value, VideoFromComponents):
        return sound_in(value.get_components().audio)
    if hasattr(value, "get_stream_source"):
        return AudioFile.open(value.get_stream_source())
    if isinstance(value, StreamedAudio):
        return value.sound
    return Audio(value["waveform"][0].detach().float().cpu(), int(value["sample_rate"]))


class StreamedVideo(VideoFromFile):
    """A VIDEO whose file keeps every bit of its pictures; saved, it is encoded as one that plays anywhere."""

    def save_to(self, path, format="auto", codec="auto", metadata=None) -> None:
        """Write an mp4 (H.264) to a path or BytesIO. Raises InputError for other formats."""
        if format not in ("auto", "mp4") or codec not in ("auto", "h264"):
            raise InputError(f"A video cannot be saved as {format} with {codec} here; choose mp4 with h264.")
        clip = Clip.open(self.get_stream_source())
        sound = AudioFile.open(self.get_stream_source()) if clip.has_audio else None

        def encode(target: Path) -> Path:
            with VideoWriter(target, clip.fps, "mp4", audio=sound, metadata=metadata) as film:
                for frame in clip:
                    film.write(frame)
            return film.path

        if isinstance(path, (str, os.PathLike)):
            encode(Path(path))
            return
        with tempfile.TemporaryDirectory(dir=host.current().temp_folder()) as folder:
            path.write(encode(Path(folder, "video.mp4")).read_bytes())


class Film:
    """A VIDEO being made for another node; `video` is there when the block has ended well."""

    def __init__(self, writer: VideoWriter):
        self._writer = writer
        self.video: StreamedVideo | None = None

    def add(self, frames: Tensor) -> None:
        """Append frames [N, H, W, 3] in 0–1."""
        for frame in (frames.clamp(0, 1) * 255).round().byte().cpu():
            self._writer.write(frame)


@contextmanager
def film(fps: Fraction) -> Iterator[Film]:
    """A new lossless clip in the temporary folder; its file goes with the last that holds the video."""
    folder = Path(tempfile.mkdtemp(prefix="mimaface-", dir=host.current().temp_folder()))
    with ExitStack() as kept:
        kept.callback(shutil.rmtree, folder, ignore_errors=True)
        with VideoWriter(folder / "frames.mov", fps, "lossless") as writer:
            made = Film(writer)
            yield made
        made.video = StreamedVideo(str(writer.path))
        weakref.finalize(made.video, kept.pop_all().close)


def batches(frames: Frames, size: int) -> Iterator[Tensor]:
    """The frames in batches [N, H, W, 3] of float in 0–1."""
    import torch

    batch: list[Tensor] = []
    for picture in frames.pictures:
        batch.append(picture.float() / 255 if not picture.is_floating_point() else picture.float())
        if len(batch) == size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)
