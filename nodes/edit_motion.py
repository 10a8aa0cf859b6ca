"""Edit Motion: controls of head, expression and gaze, for a photograph or on top of a motion."""

from __future__ import annotations

from ..mimaface_core.editing import edit as edit_by_hand
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.morphable.bundled.controls import CONTROLS, EXPRESSION_SLIDERS
from ..mimaface_core.morphable.bundled.edit_value import EditValue
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node, fault, verdict
from .previews import editor_ui
from .sockets import CATEGORY, Motion, Source
from .widgets import slider

EDIT_TIP = (
    "What the editor on the node holds, as JSON: positions of controls by name, which are added to the sliders. The"
    " help lists the controls and their ranges."
)


class EditMotion(Node):
    """Turns, shifts and zooms the head, changes the expression and the gaze; the same in every frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEditMotion",
            display_name="Edit Motion (MIMAFace)",
            category=CATEGORY,
            description="Controls of head, expression and gaze, by hand. With a source they edit the photograph; with a"
            " motion they are added to each of its frames.",
            inputs=[
                io.MultiType.Input(
                    "face",
                    types=[Source, Motion],
                    tooltip="A source, to edit the photograph itself, or a (retargeted) motion, to add to it.",
                ),
                slider("yaw", 0, -45, 45, 0.5, "Degrees. Turns the head to the image's right; below 0 to its left."),
                slider("pitch", 0, -35, 35, 0.5, "Degrees. Raises the face to look up; below 0 lowers it."),
                slider("roll", 0, -45, 45, 0.5, "Degrees. Tilts the head clockwise as seen; below 0 the other way."),
                slider("shift_x", 0, -30, 30, 0.5, "Moves the head to the image's right, in % of the face crop."),
                slider("shift_y", 0, -30, 30, 0.5, "Moves the head up, in % of the face crop."),
                slider("zoom", 1, 0.7, 1.4, 0.01, "Size of the head; above 1 it comes nearer."),
                *(slider(name, 0, one.low, one.high, 0.05, one.tooltip) for name, one in EXPRESSION_SLIDERS.items()),
                slider("gaze_x", 0, -1.5, 1.5, 0.05, "Turns both eyes to the image's right; below 0 to its left."),
                slider("gaze_y", 0, -1.5, 1.5, 0.05, "Turns both eyes up; below 0 down."),
                Source.Input(
                    "source",
                    optional=True,
                    tooltip="The person whom the editor shows where `face` is a motion. It changes nothing else.",
                ),
                io.String.Input("edit", default="{}", optional=True, socketless=True, tooltip=EDIT_TIP),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The edited motion; of a source, one frame.")],
        )

    @classmethod
    def validate_inputs(cls, edit: str | None = None) -> bool | str:
        return verdict(None if edit is None else fault(EditValue.read, edit))

    @classmethod
    def execute(
        cls,
        face: SourceFace | MotionTrack,
        yaw: float,
        pitch: float,
        roll: float,
        shift_x: float,
        shift_y: float,
        zoom: float,
        gaze_x: float,
        gaze_y: float,
        edit: str = "{}",
        source: SourceFace | None = None,
        **expression: float,
    ) -> io.NodeOutput:
        value = EditValue.read(edit)
        look = {"gaze_x": gaze_x, "gaze_y": gaze_y}
        head = {"yaw": yaw, "pitch": pitch, "roll": roll, "shift_x": shift_x, "shift_y": shift_y, "zoom": zoom}
        moved = {name: at for name, at in {**head, **expression, **look}.items() if at != CONTROLS[name].rest}
        edited = edit_by_hand(
            face,
            yaw=yaw,
            pitch=pitch,
            roll=roll,
            shift=(shift_x / 100, shift_y / 100),
            zoom=zoom,
            gaze=(gaze_x, gaze_y),
            expression=expression,
            controls=value.controls,
            neutral_first=value.neutral_first,
        )
        shown = face if isinstance(face, SourceFace) else source
        return io.NodeOutput(edited, ui=editor_ui(shown, {"sliders": moved} if moved else None))
