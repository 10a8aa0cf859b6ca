"""Encode Implicit: a photograph's face, encoded once for implicit motion."""

from __future__ import annotations

from typing import Any

from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.implicit_pipeline import encode_implicit
from ..mimaface_core.media.marks.report import name_marks
from ..mimaface_core.packs.implicit_pack import ImplicitPack
from ..mimaface_core.tensors import to_float
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, UNCONNECTED, chosen_tracker, tracker_fault, tracker_input
from .node import Node, verdict
from .sockets import CATEGORY, IMPLICIT_PACK_TIP, ImplicitSource, Landmarks, Pack
from .streams import file_of, frames_of


class EncodeImplicit(Node):
    """Style, features and motion code of a face, for the other nodes of implicit motion."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceEncodeImplicit",
            display_name="Encode Implicit (MIMAFace)",
            category=CATEGORY,
            description="Finds the face of a photograph and encodes it once for implicit motion, which needs no face"
            " model (IF-MDM).",
            inputs=[
                Pack.Input("pack", tooltip=IMPLICIT_PACK_TIP),
                io.MultiType.Input(
                    "picture",
                    types=[io.Image, io.Video],
                    tooltip="A photograph that shows the face from the front. Of a batch or a video, the first frame is"
                    " taken.",
                ),
                io.Int.Input("face", default=-1, min=-1, max=31, tooltip=FACE_TIP),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[
                ImplicitSource.Output(
                    display_name="source", tooltip="The person, for Speak Implicit, Render Implicit and Paste Back."
                )
            ],
        )

    @classmethod
    def validate_inputs(
        cls, face: int | None = None, landmarks: object = UNCONNECTED, tracker: str | None = None
    ) -> bool | str:
        return verdict(cls.option_fault(face=face, tracker=tracker) or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls, pack: ImplicitPack, picture: Any, face: int, landmarks: dict | None = None, tracker: str = TRACKERS[0]
    ) -> io.NodeOutput:
        file = file_of(picture)
        if file is not None:
            name_marks(file, "the video")
        image = to_float(next(iter(frames_of(picture))))
        return io.NodeOutput(encode_implicit(pack, image, face=face, tracker=chosen_tracker(tracker, landmarks)))
