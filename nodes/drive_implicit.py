"""Drive Implicit: the motion of a face in a video, as motion codes."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.implicit_pipeline import drive_implicit
from ..mimaface_core.media.marks.report import name_marks
from ..mimaface_core.packs.implicit_pack import ImplicitPack
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, UNCONNECTED, chosen_tracker, tracker_fault, tracker_input
from .node import Node, verdict
from .sockets import CATEGORY, IMPLICIT_PACK_TIP, Implicit, Landmarks, Pack
from .streams import file_of, frames_of
from .widgets import frame_rate


class DriveImplicit(Node):
    """Measures the motion codes of a driver, frame by frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceDriveImplicit",
            display_name="Drive Implicit (MIMAFace)",
            category=CATEGORY,
            description="Measures how a face moves in a video, as implicit motion (IF-MDM).",
            inputs=[
                Pack.Input("pack", tooltip=IMPLICIT_PACK_TIP),
                io.MultiType.Input(
                    "driver",
                    types=[io.Video, io.Image],
                    tooltip="The video whose motion is taken, or a batch of images. A video is read frame by frame,"
                    " however long it is.",
                ),
                io.Int.Input("face", default=-1, min=-1, max=31, tooltip=FACE_TIP),
                frame_rate("Frames per second of a batch of images. A video keeps its own exactly.", optional=True),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[Implicit.Output(display_name="motion", tooltip="For Render Implicit, in the mode relative.")],
        )

    @classmethod
    def validate_inputs(
        cls, face: int | None = None, landmarks: object = UNCONNECTED, tracker: str | None = None
    ) -> bool | str:
        return verdict(cls.option_fault(face=face, tracker=tracker) or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls,
        pack: ImplicitPack,
        driver: Any,
        face: int,
        fps: float = 25.0,
        landmarks: dict | None = None,
        tracker: str = TRACKERS[0],
    ) -> io.NodeOutput:
        file = file_of(driver)
        if file is not None:
            name_marks(file, "the video")
        motion = drive_implicit(pack, frames_of(driver, fps), face=face, tracker=chosen_tracker(tracker, landmarks))
        return io.NodeOutput(motion)
