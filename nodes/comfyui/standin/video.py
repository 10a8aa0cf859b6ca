"""The stand-in's VIDEO values: a file, or pictures with sound. Same methods as ComfyUI's `VideoInput`."""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ....mimaface_core.errors import InputError
from ....mimaface_core.media.audio import Audio, AudioFile, read_audio
from ....mimaface_core.media.provenance import mark_mp4
from ....mimaface_core.media.read import Clip
from ....mimaface_core.media.write import VideoWriter

# what every player takes in an mp4 and is therefore carried over unchanged
PICTURE_CODECS, PIXELS, SOUND_CODECS = {"h264"}, {"yuv420p", "yuvj420p"}, {"aac", "mp3"}


@dataclass
class VideoComponents:
    """A video in memory: images [N, H, W, 3] in 0..1, the exact frame rate, AUDIO or None, the file's notes."""

    images: Any
    frame_rate: Fraction
    audio: dict | None = None
    metadata: dict | None = None


class VideoFromFile:
    """A video file, by path or as a BytesIO; nothing is read before it is asked for."""

    def __init__(self, file: str | Path | io.BytesIO):
        self._file = file if isinstance(file, io.BytesIO) else str(file)

    def get_stream_source(self) -> str | io.BytesIO:
        """The path or the rewound buffer, for reading frame by frame."""
        if isinstance(self._file, io.BytesIO):
            self._file.seek(0)
        return self._file

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        clip = Clip.open(self.get_stream_source())
        return clip.width, clip.height

    def get_duration(self) -> float:
        """Length in seconds."""
        clip = Clip.open(self.get_stream_source())
        return float((clip.frames or sum(1 for _ in clip)) / clip.fps)

    def get_container_format(self) -> str:
        """ffmpeg's name of the container, such as `mov,mp4,m4a,3gp,3g2,mj2`."""
        import av

        with av.open(self.get_stream_source()) as container:
            return container.format.name

    def get_components(self) -> VideoComponents:
        """The whole video in memory. Raises InputError for a file that is not a video."""
        import torch

        clip = Clip.open(self.get_stream_source())
        frames = [frame.float() / 255 for frame in clip]
        if not frames:
            raise InputError("The video has no frame that can be read; convert it again with another program.")
        sound = read_audio(self.get_stream_source()) if clip.has_audio else None
        audio = sound and {"waveform": sound.waveform[None], "sample_rate": sound.sample_rate}
        return VideoComponents(torch.stack(frames), clip.fps, audio, self._notes())

    def save_to(self, path: str | Path, format: str = "auto", codec: str = "auto", metadata=None) -> None:
        """Write the video as an mp4: streams are copied where an mp4 can carry them, else encoded as h264.

        `metadata` is added to the notes that the file already carries. The file appears when it is whole.
        """
        import av

        notes = self._notes() | _texts(metadata)
        clip = Clip.open(self.get_stream_source())
        with av.open(self.get_stream_source()) as container:
            if "mp4" in container.format.name.split(",") and _plays_anywhere(container):
                _copy(container, Path(path), notes)
                return
        sound = AudioFile.open(self.get_stream_source()) if clip.has_audio else None
        with VideoWriter(Path(path), clip.fps, "mp4", audio=sound, metadata=notes) as writer:
            for frame in clip:
                writer.write(frame)

    def _notes(self) -> dict[str, str]:
        import av

        with av.open(self.get_stream_source()) as container:
            technical = {"major_brand", "minor_version", "compatible_brands", "encoder"}
            return {k: v for k, v in container.metadata.items() if k.lower() not in technical}


class VideoFromComponents:
    """Pictures with a frame rate and perhaps sound, as a video."""

    def __init__(self, components: VideoComponents):
        self._components = components

    def get_components(self) -> VideoComponents:
        """The components it was made of."""
        return self._components

    def get_dimensions(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._components.images.shape[2], self._components.images.shape[1]

    def get_duration(self) -> float:
        """Length in seconds."""
        return float(len(self._components.images) / self._components.frame_rate)

    def get_container_format(self) -> str:
        """The container it is written as."""
        return "mov,mp4,m4a,3gp,3g2,mj2"

    def get_stream_source(self) -> io.BytesIO:
        """The encoded video."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "video.mp4"
            self.save_to(path)
            return io.BytesIO(path.read_bytes())

    def save_to(self, path: str | Path, format: str = "auto", codec: str = "auto", metadata=None) -> None:
        """Encode as an mp4 (h264)."""
        parts, sound = self._components, None
        if parts.audio is not None:
            sound = Audio(parts.audio["waveform"][0], int(parts.audio["sample_rate"]))
        with VideoWriter(Path(path), parts.frame_rate, "mp4", audio=sound, metadata=_texts(metadata)) as writer:
            for image in parts.images:
                writer.write((image.clamp(0, 1) * 255).round().byte())


def _texts(metadata: dict | None) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in (metadata or {}).items()}


def _plays_anywhere(container) -> bool:
    picture = container.streams.best("video")
    return (
        picture.codec_context.name in PICTURE_CODECS
        and picture.codec_context.pix_fmt in PIXELS
        and all(sound.codec_context.name in SOUND_CODECS for sound in container.streams.audio)
    )


def _copy(container, path: Path, notes: dict[str, str]) -> None:
    """Copy picture and sound of an open PyAV container into an mp4 at `path`, packet by packet."""
    import av

    unfinished = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(unfinished), "w", format="mp4", options={"movflags": "use_metadata_tags"}) as output:
            output.metadata.update(notes)
            wanted = [container.streams.best("video"), *container.streams.audio]
            copies = {stream.index: output.add_stream_from_template(stream, opaque=True) for stream in wanted}
            for packet in container.demux(wanted):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream.index]
                    output.mux(packet)
        mark_mp4(unfinished, notes)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
