"""Retarget Motion: let one person move like another."""

from __future__ import annotations

from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.retarget import MODES
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
                    tooltip="relative adds what the driver does since the neutral frame, best for a clip; absolute takes"
                    " pose and expression as they are, needed where the driver is a single picture; as released also puts the"
                    " head where the driver has it, as the published weights are meant to be used.",
                ),
                io.Int.Input(
                    "neutral_frame",
                    default=0,
                    min=-1,
                    max=1_000_000,
                    tooltip="The driver's frame that the movement is measured from. Choose one with a resting face"
                    " looking ahead when the clip does not start with one; −1 finds the most usual frame.",
                ),
                _share("pose", "head movement"),
                _share("expression", "expression"),
                _share("gaze", "eye movement"),
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
        motion: MotionTrack,
        mode: str,
        neutral_frame: int,
        pose: float,
        expression: float,
        gaze: float,
    ) -> io.NodeOutput:
        strengths = {"pose": pose, "expression": expression, "gaze": gaze}
        return io.NodeOutput(retarget(motion, source, mode, neutral_frame=neutral_frame, **strengths))
