"""Motion Statistics: the same movement, calmer or livelier."""

from __future__ import annotations

from ..mimaface_core.errors import InputError
from ..mimaface_core.morphable.bundled.groups import expression_groups
from ..mimaface_core.motion.statistics import Liveliness, rescale
from ..mimaface_core.motion.statistics import MotionStatistics as Statistics
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, Motion
from .widgets import strength


class MotionStatistics(Node):
    """Scales how much head, mouth, brows, lids and eyes move about their usual place."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def factor(name: str, tooltip: str) -> io.Float.Input:
            tip = f"{tooltip} 0 holds still, 1 leaves as it is, 2 doubles."
            return strength(name, tip, display_mode=io.NumberDisplay.slider)

        return io.Schema(
            node_id="MIMAFaceMotionStatistics",
            display_name="Motion Statistics (MIMAFace)",
            category=CATEGORY,
            description="Makes a motion calmer or livelier, part by part. Lips and lids that shut still shut.",
            inputs=[
                Motion.Input("motion", tooltip="The motion to change."),
                factor("head", "Lower it when the head sways or nods too much, raise it when it looks stiff."),
                factor("mouth", "Lower it when the mouth opens too wide, raise it when speech looks mumbled."),
                factor("brows", "Lower it when brows and cheeks twitch, raise it when the face looks blank."),
                factor(
                    "lids",
                    "Lower it when the lids flutter, raise it when they hardly move; blinks stay whole down to 0.25.",
                ),
                factor("gaze", "Lower it when the eyes wander, raise it when they stare."),
                Motion.Input(
                    "like",
                    optional=True,
                    tooltip="Connect it to move as much as another motion of the same face, such as a clip retargeted to"
                    " the same source: head, brows and gaze also take over its usual place. The sliders then apply to that.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The calmer or livelier motion.")],
        )

    @classmethod
    def execute(
        cls,
        motion: MotionTrack,
        head: float,
        mouth: float,
        brows: float,
        lids: float,
        gaze: float,
        like: MotionTrack | None = None,
    ) -> io.NodeOutput:
        groups = expression_groups(motion.basis)
        if not groups.mouth and (mouth, lids) != (1, 1):
            raise InputError(
                "On this pack's face model mouth and lids do not move apart from the rest of the face; leave both at 1:"
                " brows then scales the whole expression."
            )
        if like is not None:
            like.check_basis(motion.basis)
        factors = Liveliness(head=head, mouth=mouth, brows=brows, lids=lids, gaze=gaze)
        return io.NodeOutput(rescale(motion, groups, factors, None if like is None else Statistics.of(like)))
