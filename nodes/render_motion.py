"""Render Motion: the face model's own drawing of a motion, without diffusion (I_R)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor

from ..mimaface_core import host
from ..mimaface_core.motion.track import PROCEDURAL
from .checks import allowed
from .comfyui.schema import io
from .node import Node
from .sockets import CATEGORY, PACK_TIP, SOURCE_TIP, Motion, Pack, Source, film

MODES = ("projected", "albedo")
BATCH = 4  # frames drawn together


def renders(pack, source, motion, mode: str) -> Iterator[Tensor]:
    """Renders one by one, drawn a few at a time when they are asked for.

    `albedo` [3, S, S] in ±1; `projected` [4, S, S], the fourth channel as in `ReprojectionRenderer.draw`.
    Raises InputError, with the first of them, when the motion belongs to another face model than the pack's.
    """
    motion.check_basis(pack.basis)
    if mode == "projected":
        from ..mimaface_core.reprojection.renderer import ReprojectionRenderer

        draw = ReprojectionRenderer(pack.face, source.crop, source.landmarks, source.track).draw
    else:
        from ..mimaface_core.morphable.render import composite_released, render_shaded

        model = _bare(pack)

        def draw(part):
            rgb, mask = render_shaded(model, part.coefficients)
            return composite_released(rgb, mask, part.alignment, source.crop.shape[-1])

    for start in range(0, len(motion), BATCH):
        host.current().check_cancelled()
        yield from draw(motion[start : start + BATCH])


def _bare(pack):
    """The pack's face model; of the bundled one the face alone, without the surroundings that follow the head."""
    if pack.basis != PROCEDURAL:
        return pack.morphable
    import torch

    model, parts = pack.face.model, pack.face.part_triangles
    face = [model.triangles[part] for name, part in parts.items() if name != "head"]
    return replace(model, triangles=torch.cat(face))


class RenderMotion(Node):
    """What the sampler is given to draw from; also a fast preview of a motion."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceRenderMotion",
            display_name="Render Motion (MIMAFace)",
            category=CATEGORY,
            description="Draws a motion with the face model alone: a fast preview, and what the sampler works from.",
            inputs=[
                Pack.Input("pack", tooltip=PACK_TIP),
                Source.Input("source", tooltip=SOURCE_TIP),
                Motion.Input("motion", tooltip="The motion to draw: retargeted, smoothed, edited."),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="projected",
                    tooltip="projected moves the photograph's own pixels; albedo shows the bare face model on black,"
                    " to judge the tracking, and is what packs with another face model draw from.",
                ),
            ],
            outputs=[io.Video.Output(display_name="video", tooltip="The rendered face crop.")],
        )

    @classmethod
    def validate_inputs(cls, mode=None):
        return allowed(cls, mode=mode)

    @classmethod
    def execute(cls, pack, source, motion, mode) -> io.NodeOutput:
        with host.current().progress(len(motion), "rendering") as progress, film(motion.fps) as made:
            for frame in renders(pack, source, motion, mode):
                made.add((frame[:3].permute(1, 2, 0)[None] + 1) / 2)
                progress.update()
        return io.NodeOutput(made.video)
