"""Extract 3DMM: measure a face, as a source and as a motion."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.face.detect import TRACKERS, FaceTracker, face_tracker, require_tracker
from ..mimaface_core.face.extract_by_d3dfr import FRAMINGS, RELEASED
from ..mimaface_core.face.lost import LOST
from ..mimaface_core.media.marks.report import name_marks
from ..mimaface_core.packs.pack import ModelPack
from ..mimaface_core.pipeline import measure_stream
from .comfyui.schema import io
from .node import Node, fault, verdict
from .sockets import CATEGORY, PACK_TIP, Landmarks, Motion, Pack, Source
from .streams import file_of, frames_of
from .widgets import frame_rate

UNCONNECTED = "unconnected"  # a socket, for `validate_inputs`
PICTURE_TIP = "A photograph, a batch of images or a video. A video is read frame by frame, however long it is."
FACE_TIP = "Which face, where there are several: −1 the largest, else counted from the left, 0 the leftmost."
FRAMING_TIP = (
    "How a driver's frames are cropped, for packs that measure with a network, such as the released one: `as released`"
    " squeezes them to a square first, and takes a single image of 512 × 512 whole. Choose `keep aspect` when a wide"
    " video makes faces too narrow, or to crop such an image like any other."
)
LANDMARKS_TIP = "Output of ComfyUI's own face landmark node for the same images, to be used instead of a tracker."
TRACKER_TIP = (
    "What finds the face: `bundled`, which needs nothing else, `mediapipe`, where it is installed, or `auto`: mediapipe"
    " where it works, else bundled. Connected landmarks count instead of either."
)


def tracker_input() -> io.Combo.Input:
    """The choice of a tracker."""
    return io.Combo.Input("tracker", options=list(TRACKERS), default=TRACKERS[0], optional=True, tooltip=TRACKER_TIP)


def chosen_tracker(tracker: str, landmarks: dict | None) -> FaceTracker:
    """A tracker that returns the landmarks of a link; without a link the one of a name."""
    if landmarks is None:
        return face_tracker(tracker)
    from ..mimaface_core.face.comfy_landmarks import ConnectedTracker

    return ConnectedTracker(landmarks)


def tracker_fault(tracker: str | None, landmarks: object) -> str | None:
    """The refusal when a tracker is not installed and no landmarks are linked (ComfyUI gives a link as None)."""
    return None if landmarks is None or tracker is None else fault(lambda: require_tracker(tracker))


class Extract3DMM(Node):
    """Finds a face, follows it and fits the face model: identity, expression, pose and gaze of every frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceExtract3DMM",
            display_name="Extract 3DMM (MIMAFace)",
            category=CATEGORY,
            description="Finds a face, follows it and fits the face model: who it is and how it moves.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                io.MultiType.Input("picture", types=[io.Image, io.Video], tooltip=PICTURE_TIP),
                io.Int.Input("face", default=-1, min=-1, max=31, tooltip=FACE_TIP),
                io.Combo.Input(
                    "lost",
                    options=list(LOST),
                    default="rest",
                    tooltip="Frames in which the face is not found: `rest` eases to the resting face and back,"
                    " `interpolate` moves evenly to the next frame that shows it, `previous` holds the last face,"
                    " `empty` goes back to the first pose.",
                ),
                frame_rate("Frames per second of a batch of images. A video keeps its own exactly.", optional=True),
                io.Combo.Input("framing", options=list(FRAMINGS), default=RELEASED, optional=True, tooltip=FRAMING_TIP),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[
                Source.Output(display_name="source", tooltip="The person, from the first frame that shows the face."),
                Motion.Output(display_name="motion", tooltip="How the face moves, frame by frame."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        lost: str | None = None,
        framing: str | None = None,
        landmarks: object = UNCONNECTED,
        tracker: str | None = None,
    ) -> bool | str:
        fault_of_options = cls.option_fault(lost=lost, framing=framing, tracker=tracker)
        return verdict(fault_of_options or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls,
        pack: ModelPack,
        picture: Any,
        face: int,
        lost: str,
        fps: float = 25.0,
        framing: str = RELEASED,
        landmarks: dict | None = None,
        tracker: str = TRACKERS[0],
    ) -> io.NodeOutput:
        file = file_of(picture)
        if file is not None:
            name_marks(file, "the video")
        frames, finder = frames_of(picture, fps, alpha=True), chosen_tracker(tracker, landmarks)
        return io.NodeOutput(*measure_stream(pack, frames, face=face, lost=lost, framing=framing, tracker=finder))
