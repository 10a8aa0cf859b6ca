"""Retarget Motion: let one person move like another."""

from __future__ import annotations

from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.retarget import AUTOMATIC, MODES
from ..mimaface_core.motion.stream import MotionStream
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.pipeline import retarget
from .comfyui.schema import io
from .node import Node, verdict
from .sockets import CATEGORY, SOURCE_TIP, Motion, Source
from .widgets import strength


def _share(name: str, of: str) -> io.Float.Input:
    return strength(name, f"How much of the driver's {of} is taken over: 0 none, 1 as it is, above 1 exaggerated.")


class RetargetMotion(Node):
    """The source's own face with a driver's pose, expression and gaze."""

    takes_streams = True

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceRetargetMotion",
            display_name="Retarget Motion (MIMAFace)",
            category=CATEGORY,
            description="Carries the motion of a driver over to the source, whose identity is kept.",
            inputs=[
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The driver's motion."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="relative",
                    tooltip="relative adds the driver's movement from its resting face, best for a video; absolute"
                    " takes pose and expression as they are, needed where the driver is a single image; as released"
                    " also puts the head where the driver has it, for the released weights.",
                ),
                io.Int.Input(
                    "neutral_frame",
                    default=AUTOMATIC,
                    min=AUTOMATIC,
                    max=1_000_000,
                    tooltip="The driver's frame that movement counts from; −1 counts from the driver's resting face,"
                    " which is found in the whole clip, and opens or closes the source's eyes and lips as the driver"
                    " does.",
                ),
                _share("pose", "head movement"),
                _share("expression", "expression"),
                _share("gaze", "eye movement"),
                strength(
                    "travel",
                    "How much of the head's shifts, and of its nearing and withdrawing, goes with its turning: 0"
                    " turns it in its place. A neck limits it; movements of the camera are left out where the"
                    " background shows them.",
                    optional=True,
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The source, moving like the driver.")],
        )

    @classmethod
    def validate_inputs(cls, mode: str | None = None) -> bool | str:
        return verdict(cls.option_fault(mode=mode))

    @classmethod
    def execute(
        cls,
        source: SourceFace,
        motion: MotionTrack | MotionStream,
        mode: str,
        neutral_frame: int,
        pose: float,
        expression: float,
        gaze: float,
        travel: float = 1.0,
    ) -> io.NodeOutput:
        strengths = {"pose": pose, "expression": expression, "gaze": gaze, "travel": travel}
        return io.NodeOutput(retarget(motion, source, mode, neutral_frame=neutral_frame, **strengths))
