"""Render Motion: the render of a motion by the face model alone, without diffusion (I_R)."""

from __future__ import annotations

from ..mimaface_core import host
from ..mimaface_core.drawing import PROJECTED, RENDERS, render, transparency, with_alpha
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.stream import MotionStream
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Motion, Pack, Source
from .streams import lossless_video


class RenderMotion(Node):
    """The conditioning render of the sampler; also a fast preview of a motion."""

    takes_streams = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceRenderMotion",
            display_name="Render Motion (MIMAFace)",
            category=CATEGORY,
            description="Draws a motion with the face model alone: a fast preview, and the render that Sample Clips"
            " refines.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The motion to draw: retargeted, smoothed, edited."),
                io.Combo.Input(
                    "mode",
                    options=list(RENDERS),
                    default=PROJECTED,
                    tooltip="projected moves the photograph's own pixels; albedo shows the shaded face model on black,"
                    " to judge the tracking. Packs with another face model draw from albedo.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The rendered face crop.")],
        )

    @classmethod
    def validate_inputs(cls, mode: str | None = None) -> bool | str:
        return verdict(cls.option_fault(mode=mode))

    @classmethod
    def execute(
        cls, pack: ModelPack, source: SourceFace, motion: MotionTrack | MotionStream, mode: str
    ) -> io.NodeOutput:
        frames = render(pack, source, motion, mode)
        with host.current().progress(motion.count, "rendering") as progress, lossless_video(motion.fps) as written:
            alphas = transparency(pack, source, motion) if mode == PROJECTED else iter(())
            for frame in frames:
                written.add(with_alpha((frame[:3].permute(1, 2, 0)[None] + 1) / 2, alphas))
                progress.update()
        return io.NodeOutput(written.video)
