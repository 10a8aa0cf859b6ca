"""Plot Motion: curves of a motion over time, and, with the driver's video, landmarks and mesh over its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.detect import TRACKERS
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.morphable.bundled.blendshapes import blendshapes
from ..mimaface_core.morphable.bundled.face import bundled_face
from ..mimaface_core.motion.plot import Panel, plot
from ..mimaface_core.motion.track import BUNDLED, MotionTrack
from ..mimaface_core.plotting import plot_over
from .comfyui.schema import io
from .extract_3dmm import FACE_TIP, LANDMARKS_TIP, UNCONNECTED, chosen_tracker, tracker_fault, tracker_input
from .node import Node, verdict
from .sockets import CATEGORY, Implicit, Landmarks, Motion
from .streams import frames_of, lossless_video
from .widgets import frame_rate

BLINK_OPENING = 0.3  # share of an eye's usual opening below which it counts as shut


class PlotMotion(Node):
    """Head angles, mouth, lids and gaze over time, as an image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFacePlotMotion",
            display_name="Plot Motion (MIMAFace)",
            category=CATEGORY,
            description="Draws head angles, mouth, lids and gaze over time, and over the driver what was measured of"
            " it. Frames without a face are grey, blinks are blue.",
            inputs=[
                io.MultiType.Input(
                    "motion", types=[Motion, Implicit], tooltip="The motion to look at, implicit motion, too."
                ),
                io.Int.Input("width", default=1024, min=320, max=4096, tooltip="Pixels; more for a long motion."),
                io.Int.Input("height", default=768, min=320, max=4096, tooltip="Pixels; more for finer lines."),
                io.MultiType.Input(
                    "video",
                    types=[io.Video, io.Image],
                    optional=True,
                    tooltip="The driver that the motion was measured of: landmarks and mesh are drawn over its frames.",
                ),
                io.Int.Input("face", default=-1, min=-1, max=31, optional=True, tooltip=FACE_TIP),
                frame_rate("Frames per second of a batch of images. A video keeps its own exactly.", optional=True),
                Landmarks.Input("landmarks", optional=True, tooltip=LANDMARKS_TIP),
                tracker_input(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The plot; connect Preview Image."),
                io.Video.Output(
                    display_name="video",
                    tooltip="The driver with landmarks and mesh, and the plot beside it; without a driver the plot"
                    " alone, one frame.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, landmarks: object = UNCONNECTED, tracker: str | None = None, face: int | None = None
    ) -> bool | str:
        return verdict(cls.option_fault(tracker=tracker, face=face) or tracker_fault(tracker, landmarks))

    @classmethod
    def execute(
        cls,
        motion: MotionTrack | ImplicitMotion,
        width: int,
        height: int,
        video: Any = None,
        face: int = -1,
        fps: float = 25.0,
        landmarks: dict | None = None,
        tracker: str = TRACKERS[0],
    ) -> io.NodeOutput:
        if isinstance(motion, ImplicitMotion) and video is not None:
            raise InputError(
                "Implicit motion has no landmarks to draw over a video; connect a motion of Extract 3DMM, or leave"
                " video unconnected."
            )
        image, blinks = _plotted(motion, width, height)
        with host.current().progress(len(motion), "plotting") as progress, lossless_video(motion.fps) as written:
            if video is None or isinstance(motion, ImplicitMotion):
                written.add(image[None])
            else:
                chosen = chosen_tracker(tracker, landmarks)
                for frame in plot_over(frames_of(video, fps), motion, image, blinks, face=face, tracker=chosen):
                    written.add(frame)
                    progress.update()
        return io.NodeOutput(image[None], written.video)


def _plotted(motion: MotionTrack | ImplicitMotion, width: int, height: int) -> tuple[Tensor, Tensor]:
    """The plot [height, width, 3], and the frames that show a blink, bool [N]."""
    rate, none = float(motion.fps), torch.zeros(len(motion), dtype=torch.bool)
    if isinstance(motion, ImplicitMotion):
        return plot(_codes(motion), rate, ~none, width, height), none
    blinks = (_openness(motion) < BLINK_OPENING).any(1) if motion.basis == BUNDLED else none
    return plot(_panels(motion), rate, motion.visible, width, height, blinks), blinks


def _panels(motion: MotionTrack) -> list[Panel]:
    """Head, face and gaze."""
    pitch, yaw, roll = torch.rad2deg(motion.coefficients.angles).unbind(1)
    gaze = {"sideways": motion.gaze[:, [0, 2]].mean(1), "up": motion.gaze[:, [1, 3]].mean(1)}
    own = motion.basis == BUNDLED
    return [
        ("head, degrees", {"yaw": yaw, "pitch": -pitch, "roll": -roll}),
        *(_face(motion) if own else _liveliest(motion)),
        ("gaze, eye widths" if own else "gaze, the network's unit", gaze),
    ]


def _openness(motion: MotionTrack) -> Tensor:
    c = motion.coefficients
    return bundled_face().openness(c.identity, c.expression)


def _face(motion: MotionTrack) -> list[Panel]:
    """Mouth and eyes on the bundled face model."""
    expression, opening = motion.coefficients.expression, _openness(motion)

    def blendshape(name: str) -> Tensor:
        return expression[:, blendshapes(name)].mean(1)

    return [
        (
            "mouth, coefficients",
            {"open": blendshape("jawOpen"), "smile": blendshape("mouthSmile"), "pucker": blendshape("mouthPucker")},
        ),
        ("eyes, share of their usual opening", {"right eye": opening[:, 0], "left eye": opening[:, 1]}),
    ]


def _liveliest(motion: MotionTrack) -> list[Panel]:
    """The three coefficients that move most, where they have no names."""
    return [("expression, coefficients that move most", _most(motion.coefficients.expression, range(64)))]


def _codes(motion: ImplicitMotion) -> list[Panel]:
    """The three motion codes of each group that move most, or of all where there are no groups."""
    groups = motion.groups or {"all of the face": range(motion.codes.shape[1])}
    return [(f"{name}, motion codes that move most", _most(motion.codes, columns)) for name, columns in groups.items()]


def _most(values: Tensor, columns: Sequence[int]) -> dict[str, Tensor]:
    """The three columns that move most, by their numbers."""
    chosen = torch.tensor(columns)
    most = values[:, chosen].std(0, correction=0).topk(min(3, len(chosen))).indices
    return {f"no. {i + 1}": values[:, i] for i in chosen[most].sort().values.tolist()}
