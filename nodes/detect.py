"""Detect: what marks of synthetic media an image or video carries."""

from __future__ import annotations

import json
from typing import Any

from ..mimaface_core.media.marks.report import Marks, marks_of, watermark_of
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY
from .streams import file_of, frames_of


class Detect(Node):
    """The marks of an image or video, in words and as JSON."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceDetect",
            display_name="Detect (MIMAFace)",
            category=CATEGORY,
            description="Says whether an image or video is marked as synthetic: by the watermark of this extension and,"
            " for a video file, by metadata and content credentials (C2PA).",
            inputs=[
                io.MultiType.Input(
                    "frames",
                    types=[io.Video, io.Image],
                    tooltip="The image or video to look at. An image has lost its metadata when it arrives here.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="What was found, in words; connect Preview as Text."),
                io.String.Output(display_name="json", tooltip="The same as JSON."),
                io.Boolean.Output(display_name="marked", tooltip="Whether any mark was found."),
            ],
        )

    @classmethod
    def execute(cls, frames: Any) -> io.NodeOutput:
        file = file_of(frames)
        marks = marks_of(file) if file is not None else Marks(watermark=watermark_of(frames_of(frames)))
        return io.NodeOutput("\n".join(marks.sentences()), json.dumps(marks.as_json(), indent=1), marks.any)
