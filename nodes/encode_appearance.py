"""Encode Appearance: what the source looks like, modulated by the motion of each frame (MIA)."""

from __future__ import annotations

from ..mimaface_core.appearance.frames import encode_appearance
from .checks import allowed
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Appearance, Motion, Pack, Source

OWN, FRAME, CLIP = "pack's own", "per frame", "per clip"


class EncodeAppearance(Node):
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
    def validate_inputs(cls, context=None):
        return allowed(cls, context=context)

    @classmethod
    def execute(cls, pack, source, motion, context=OWN) -> io.NodeOutput:
        for track in (source.track, motion):
            track.check_basis(pack.basis)
        encoder = pack.stage(len(motion)).appearance
        average = pack.averaged if context == OWN else context == CLIP
        return io.NodeOutput(encode_appearance(encoder, source.crop, source.track.alignment, motion, average))
