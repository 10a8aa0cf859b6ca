"""Plot Motion: curves of a motion over time, and the frames without a face."""

from __future__ import annotations

import torch
from torch import Tensor

from ..mimaface_core.morphable.bundled.blendshapes import blendshapes
from ..mimaface_core.morphable.bundled.face import bundled_face
from ..mimaface_core.motion.plot import Panel, plot
from ..mimaface_core.motion.track import BUNDLED, MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, Motion


class PlotMotion(Node):
    """Head angles, mouth, lids and gaze over time, as an image."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFacePlotMotion",
            display_name="Plot Motion (MIMAFace)",
            category=CATEGORY,
            description="Draws head angles, mouth, lids and gaze over time. Frames without a face are grey.",
            inputs=[
                Motion.Input("motion", tooltip="The motion to look at."),
                io.Int.Input("width", default=1024, min=320, max=4096, tooltip="Pixels; more for a long motion."),
                io.Int.Input("height", default=768, min=320, max=4096, tooltip="Pixels; more for finer lines."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The plot; connect Preview Image.")],
        )

    @classmethod
    def execute(cls, motion: MotionTrack, width: int, height: int) -> io.NodeOutput:
        pitch, yaw, roll = torch.rad2deg(motion.coefficients.angles).unbind(1)
        gaze = {"sideways": motion.gaze[:, [0, 2]].mean(1), "up": motion.gaze[:, [1, 3]].mean(1)}
        own = motion.basis == BUNDLED
        panels = [
            ("head, degrees", {"yaw": yaw, "pitch": -pitch, "roll": -roll}),
            *(_face(motion) if own else _liveliest(motion)),
            ("gaze, eye widths" if own else "gaze, the network's unit", gaze),
        ]
        return io.NodeOutput(plot(panels, float(motion.fps), motion.visible, width, height)[None])


def _face(motion: MotionTrack) -> list[Panel]:
    """Mouth and eyes on the bundled face model."""
    c, face = motion.coefficients, bundled_face()
    opening = face.eye_opening(c.identity, c.expression) / face.eye_opening(c.identity, c.expression * 0)

    def blendshape(name: str) -> Tensor:
        return c.expression[:, blendshapes(name)].mean(1)

    return [
        (
            "mouth, coefficients",
            {"open": blendshape("jawOpen"), "smile": blendshape("mouthSmile"), "pucker": blendshape("mouthPucker")},
        ),
        ("eyes, share of their usual opening", {"right eye": opening[:, 0], "left eye": opening[:, 1]}),
    ]


def _liveliest(motion: MotionTrack) -> list[Panel]:
    """The three coefficients that move most, where they have no names."""
    expression = motion.coefficients.expression
    most = expression.std(0, correction=0).topk(3).indices.sort().values.tolist()
    return [("expression, coefficients that move most", {f"no. {i + 1}": expression[:, i] for i in most})]
