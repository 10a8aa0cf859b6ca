"""Encode Appearance: the source's appearance, modulated by the motion of each frame (MIA)."""

from __future__ import annotations

from ..mimaface_core.drawing import encode
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.stream import MotionStream
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source

OWN, FRAME, CLIP = "pack's own", "per frame", "per clip"


class EncodeAppearance(Node):
    """The appearance encoder: the source is encoded once, each frame's context when that frame is drawn."""

    takes_streams = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEncodeAppearance",
            display_name="Encode Appearance (MIMAFace)",
            category=CATEGORY,
            description="Encodes the appearance of the source for each frame of the motion.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The motion that will be drawn: retargeted, smoothed, edited."),
                io.Combo.Input(
                    "context",
                    options=[OWN, FRAME, CLIP],
                    default=OWN,
                    optional=True,
                    tooltip="Whether each frame is encoded with its own motion, or all frames of a clip share their"
                    " mean. Keep the pack's own way; with the released pack, which averages, try `per frame` when fast"
                    " movement is blurred.",
                ),
            ],
            outputs=[Appearance.Output(display_name="appearance", tooltip="For Sample Clips.")],
        )

    @classmethod
    def validate_inputs(cls, context: str | None = None) -> bool | str:
        return verdict(cls.option_fault(context=context))

    @classmethod
    def execute(
        cls, pack: ModelPack, source: SourceFace, motion: MotionTrack | MotionStream, context: str = OWN
    ) -> io.NodeOutput:
        return io.NodeOutput(encode(pack, source, motion, None if context == OWN else context == CLIP))
