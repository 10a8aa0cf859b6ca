"""Smooth Motion: take the tracker's jitter out of a motion."""

from __future__ import annotations

from ..mimaface_core.implicit.edit import smooth as smooth_implicit
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.motion.stream import MotionStream
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.pipeline import smooth
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, AnyMotion, Implicit, Motion


class SmoothMotion(Node):
    """Steadies slow movement and leaves fast movement alone; nothing is delayed."""

    takes_streams = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        def strength(name: str, default: float, tooltip: str) -> io.Float.Input:
            return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.05, tooltip=tooltip)

        return io.Schema(
            node_id="MIMAFaceSmoothMotion",
            display_name="Smooth Motion (MIMAFace)",
            category=CATEGORY,
            description="Takes the jitter out of a tracked motion. Fast movement, blinks and speech are kept, and"
            " nothing is delayed.",
            inputs=[
                io.MultiType.Input(
                    "motion", types=[Motion, Implicit], tooltip="The motion to steady, implicit motion, too."
                ),
                strength("pose", 0.4, "Raise it when the head jitters, lower it when small nods get lost."),
                strength(
                    "expression",
                    0.3,
                    "Raise it when the face jitters, lower it when speech looks dull. It alone steadies implicit motion"
                    " whose pack does not keep the parts of the face apart.",
                ),
                strength("gaze", 0.3, "Raise it when the eyes jitter, lower it when small glances get lost."),
            ],
            outputs=[AnyMotion.Output(display_name="motion", tooltip="The steadied motion.")],
        )

    @classmethod
    def execute(
        cls, motion: MotionTrack | MotionStream | ImplicitMotion, pose: float, expression: float, gaze: float
    ) -> io.NodeOutput:
        if isinstance(motion, ImplicitMotion):
            return io.NodeOutput(smooth_implicit(motion, pose, expression, gaze))
        return io.NodeOutput(smooth(motion, pose=pose, expression=expression, gaze=gaze))
