"""Encode Appearance: what the source looks like, modulated by the motion of each frame (MIA)."""

from __future__ import annotations

from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.pipeline import encode
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source

OWN, FRAME, CLIP = "pack's own", "per frame", "per clip"


class EncodeAppearance(Node):
    """The motion-identity appearance encoder: the source is looked at once, each frame is asked for when needed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEncodeAppearance",
            display_name="Encode Appearance (MIMAFace)",
            category=CATEGORY,
            description="What the source looks like, for each frame of the motion.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The motion that will be drawn: retargeted, smoothed, edited."),
                io.Combo.Input(
                    "context",
                    options=[OWN, FRAME, CLIP],
                    default=OWN,
                    optional=True,
                    tooltip="Whether each frame is told its own motion or all frames of a clip the mean of theirs. Keep the"
                    " pack's own way; with the released pack, which averages, try `per frame` when fast movement is blurred.",
                ),
            ],
            outputs=[Appearance.Output(display_name="appearance", tooltip="For Sample Clips.")],
        )

    @classmethod
    def validate_inputs(cls, context: str | None = None) -> bool | str:
        return verdict(cls.option_fault(context=context))

    @classmethod
    def execute(cls, pack: ModelPack, source: SourceFace, motion: MotionTrack, context: str = OWN) -> io.NodeOutput:
        return io.NodeOutput(encode(pack, source, motion, None if context == OWN else context == CLIP))
