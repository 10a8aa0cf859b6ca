"""Detect Gaze: take the gaze from another image or video."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.arguments import MOTION, PACK
from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.pipeline import measure
from .comfyui.schema import io
from .extract_3dmm import (
    FACE_TIP,
    LANDMARKS_TIP,
    PICTURE_TIP,
    UNCONNECTED,
    chosen_tracker,
    tracker_fault,
    tracker_input,
)
from .node import Node, verdict
from .sockets import CATEGORY, PACK_TIP, Landmarks, Motion, Pack
from .streams import frames_of


class DetectGaze(Node):
    """A motion with the gaze of the person in another image or video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceDetectGaze",
            display_name="Detect Gaze (MIMAFace)",
            category=CATEGORY,
            description="Replaces the gaze of a motion by that of another image or video, so that eyes and face can"
            " come from different ones. Where that video is shorter, its last gaze is held.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                io.MultiType.Input("picture", types=[io.Image, io.Video], tooltip=PICTURE_TIP),
                Motion.Input("motion", tooltip="The motion whose head and expression are kept."),
                io.Int.Input("face", default=-1, min=-1, max=31, optional=True, tooltip=FACE_TIP),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The motion with its gaze replaced.")],
        )

    @classmethod
    def validate_inputs(cls, landmarks: object = UNCONNECTED, tracker: str | None = None) -> bool | str:
        return verdict(cls.option_fault(tracker=tracker) or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls,
        pack: ModelPack,
        picture: Any,
        motion: MotionTrack,
        face: int = -1,
        landmarks: dict | None = None,
        tracker: str = TRACKERS[0],
    ) -> io.NodeOutput:
        PACK("pack", pack)
        MOTION("motion", motion)
        frames = frames_of(picture, float(motion.fps))
        motion.check_basis(pack.basis)
        _, look = measure(pack, frames, face=face, tracker=chosen_tracker(tracker, landmarks))
        gaze = look.resample(motion.fps).gaze
        held = [min(i, len(gaze) - 1) for i in range(len(motion))]
        return io.NodeOutput(motion.replace(gaze=gaze[held]))
