"""Mix Motion: a driver's motion and one made by hand in one, group by group."""

from __future__ import annotations

from ..mimaface_core.editing import mix
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.mix import GROUPS
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, SOURCE_TIP, Motion, Source
from .widgets import strength

LONGEST_SECONDS = 86400.0
GROUP_TIPS = {
    "head": "turns, shifts and size of the head",
    "eyes": "gaze",
    "lids": "lids",
    "brows": "brows",
    "mouth": "lips, jaw, cheeks and nose",
}


def _seconds(name: str, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=0.0, min=0.0, max=LONGEST_SECONDS, step=0.05, tooltip=tooltip)


class MixMotion(Node):
    """Adds a motion made by hand to a driver's, or lets it take the driver's place, for a part of the time."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceMixMotion",
            display_name="Mix Motion (MIMAFace)",
            category=CATEGORY,
            description="Lays a motion made by hand over a driver's: added, in its place, or by any share of each.",
            inputs=[
                Motion.Input("motion", tooltip="The driver's motion, retargeted to the source."),
                Motion.Input(
                    "hand",
                    tooltip="The motion made by hand, from Edit Motion or Keyframe Motion with the same source. One"
                    " frame holds throughout; a shorter motion holds its last frame.",
                ),
                Source.Input("source", tooltip=SOURCE_TIP),
                *(
                    strength(
                        f"driver_{group}",
                        f"How much of the driver's {GROUP_TIPS[group]} stays: 1 as it is, 0 none.",
                    )
                    for group in GROUPS
                ),
                *(
                    strength(
                        f"hand_{group}", f"How much of the hand's {GROUP_TIPS[group]} is added: 1 as it is, 0 none."
                    )
                    for group in GROUPS
                ),
                _seconds("start", "Seconds from which on the hand acts; before, the driver goes on alone."),
                _seconds("end", "Seconds until which the hand acts; 0 for the end of the motion."),
                _seconds("fade", "Seconds in which the hand sets in, and in which it ends."),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="Both in one motion, as long as the driver's.")],
        )

    @classmethod
    def execute(
        cls,
        motion: MotionTrack,
        hand: MotionTrack,
        source: SourceFace,
        start: float,
        end: float,
        fade: float,
        **strengths: float,
    ) -> io.NodeOutput:
        shares = {whose: {group: strengths[f"{whose}_{group}"] for group in GROUPS} for whose in ("driver", "hand")}
        mixed = mix(
            motion,
            hand,
            source,
            driver_strength=shares["driver"],
            hand_strength=shares["hand"],
            start=start,
            end=end,
            fade=fade,
        )
        return io.NodeOutput(mixed)
