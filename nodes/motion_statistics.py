"""Motion Statistics: the same movement, calmer or livelier."""

from __future__ import annotations

from ..mimaface_core.errors import InputError
from ..mimaface_core.implicit.edit import rescale as rescale_implicit
from ..mimaface_core.implicit.groups import GroupFactors
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.morphable.bundled.groups import expression_groups
from ..mimaface_core.motion.statistics import Liveliness, rescale
from ..mimaface_core.motion.statistics import MotionStatistics as Statistics
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, AnyMotion, Implicit, Motion
from .widgets import strength


class MotionStatistics(Node):
    """Scales the movement of head, mouth, brows, lids and eyes about its mean."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        def factor(name: str, tooltip: str) -> io.Float.Input:
            tip = f"{tooltip} 0 holds still, 1 leaves as it is, 2 doubles."
            return strength(name, tip, display_mode=io.NumberDisplay.slider)

        return io.Schema(
            node_id="MIMAFaceMotionStatistics",
            display_name="Motion Statistics (MIMAFace)",
            category=CATEGORY,
            description="Makes a motion calmer or livelier, group by group. Lips and lids that close still close.",
            inputs=[
                io.MultiType.Input(
                    "motion", types=[Motion, Implicit], tooltip="The motion to change, implicit motion, too."
                ),
                factor("head", "Lower it when the head sways or nods too much, raise it when it looks stiff."),
                factor("mouth", "Lower it when the mouth opens too wide, raise it when speech looks mumbled."),
                factor("brows", "Lower it when brows and cheeks twitch, raise it when the face looks blank."),
                factor(
                    "lids",
                    "Lower it when the lids flutter, raise it when they hardly move; blinks stay whole down to 0.25.",
                ),
                factor(
                    "gaze",
                    "Lower it when the eyes wander, raise it when they stare. Implicit motion has one slider for lids"
                    " and gaze: that of the lids.",
                ),
                io.MultiType.Input(
                    "like",
                    types=[Motion, Implicit],
                    optional=True,
                    tooltip="Connect it to move as much as another motion of the same face, such as that of a video,"
                    " retargeted to the same source: head, brows and gaze also take over its mean. The sliders then"
                    " apply to the result.",
                ),
            ],
            outputs=[AnyMotion.Output(display_name="motion", tooltip="The calmer or livelier motion.")],
        )

    @classmethod
    def execute(
        cls,
        motion: MotionTrack | ImplicitMotion,
        head: float,
        mouth: float,
        brows: float,
        lids: float,
        gaze: float,
        like: MotionTrack | ImplicitMotion | None = None,
    ) -> io.NodeOutput:
        if isinstance(motion, ImplicitMotion) and not isinstance(like, MotionTrack):
            if gaze != 1:
                raise InputError("Implicit motion has one slider for lids and gaze; leave gaze at 1 and use lids.")
            return io.NodeOutput(rescale_implicit(motion, GroupFactors(head, mouth, eyes=lids, brows=brows), like))
        if isinstance(motion, MotionTrack) and not isinstance(like, ImplicitMotion):
            factors = Liveliness(head=head, mouth=mouth, brows=brows, lids=lids, gaze=gaze)
            return io.NodeOutput(_rescaled(motion, factors, like))
        raise InputError(
            "One of the two motions is implicit, the other is of the face model; connect motions of one method."
        )


def _rescaled(motion: MotionTrack, factors: Liveliness, like: MotionTrack | None) -> MotionTrack:
    groups = expression_groups(motion.basis)
    if not groups.mouth and (factors.mouth, factors.lids) != (1, 1):
        raise InputError(
            "Mouth and lids of this face model do not move apart from the rest of the face; leave both at 1:"
            " brows then scales the whole expression."
        )
    if like is not None:
        like.check_basis(motion.basis)
    return rescale(motion, groups, factors, None if like is None else Statistics.of(like))
