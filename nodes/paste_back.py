"""Paste Back: return the animated crop into the full image."""

from __future__ import annotations

from typing import Any

from ..mimaface_core import host
from ..mimaface_core.drawing import PASTE_BATCH
from ..mimaface_core.face.paste import CroppedFace, Paster
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, ImplicitSource, Source
from .streams import frames_of, lossless_video


class PasteBack(Node):
    """The full image with the animated head in its place."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFacePasteBack",
            display_name="Paste Back (MIMAFace)",
            category=CATEGORY,
            description="Returns the animated face crop into the full image, with soft edges and matched colour.",
            inputs=[
                io.MultiType.Input(
                    "source",
                    types=[Source, ImplicitSource],
                    tooltip="The person that was animated, from Extract 3DMM or Encode Implicit.",
                ),
                io.MultiType.Input(
                    "frames",
                    types=[io.Video, io.Image],
                    tooltip="The animated crop, from Sample Clips or Render Implicit.",
                ),
                io.Int.Input(
                    "longest_side",
                    default=1920,
                    min=64,
                    max=8192,
                    tooltip="Larger images are scaled down to this many pixels. Raise it to keep all of a large"
                    " photograph, at the cost of time and disk space.",
                ),
            ],
            outputs=[
                io.Video.Output(display_name="video", tooltip="The full image, animated."),
                io.Mask.Output(display_name="mask", tooltip="The area of the crop; the same in every frame."),
                io.Mask.Output(
                    display_name="face",
                    tooltip="The face within its outline, as the photograph shows it; the same in every frame. Grow it"
                    " where the head moves far.",
                ),
            ],
        )

    @classmethod
    def execute(cls, source: CroppedFace, frames: Any, longest_side: int) -> io.NodeOutput:
        paste, crops = Paster(source, longest_side), frames_of(frames, alpha=True)
        with host.current().progress(crops.count, "pasting back") as progress, lossless_video(crops.fps) as written:
            for batch in crops.batches(PASTE_BATCH):
                written.add(paste(batch.permute(0, 3, 1, 2)))
                progress.update(len(batch))
        return io.NodeOutput(written.video, paste.mask[None], paste.face[None])
