"""Evaluate: score a result against its driver and its source."""

from __future__ import annotations

import json
from typing import Any

from torch import Tensor

from ..mimaface_core.media.frames import Frames
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY
from .streams import frames_of, is_video


class Evaluate(Node):
    """Scores of one output, as JSON and as an image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEvaluate",
            display_name="Evaluate (MIMAFace)",
            category=CATEGORY,
            description="Scores a result: motion, expression, pose, gaze, likeness, sharpness, and lip sync where it"
            " has audio.",
            inputs=[
                io.MultiType.Input(
                    "output",
                    types=[io.Video, io.Image],
                    tooltip="The result to score, from Sample Clips, Paste Back or a file.",
                ),
                io.Boolean.Input(
                    "same",
                    default=False,
                    tooltip="Switch it on when the driver's first frame was the source: images are then compared, too,"
                    " by PSNR, SSIM and LPIPS.",
                ),
                io.Image.Input(
                    "source",
                    optional=True,
                    tooltip="The photograph that was animated, for likeness and sharpness; not needed with same.",
                ),
                io.MultiType.Input(
                    "driver",
                    types=[io.Video, io.Image],
                    optional=True,
                    tooltip="The video that drove it, for motion, expression, pose and gaze.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="scores",
                    tooltip="All scores as JSON, each with its estimator and where its weights lie.",
                ),
                io.Image.Output(display_name="table", tooltip="Frames and scores as an image; connect Preview Image."),
            ],
        )

    @classmethod
    def execute(cls, output: Any, same: bool, source: Tensor | None = None, driver: Any = None) -> io.NodeOutput:
        from ..mimaface_core.scoring import evaluate

        output_frames, driver_frames = _at_one_rate(output, driver)
        file = output.get_stream_source() if is_video(output) else None
        result = evaluate(
            output_frames,
            source=None if source is None else source[0, ..., :3],
            driver=driver_frames,
            same=same,
            video_file=file if isinstance(file, str) else None,
        )
        return io.NodeOutput(json.dumps(result.report, indent=1, ensure_ascii=False), result.table[None])


def _at_one_rate(output: Any, driver: Any) -> tuple[Frames, Frames | None]:
    """Both as frames; images take the other one's rate."""
    fps = next((float(frames_of(value).fps) for value in (output, driver) if is_video(value)), 25.0)
    return frames_of(output, fps), None if driver is None else frames_of(driver, fps)
