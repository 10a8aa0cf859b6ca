"""Detect Gaze: take the eyes' movement from another picture or clip."""

from __future__ import annotations

from ..mimaface_core.face.extract import measure
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, PICTURE_TIP, UNCONNECTED, trackable, tracker
from .node import Node
from .sockets import CATEGORY, PACK_TIP, Landmarks, Motion, Pack, frames_of


class DetectGaze(Node):
    """A motion that looks where the person in another picture or clip looks."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceDetectGaze",
            display_name="Detect Gaze (MIMAFace)",
            category=CATEGORY,
            description="Replaces the gaze of a motion by that of another picture or clip, so that eyes and face can"
            " come from different ones. The last gaze is held where that clip is shorter.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                io.MultiType.Input("picture", types=[io.Image, io.Video], tooltip=PICTURE_TIP),
                Motion.Input("motion", tooltip="The motion whose head and expression are kept."),
                io.Int.Input("face", default=-1, min=-1, max=31, optional=True, tooltip=FACE_TIP),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The motion with the gaze exchanged.")],
        )

    @classmethod
    def validate_inputs(cls, picture=None, landmarks=UNCONNECTED):
        return trackable(landmarks)  # ComfyUI tells it of the inputs named here: one is always there

    @classmethod
    def execute(cls, pack, picture, motion, face=-1, landmarks=None) -> io.NodeOutput:
        frames = frames_of(picture, float(motion.fps))
        motion.check_basis(pack.basis)
        _, look = measure(frames.pictures, frames.count, frames.fps, tracker(landmarks), pack.measurer(), face)
        gaze = look.resample(motion.fps).gaze
        held = [min(i, len(gaze) - 1) for i in range(len(motion))]
        return io.NodeOutput(motion.replace(gaze=gaze[held]))
