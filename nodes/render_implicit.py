"""Render Implicit: the source with implicit motion, drawn frame by frame."""

from __future__ import annotations

from ..mimaface_core.arguments import IMPLICIT_MOTION
from ..mimaface_core.face.implicit_source import ImplicitSource as EncodedSource
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.implicit.render import MODES, RELATIVE
from ..mimaface_core.implicit_pipeline import render_implicit
from ..mimaface_core.packs.implicit_pack import ImplicitPack
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, IMPLICIT_PACK_TIP, IMPLICIT_SOURCE_TIP, Implicit, ImplicitSource, Pack
from .streams import lossless_video


class RenderImplicit(Node):
    """Frames of the source in motion; memory does not grow with the motion's length."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceRenderImplicit",
            display_name="Render Implicit (MIMAFace)",
            category=CATEGORY,
            description="Draws the source with implicit motion, without diffusion: faster than Sample Clips (IF-MDM).",
            inputs=[
                Pack.Input("pack", tooltip=IMPLICIT_PACK_TIP),
                ImplicitSource.Input("source", tooltip=IMPLICIT_SOURCE_TIP),
                Implicit.Input("motion", tooltip="From Speak Implicit or Drive Implicit, with the same pack."),
                io.Combo.Input(
                    "mode",
                    options=sorted(MODES, reverse=True),
                    default=RELATIVE,
                    tooltip="relative adds the motion's change since its first frame to the source's own posture, for"
                    " another person's motion. Choose absolute for Speak Implicit, whose motion is the source's own.",
                ),
                io.Boolean.Input(
                    "refine",
                    default=True,
                    tooltip="Whether the refine block is run, where the pack has one. Turn it off for speed: it takes"
                    " most of the time.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The animated face crop.")],
        )

    @classmethod
    def validate_inputs(cls, mode: str | None = None) -> bool | str:
        return verdict(cls.option_fault(mode=mode))

    @classmethod
    def execute(
        cls, pack: ImplicitPack, source: EncodedSource, motion: ImplicitMotion, mode: str, refine: bool
    ) -> io.NodeOutput:
        IMPLICIT_MOTION("motion", motion)
        with lossless_video(motion.fps) as written:
            for frames in render_implicit(pack, source, motion, mode, refine=refine):
                written.add(frames)
        return io.NodeOutput(written.video)
