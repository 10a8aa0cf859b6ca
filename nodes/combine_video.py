"""Combine Video: write the finished file, with audio and the note that the face is synthetic."""

from __future__ import annotations

import logging
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.media.audio import AnyAudio, UndecodableAudioError
from ..mimaface_core.media.frames import Frames
from ..mimaface_core.media.marks.sign import check_signing
from ..mimaface_core.media.marks.user import request_consent
from ..mimaface_core.media.output_path import check_output_path, next_output_path
from ..mimaface_core.media.provenance import own_credentials, own_watermark, synthetic_metadata
from ..mimaface_core.media.rate import exact_rate
from ..mimaface_core.media.write import VideoWriter
from ..mimaface_core.tensors import to_uint8
from .comfyui.schema import io, ui
from .node import Node, fault, verdict
from .sockets import CATEGORY, ImplicitSource, Source
from .streams import StreamedVideo, audio_of, frames_of, is_video, lossless_video
from .widgets import frame_rate

FORMATS = ("mp4", "webm", "gif", "png")
_SIGN_TIP = (
    "Signs the finished file with content credentials (C2PA) by your own key: mp4, gif, png. Needs c2pa-python. What"
    " changes the file afterwards breaks them."
)
IMAGE_FPS = 25.0  # of a batch of images that comes without a rate

_log = logging.getLogger(__name__)


class CombineVideo(Node):
    """Writes frames to the output folder; a single frame becomes a PNG image, unless webm or gif is chosen."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceCombineVideo",
            display_name="Combine Video (MIMAFace)",
            category=CATEGORY,
            description="Writes the video to the output folder, with audio. A single frame is written as a PNG image,"
            " unless webm or gif is chosen.",
            inputs=[
                io.MultiType.Input(
                    "frames",
                    types=[io.Video, io.Image],
                    tooltip="The frames to write, from Sample Clips, Render Implicit or Paste Back.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="mimaface",
                    tooltip="Beginning of the file name; may hold folders, dates such as %date:yyyy-MM-dd% and values"
                    " of other nodes such as %Load Image.image%.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="mp4",
                    tooltip="mp4 plays everywhere; webm is smaller; gif has no audio; png writes every frame without"
                    " loss into a folder.",
                ),
                frame_rate(
                    "Frames per second; 0 keeps the video's own rate exactly. Other values play it faster or slower.",
                    default=0.0,
                    least=0.0,
                ),
                io.Audio.Input("audio", optional=True, tooltip="Audio to add; it is cut where the video ends."),
                io.Video.Input(
                    "sound_of",
                    optional=True,
                    tooltip="A video whose audio is used when none is connected, usually the driver.",
                ),
                io.Boolean.Input(
                    "watermark",
                    default=True,
                    optional=True,
                    tooltip="Lays an invisible mark into the frames, by which the result can be recognised as synthetic"
                    " after it was shared. Off, the metadata say so.",
                ),
                io.Boolean.Input("sign", default=False, optional=True, tooltip=_SIGN_TIP),
                io.MultiType.Input(
                    "photograph",
                    types=[io.Image, Source, ImplicitSource],
                    optional=True,
                    tooltip="The photograph that was animated, noted in the content credentials.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The video, for further nodes.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(
        cls, filename_prefix: str | None = None, format: str | None = None, sign: bool | None = None
    ) -> bool | str:
        wrong = cls.option_fault(format=format)
        if wrong is None and sign and format is not None:
            wrong = fault(check_signing, f".{format}")
        if wrong is None and filename_prefix is not None:
            wrong = fault(check_output_path, filename_prefix, _longest_suffix(format))
        return verdict(wrong)

    @classmethod
    def execute(
        cls,
        frames: Any,
        filename_prefix: str,
        format: str,
        fps: float,
        audio: Any = None,
        sound_of: Any = None,
        watermark: bool = True,
        sign: bool = False,
        photograph: Any = None,
    ) -> io.NodeOutput:
        request_consent()
        stream = frames_of(frames, fps or IMAGE_FPS, alpha=True)
        first = list(islice(stream, 2))
        kind = "png" if len(first) == 1 and format == FORMATS[0] else format
        height, width = first[0].shape[:2] if first else (0, 0)
        place = next_output_path(host.current().output_folder(), filename_prefix, width, height)
        mark = own_watermark() if watermark else None
        notes = synthetic_metadata(mark) | {"prompt": cls.hidden.prompt, **(cls.hidden.extra_pnginfo or {})}
        writer = VideoWriter(
            place.file(f".{kind}"),
            exact_rate(fps) if fps else stream.fps,
            kind,
            audio=_sound_of(sound_of) if audio is None else audio_of(audio),
            metadata={key: value for key, value in notes.items() if value is not None},
            watermark=mark,
            credentials=own_credentials(mark.payload if mark else None, _pixels(photograph)) if sign else None,
        )
        with writer, host.current().progress(stream.count, "writing") as progress:
            for frame in stream:
                writer.write(_as_uint8(frame))
                progress.update()
        video = StreamedVideo(str(writer.path)) if kind != "png" else _as_video(frames, stream)
        return io.NodeOutput(video, ui=_shown(writer.path, place.subfolder, kind))


def _longest_suffix(format: str | None) -> str:
    return "_00001.png" if format == "png" else f".{format}" if format else ".webm"  # png: of an image in the folder


def _pixels(photograph: Any) -> Tensor | None:
    """The photograph of an IMAGE or source, uint8 [H, W, 3]."""
    if photograph is None:
        return None
    image = photograph[0] if isinstance(photograph, Tensor) else photograph.image
    return _as_uint8(image[..., :3])


def _as_uint8(frame: Tensor) -> Tensor:
    return to_uint8(frame).cpu() if frame.is_floating_point() else frame


def _as_video(frames: Any, stream: Frames) -> Any:
    """The frames as VIDEO, where the file that was written is none."""
    if is_video(frames):
        return frames
    with lossless_video(stream.fps) as written:
        for batch in stream.batches(4):
            written.add(batch)
    return written.video


def _shown(path: Path, subfolder: str, kind: str) -> Any:
    """The front end's preview: the file, or every image of a sequence."""
    output = io.FolderType.output
    if path.is_dir():
        below = f"{subfolder}/{path.name}" if subfolder else path.name
        return ui.SavedImages([ui.SavedResult(file.name, below, output) for file in sorted(path.iterdir())])
    result = ui.SavedResult(path.name, subfolder, output)
    if kind == "png":
        return ui.SavedImages([result])
    return ui.PreviewVideo([result]) if kind != "gif" else ui.SavedImages([result], is_animated=True)


def _sound_of(video: Any) -> AnyAudio | None:
    """The audio of a video; None, with a logged warning, where it cannot be decoded: the frames are what counts."""
    try:
        return audio_of(video)
    except UndecodableAudioError as error:
        _log.warning("The result has no audio: %s", error)
        return None
