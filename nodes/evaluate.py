"""Evaluate: how closely a result follows its driver and keeps its source, in numbers."""

from __future__ import annotations

from ..mimaface_core.media.frames import Frames
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY
from .streams import frames_of, is_video


class Evaluate(Node):
    """Scores of one output, as JSON and as a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEvaluate",
            display_name="Evaluate (MIMAFace)",
            category=CATEGORY,
            description="Scores a result: motion, expression, pose, gaze, likeness, sharpness, and sound where it has any.",
            inputs=[
                io.MultiType.Input(
                    "output",
                    types=[io.Video, io.Image],
                    tooltip="The result to score: of Sample Clips, Paste Back or a file.",
                ),
                io.Boolean.Input(
                    "same",
                    default=False,
                    tooltip="Switch on where the driver's first frame was the source: then pictures are compared, too,"
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
                    tooltip="The clip that moved it, for motion, expression, pose and gaze.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="scores",
                    tooltip="All scores as JSON, each with its estimator and where its weights lie.",
                ),
                io.Image.Output(display_name="table", tooltip="Frames and scores as a picture; connect Preview Image."),
            ],
        )

    @classmethod
    def execute(cls, output, same, source=None, driver=None) -> io.NodeOutput:
        import json
        from pathlib import Path

        from ..mimaface_core.evaluation.batch import Protocol
        from ..mimaface_core.evaluation.evaluate import Evaluation
        from ..mimaface_core.evaluation.footage import Footage, Pair
        from ..mimaface_core.evaluation.table import table_picture
        from ..mimaface_core.packs.find import find_pack

        made, shown = _at_one_rate(output, driver)
        file = output.get_stream_source() if is_video(output) else None
        pair = Pair(
            "output",
            Footage(made.images, made.count, made.fps),
            None if source is None else source[0, ..., :3],
            None if shown is None else Footage(shown.images, shown.count, shown.fps),
            film=Path(file) if isinstance(file, str) else None,
        )
        pack = find_pack("bundled")
        evaluation = Evaluation(same=same, encoder=lambda crops: pack.appearance.encode_source(crops))
        protocol = Protocol([pair], evaluation)
        protocol.run()
        result = protocol.result()
        table = table_picture(result["scores"], protocol.scored[0])
        return io.NodeOutput(json.dumps(result, indent=1, ensure_ascii=False), table[None])


def _at_one_rate(output, driver) -> tuple[Frames, Frames | None]:
    """Both as frames; pictures without a rate of their own count as taken at the other's."""
    rate = 25.0
    for given in (output, driver):
        if is_video(given):
            rate = float(frames_of(given).fps)
            break
    return frames_of(output, rate), None if driver is None else frames_of(driver, rate)
