"""Detect Gaze: take the gaze from another image or video."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.arguments import MOTION, PACK
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.pipeline import measure
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, PICTURE_TIP, UNCONNECTED, connected_tracker, tracker_fault
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
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The motion with its gaze replaced.")],
        )

    @classmethod
    def validate_inputs(cls, picture: object = None, landmarks: object = UNCONNECTED) -> bool | str:  # noqa: ARG003
        # ComfyUI passes only inputs that are named here, and calls this only where there is one: `picture` always is.
        return verdict(tracker_fault(landmarks))

    @classmethod
    def execute(
        cls, pack: ModelPack, picture: Any, motion: MotionTrack, face: int = -1, landmarks: dict | None = None
    ) -> io.NodeOutput:
        PACK("pack", pack)
        MOTION("motion", motion)
        frames = frames_of(picture, float(motion.fps))
        motion.check_basis(pack.basis)
        _, look = measure(pack, frames, face=face, tracker=connected_tracker(landmarks))
        gaze = look.resample(motion.fps).gaze
        held = [min(i, len(gaze) - 1) for i in range(len(motion))]
        return io.NodeOutput(motion.replace(gaze=gaze[held]))
