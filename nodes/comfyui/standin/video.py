"""VIDEO values: a file, or images with audio; the methods of ComfyUI's `VideoInput` that this extension calls."""

from __future__ import annotations

import io
import json
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ....mimaface_core.errors import InputError
from ....mimaface_core.files import replacing, scratch_folder
from ....mimaface_core.media.animation import is_animated_webp, open_clip
from ....mimaface_core.media.audio import Audio, AudioFile, read_audio
from ....mimaface_core.media.container import name_of, open_container
from ....mimaface_core.media.provenance import mark_mp4
from ....mimaface_core.media.write import VideoWriter
from ....mimaface_core.tensors import to_float, to_uint8

if TYPE_CHECKING:
    from av import AudioStream, VideoStream
    from av.container import InputContainer

# Streams that every player takes in an mp4, and that are therefore copied.
VIDEO_CODECS, PIXEL_FORMATS, AUDIO_CODECS = {"h264"}, {"yuv420p", "yuvj420p"}, {"aac", "mp3"}
CONTAINER_METADATA = {"major_brand", "minor_version", "compatible_brands", "encoder"}


@dataclass
class VideoComponents:
    """A video in memory: images [N, H, W, 3] in 0–1, the exact frame rate, AUDIO or None, the file's metadata."""

    images: Tensor
    frame_rate: Fraction
    audio: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class VideoFromFile:
    """A video file; nothing is read before it is asked for."""

    def __init__(self, file: str | Path) -> None:
        self._file = str(file)

    def get_stream_source(self) -> str:
        """The path, for reading frame by frame."""
        return self._file

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        clip = open_clip(self._file)
        return clip.width, clip.height

    def get_components(self) -> VideoComponents:
        """The whole video in memory.

        Raises:
            InputError: the file is not a video, or none of its frames can be read.
        """
        import torch

        clip = open_clip(self._file)
        frames = [to_float(frame) for frame in clip]
        if not frames:
            raise InputError("The video has no frame that can be read; convert it again with another program.")
        audio = read_audio(self._file) if clip.has_audio else None
        value = {"waveform": audio.waveform[None], "sample_rate": audio.sample_rate} if audio else None
        return VideoComponents(torch.stack(frames), clip.fps, value, self._metadata())

    def save_to(
        self,
        path: str | Path,
        format: str = "auto",
        codec: str = "auto",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Write the video as an mp4, which appears when it is whole.

        Streams are copied where every player takes them in an mp4, else encoded as H.264.

        Args:
            path: the file to write.
            format: `auto` or `mp4`.
            codec: `auto` or `h264`.
            metadata: entries added to those that the file already carries.

        Raises:
            InputError: another format or codec is asked for, or the file cannot be read.
        """
        _require_mp4(format, codec)
        entries = self._metadata() | _as_text(metadata)
        clip = open_clip(self._file)
        if not is_animated_webp(self._file):
            with open_container(self._file, name_of(self._file, "the video")) as container:
                streams = _playable_streams(container)
                if streams:
                    _copy(container, streams, Path(path), entries)
                    return
        audio = AudioFile.open(self._file) if clip.has_audio else None
        with VideoWriter(Path(path), clip.fps, "mp4", audio=audio, metadata=entries) as writer:
            for frame in clip:
                writer.write(frame)

    def _metadata(self) -> dict[str, str]:
        if is_animated_webp(self._file):
            return {}
        with open_container(self._file, name_of(self._file, "the video")) as container:
            return {k: v for k, v in container.metadata.items() if k.lower() not in CONTAINER_METADATA}


class VideoFromComponents:
    """Images with a frame rate and perhaps audio, as a video."""

    def __init__(self, components: VideoComponents) -> None:
        self._components = components

    def get_components(self) -> VideoComponents:
        """The components it was made of."""
        return self._components

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._components.images.shape[2], self._components.images.shape[1]

    def get_stream_source(self) -> io.BytesIO:
        """The encoded video."""
        with scratch_folder(Path(tempfile.gettempdir())) as folder:
            path = folder / "video.mp4"
            self.save_to(path)
            return io.BytesIO(path.read_bytes())

    def save_to(
        self,
        path: str | Path,
        format: str = "auto",
        codec: str = "auto",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Encode as an mp4 (H.264); arguments and errors as `VideoFromFile.save_to`."""
        _require_mp4(format, codec)
        parts, audio = self._components, None
        if parts.audio is not None:
            audio = Audio(parts.audio["waveform"][0], int(parts.audio["sample_rate"]))
        with VideoWriter(Path(path), parts.frame_rate, "mp4", audio=audio, metadata=_as_text(metadata)) as writer:
            for image in parts.images:
                writer.write(to_uint8(image))


def _require_mp4(format: str, codec: str) -> None:
    if format not in ("auto", "mp4") or codec not in ("auto", "h264"):
        raise InputError(f"A video cannot be saved as {format} with {codec} here; choose mp4 with h264.")


def _as_text(metadata: dict[str, Any] | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}


def _playable_streams(container: InputContainer) -> list[VideoStream | AudioStream]:
    """The video and all audio streams of an mp4, if every player takes them; else none."""
    import av

    video = container.streams.best("video")
    if "mp4" not in container.format.name.split(",") or not isinstance(video, av.VideoStream):
        return []
    video_fits = video.codec_context.name in VIDEO_CODECS and video.codec_context.pix_fmt in PIXEL_FORMATS
    audio_fits = all(audio.codec_context.name in AUDIO_CODECS for audio in container.streams.audio)
    return [video, *container.streams.audio] if video_fits and audio_fits else []


def _copy(
    container: InputContainer, streams: list[VideoStream | AudioStream], path: Path, metadata: dict[str, str]
) -> None:
    """Copy streams of a container into an mp4 at `path`, packet by packet."""
    import av

    with replacing(path) as part:
        with av.open(str(part), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as output:
            output.metadata.update(metadata)
            copies = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in streams}
            for packet in container.demux(streams):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    output.mux(packet)
        mark_mp4(part, metadata)
