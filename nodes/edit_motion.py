"""Edit Motion: sliders for head, expression and gaze, for a photograph or on top of a motion."""

from __future__ import annotations

import math

from ..mimaface_core.errors import InputError
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.morphable.bundled.face import procedural_face
from ..mimaface_core.morphable.bundled.sliders import EXPRESSION_SLIDERS, slider_expression
from ..mimaface_core.motion.edit import edit
from ..mimaface_core.motion.track import PROCEDURAL
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, Motion, Source

LOOK_ASIDE, LOOK_UP = 0.2, 0.12  # eye widths at 1: as far as eyes turn without effort


def _slider(name: str, default: float, low: float, high: float, step: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(
        name,
        default=default,
        min=low,
        max=high,
        step=step,
        display_mode=io.NumberDisplay.slider,
        tooltip=tooltip,
    )


class EditMotion(Node):
    """Turns, shifts and zooms the head, changes the expression and the gaze; the same in every frame."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceEditMotion",
            display_name="Edit Motion (MIMAFace)",
            category=CATEGORY,
            description="Sliders for head, expression and gaze. Given a source, they edit the photograph; given a motion,"
            " they are added to each of its frames.",
            inputs=[
                io.MultiType.Input(
                    "face",
                    types=[Source, Motion],
                    tooltip="A source, to edit the photograph itself, or a (retargeted) motion, to add to it.",
                ),
                _slider(
                    "yaw",
                    0,
                    -45,
                    45,
                    0.5,
                    "Degrees. Turns the head to the picture's right; below 0 to its left.",
                ),
                _slider("pitch", 0, -35, 35, 0.5, "Degrees. Raises the face to look up; below 0 lowers it."),
                _slider(
                    "roll",
                    0,
                    -45,
                    45,
                    0.5,
                    "Degrees. Tilts the head clockwise as seen; below 0 the other way.",
                ),
                _slider(
                    "shift_x",
                    0,
                    -30,
                    30,
                    0.5,
                    "Moves the head to the picture's right, in % of the face crop.",
                ),
                _slider("shift_y", 0, -30, 30, 0.5, "Moves the head up, in % of the face crop."),
                _slider("zoom", 1, 0.7, 1.4, 0.01, "Size of the head; above 1 it comes nearer."),
                *(
                    _slider(name, 0, slider.low, slider.high, 0.05, slider.tooltip)
                    for name, slider in EXPRESSION_SLIDERS.items()
                ),
                _slider(
                    "gaze_x",
                    0,
                    -1.5,
                    1.5,
                    0.05,
                    "Turns both eyes to the picture's right; below 0 to its left.",
                ),
                _slider("gaze_y", 0, -1.5, 1.5, 0.05, "Turns both eyes up; below 0 down."),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The edited motion; of a source, one frame.")],
        )

    @classmethod
    def execute(cls, face, yaw, pitch, roll, shift_x, shift_y, zoom, gaze_x, gaze_y, **expression) -> io.NodeOutput:
        motion = face.track if isinstance(face, SourceFace) else face
        edited = edit(
            motion,
            yaw=math.radians(yaw),
            pitch=math.radians(pitch),
            roll=math.radians(roll),
            shift=(shift_x / 100, shift_y / 100),
            zoom=zoom,
            expression=_expression(motion, expression),
            gaze=(LOOK_ASIDE * gaze_x, LOOK_UP * gaze_y),
        )
        return io.NodeOutput(edited)


def _expression(motion, sliders: dict[str, float]):
    """What the sliders add to the expression, None for nothing. Raises InputError on a face model they do not move."""
    if not any(sliders.values()):
        return None
    if motion.basis != PROCEDURAL:
        raise InputError(
            "The sliders of the expression move the bundled face model only; leave them at 0 for a motion of this pack,"
            " or extract it with the bundled pack."
        )
    c = motion.coefficients
    return slider_expression(procedural_face(), c.identity, c.expression, sliders)
