"""Plot Motion: curves of a motion over time, and the frames without a face."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.morphable.bundled.blendshapes import blendshapes
from ..mimaface_core.morphable.bundled.face import bundled_face
from ..mimaface_core.motion.plot import Panel, plot
from ..mimaface_core.motion.track import BUNDLED, MotionTrack
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, Implicit, Motion


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
                io.MultiType.Input(
                    "motion", types=[Motion, Implicit], tooltip="The motion to look at, implicit motion, too."
                ),
                io.Int.Input("width", default=1024, min=320, max=4096, tooltip="Pixels; more for a long motion."),
                io.Int.Input("height", default=768, min=320, max=4096, tooltip="Pixels; more for finer lines."),
            ],
            outputs=[io.Image.Output(display_name="image", tooltip="The plot; connect Preview Image.")],
        )

    @classmethod
    def execute(cls, motion: MotionTrack | ImplicitMotion, width: int, height: int) -> io.NodeOutput:
        if isinstance(motion, ImplicitMotion):
            visible = torch.ones(len(motion), dtype=torch.bool)
            return io.NodeOutput(plot(_codes(motion), float(motion.fps), visible, width, height)[None])
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
