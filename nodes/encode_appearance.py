"""Encode Appearance: what the source looks like, modulated by the motion of each frame (MIA)."""

from __future__ import annotations

from ..mimaface_core.appearance.frames import encode_appearance
from .schema import io
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source


class EncodeAppearance(io.ComfyNode):
    """The motion-identity appearance encoder: the source is looked at once, each frame is asked for when needed."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceEncodeAppearance",
            display_name="Encode Appearance (MIMAFace)",
            category=CATEGORY,
            description="What the source looks like, for each frame of the motion.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input(
                    "motion", tooltip="The motion that will be drawn: retargeted, smoothed, edited."
                ),
            ],
            outputs=[Appearance.Output(display_name="appearance", tooltip="For Sample Clips.")],
        )

    @classmethod
    def execute(cls, pack, source, motion) -> io.NodeOutput:
        return io.NodeOutput(encode_appearance(pack.appearance, source.crop, motion.motion))
