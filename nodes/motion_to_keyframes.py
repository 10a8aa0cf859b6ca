"""Motion to Keyframes: a motion as curves of controls, to be changed by hand."""

from __future__ import annotations

import json

from ..mimaface_core.editing import keyframes_of
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, Motion, Source


class MotionToKeyframes(Node):
    """Finds the controls' positions in each frame, and leaves few keys of them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceMotionToKeyframes",
            display_name="Motion to Keyframes (MIMAFace)",
            category=CATEGORY,
            description="Turns a motion, also one of an ARKit table, into keyframes for Keyframe Motion.",
            inputs=[
                Motion.Input("motion", tooltip="The motion: of a video, a voice, or a table from Load Motion."),
                io.Float.Input(
                    "tolerance",
                    default=0.01,
                    min=0.0,
                    max=0.2,
                    step=0.005,
                    tooltip="How far the curves may differ from the motion, as a share of each control's range; more"
                    " leaves fewer keys.",
                ),
                Source.Input(
                    "source",
                    optional=True,
                    tooltip="The person to whom the motion was retargeted, from whose face the keys count. Leave it"
                    " out for a driver's own motion: its resting face is found.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="keyframes", tooltip="The timeline as JSON, for `keyframes` of Keyframe Motion."
                )
            ],
        )

    @classmethod
    def execute(cls, motion: MotionTrack, tolerance: float, source: SourceFace | None = None) -> io.NodeOutput:
        text = json.dumps(keyframes_of(motion, source, tolerance).as_json())
        return io.NodeOutput(text, ui={"mimaface_keyframes": [text]})
