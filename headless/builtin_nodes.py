"""Stand-ins for the built-in ComfyUI nodes of the shipped graphs: same ids, inputs and types as in ComfyUI 0.3.64.

Images are read more widely than there: colour profiles, CMYK, 16 bits, HEIC, cut-outs on white.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.media.output_path import check_output_path, next_output_path
from ..nodes.comfyui.schema import VideoComponents, VideoFromComponents, VideoFromFile, io, ui
from ..nodes.node import fault, verdict
from ..nodes.streams import StreamedAudio


class LoadImage(io.ComfyNode):
    """An image file as IMAGE [1, H, W, 3] and its transparency as MASK [1, H, W] (1 = transparent).

    The IMAGE of a cut-out has a fourth channel, its alpha, as of ComfyUI's Join Image with Alpha.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadImage",
            display_name="Load Image",
            category="image",
            inputs=[io.Combo.Input("image", options=[], upload=io.UploadType.image)],
            outputs=[io.Image.Output(), io.Mask.Output()],
        )

    @classmethod
    def execute(cls, image: str) -> io.NodeOutput:
        import torch

        from ..mimaface_core.media.image import read_cut_out, read_image, read_transparency
        from ..mimaface_core.media.marks.report import name_marks

        name_marks(image, "the image")
        mask, cut_out = read_transparency(image), read_cut_out(image)
        # as in ComfyUI, 64×64 zeros where there is no alpha
        pixels = read_image(image) if cut_out is None else cut_out
        return io.NodeOutput(pixels[None], (torch.zeros(64, 64) if mask is None else mask)[None])


class WebcamCapture(io.ComfyNode):
    """An image of a camera as IMAGE [1, H, W, 3]; here it is a file, as the page stores it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="WebcamCapture",
            display_name="Webcam Capture",
            category="image",
            inputs=[
                io.Custom("WEBCAM").Input("image"),
                io.Int.Input("width", default=0, min=0, max=16384, step=1),
                io.Int.Input("height", default=0, min=0, max=16384, step=1),
                io.Boolean.Input("capture_on_queue", default=True),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image: str, **_: Any) -> io.NodeOutput:
        from ..mimaface_core.media.image import read_image
        from ..mimaface_core.media.marks.report import name_marks

        name_marks(image, "the image")
        return io.NodeOutput(read_image(image)[None, ..., :3])


class LoadVideo(io.ComfyNode):
    """A video file as VIDEO; nothing is decoded yet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadVideo",
            display_name="Load Video",
            category="image/video",
            inputs=[io.Combo.Input("file", options=[], upload=io.UploadType.video)],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, file: str) -> io.NodeOutput:
        video = VideoFromFile(file)
        video.get_dimensions()  # refuses a file of another kind here, where the message names this node
        return io.NodeOutput(video)


class LoadAudio(io.ComfyNode):
    """The audio of an audio or video file as AUDIO, decoded where it is needed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadAudio",
            display_name="Load Audio",
            category="audio",
            inputs=[io.Combo.Input("audio", options=[], upload=io.UploadType.audio)],
            outputs=[io.Audio.Output()],
        )

    @classmethod
    def execute(cls, audio: str) -> io.NodeOutput:
        from ..mimaface_core.media.audio import AudioFile

        file = AudioFile.open(audio)
        if file is None:
            raise InputError(f"'{audio}' has no audio; give a file with an audio track.")
        return io.NodeOutput(StreamedAudio(file))


class GetVideoComponents(io.ComfyNode):
    """Images, audio and frame rate of a video, all of it in memory."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="GetVideoComponents",
            display_name="Get Video Components",
            category="image/video",
            description="Extracts all components from a video: frames, audio, and framerate.",
            inputs=[io.Video.Input("video", tooltip="The video to extract components from.")],
            outputs=[
                io.Image.Output(display_name="images"),
                io.Audio.Output(display_name="audio"),
                io.Float.Output(display_name="fps"),
            ],
        )

    @classmethod
    def execute(cls, video: VideoFromFile | VideoFromComponents) -> io.NodeOutput:
        parts = video.get_components()
        return io.NodeOutput(parts.images, parts.audio, float(parts.frame_rate))


class CreateVideo(io.ComfyNode):
    """Images and perhaps audio as VIDEO; 29.97 and its like become the exact fraction again."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CreateVideo",
            display_name="Create Video",
            category="image/video",
            description="Create a video from images.",
            inputs=[
                io.Image.Input("images", tooltip="The images to create a video from."),
                io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=1.0),
                io.Audio.Input("audio", optional=True, tooltip="The audio to add to the video."),
            ],
            outputs=[io.Video.Output()],
        )

    @classmethod
    def execute(cls, images: Tensor, fps: float, audio: dict[str, Any] | None = None) -> io.NodeOutput:
        rate = Fraction(fps).limit_denominator(1001)
        return io.NodeOutput(VideoFromComponents(VideoComponents(images=images, frame_rate=rate, audio=audio)))


class SaveVideo(io.ComfyNode):
    """A video written to the output folder as an mp4."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveVideo",
            display_name="Save Video",
            category="image/video",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[
                io.Video.Input("video", tooltip="The video to save."),
                io.String.Input(
                    "filename_prefix",
                    default="video/ComfyUI",
                    tooltip="The prefix for the file to save; may hold folders and %date% parts.",
                ),
                io.Combo.Input(
                    "format",
                    options=["auto", "mp4"],
                    default="auto",
                    tooltip="The format to save the video as.",
                ),
                io.Combo.Input(
                    "codec",
                    options=["auto", "h264"],
                    default="auto",
                    tooltip="The codec to use for the video.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        return verdict(None if filename_prefix is None else fault(check_output_path, filename_prefix, ".mp4"))

    @classmethod
    def execute(
        cls, video: VideoFromFile | VideoFromComponents, filename_prefix: str, format: str, codec: str
    ) -> io.NodeOutput:
        place = next_output_path(host.current().output_folder(), filename_prefix, *video.get_dimensions())
        path = place.file(".mp4")
        metadata = {"prompt": cls.hidden.prompt} if cls.hidden.prompt else None
        video.save_to(str(path), format=format, codec=codec, metadata=metadata)
        result = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(ui=ui.PreviewVideo([result]))


class SaveImage(io.ComfyNode):
    """Images written to the output folder as PNG files."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveImage",
            display_name="Save Image",
            category="image",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[
                io.Image.Input("images", tooltip="The images to save."),
                io.String.Input(
                    "filename_prefix",
                    default="ComfyUI",
                    tooltip="The prefix for the file to save; may hold folders and %date% parts.",
                ),
            ],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        return verdict(None if filename_prefix is None else fault(check_output_path, filename_prefix, ".png"))

    @classmethod
    def execute(cls, images: Tensor, filename_prefix: str = "ComfyUI") -> io.NodeOutput:
        return io.NodeOutput(ui=ui.ImageSaveHelper.get_save_images_ui(images, filename_prefix, cls))


class PreviewImage(io.ComfyNode):
    """Images to look at; the runner moves them to `preview/` of the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PreviewImage",
            display_name="Preview Image",
            category="image",
            description="Saves the input images to your ComfyUI output directory.",
            inputs=[io.Image.Input("images")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, images: Tensor) -> io.NodeOutput:
        return io.NodeOutput(ui=ui.PreviewImage(images, cls=cls))


BUILTIN_NODES: list[type[io.ComfyNode]] = [
    LoadImage,
    WebcamCapture,
    LoadVideo,
    LoadAudio,
    GetVideoComponents,
    CreateVideo,
    SaveVideo,
    SaveImage,
    PreviewImage,
]
