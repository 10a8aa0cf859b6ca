"""Edit Video: a clip with a change made by hand, without a driver."""

from __future__ import annotations

from typing import Any

from ..mimaface_core import host
from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.face.source import SourceFace
from ..mimaface_core.motion.track import MotionTrack
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.video_editing import edit_video
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, UNCONNECTED, chosen_tracker, tracker_fault, tracker_input
from .node import Node, verdict
from .sockets import CATEGORY, Landmarks, Motion, Pack, Source
from .streams import frames_of, lossless_video
from .widgets import frame_rate


class EditVideo(Node):
    """Redraws each frame from its own pixels: its own motion, and the hand's change on top."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEditVideo",
            display_name="Edit Video (MIMAFace)",
            category=CATEGORY,
            description="Lays an edit over a clip with its own motion. The crop follows the face and is pasted back.",
            inputs=[
                Pack.Input("pack", tooltip="A pack with the bundled face model, from Load Pack."),
                io.MultiType.Input(
                    "video", types=[io.Video, io.Image], tooltip="The clip, the same as Extract 3DMM measured."
                ),
                Source.Input("source", tooltip="The person, from Extract 3DMM with the same clip."),
                Motion.Input(
                    "hand",
                    tooltip="The change: from Edit Motion or Keyframe Motion with that source. One frame holds"
                    " throughout.",
                ),
                io.Int.Input("face", default=-1, min=-1, max=31, tooltip=FACE_TIP),
                frame_rate("Frames per second of a batch of images. A video keeps its own exactly.", optional=True),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The whole clip, edited.")],
        )

    @classmethod
    def validate_inputs(cls, landmarks: object = UNCONNECTED, tracker: str | None = None) -> bool | str:
        return verdict(cls.option_fault(tracker=tracker) or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls,
        pack: ModelPack,
        video: Any,
        source: SourceFace,
        hand: MotionTrack,
        face: int,
        fps: float = 25.0,
        landmarks: dict | None = None,
        tracker: str = TRACKERS[0],
    ) -> io.NodeOutput:
        frames = frames_of(video, fps)
        edited = edit_video(pack, frames, source, hand, face=face, tracker=chosen_tracker(tracker, landmarks))
        with host.current().progress(frames.count, "editing") as progress, lossless_video(frames.fps) as written:
            for frame in edited:
                written.add(frame)
                progress.update()
        return io.NodeOutput(written.video)
