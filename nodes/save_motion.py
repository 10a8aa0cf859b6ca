"""Save Motion: write a motion to a file."""

from __future__ import annotations

from pathlib import Path

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.live_link import save_live_link
from ..mimaface_core.files import replacing
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.media.output_path import check_output_path, next_output_path
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io, ui
from .node import Node, fault, verdict
from .sockets import CATEGORY, AnyMotion, Implicit, Motion

FORMATS = {"motion": ".safetensors", "ARKit CSV": ".csv"}  # → suffix


def _write(motion: MotionTrack | ImplicitMotion, path: Path, format: str) -> None:
    if isinstance(motion, ImplicitMotion) or format == "motion":
        motion.save(path)
    else:
        save_live_link(motion, path)


class SaveMotion(Node):
    """Writes a motion to the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceSaveMotion",
            display_name="Save Motion (MIMAFace)",
            category=CATEGORY,
            description="Writes a motion to the output folder, to be used again with Load Motion.",
            inputs=[
                io.MultiType.Input(
                    "motion",
                    types=[Motion, Implicit],
                    tooltip="The motion to save, best as it was extracted; implicit motion, too.",
                ),
                io.String.Input(
                    "filename_prefix",
                    default="motion/mimaface",
                    tooltip="Beginning of the file name; may hold folders, dates such as %date:yyyy-MM-dd% and values"
                    " of other nodes such as %Load Image.image%.",
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default="motion",
                    optional=True,
                    tooltip="motion keeps everything, for Load Motion. ARKit CSV holds the 52 curves of ARKit, head and"
                    " eyes as the app Live Link Face records them, for Unreal, Blender or Maya; implicit motion has"
                    " none of them.",
                ),
            ],
            outputs=[AnyMotion.Output(display_name="motion", tooltip="The same motion.")],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None, format: str | None = None) -> bool | str:
        refused = cls.option_fault(format=format)
        if refused is None and filename_prefix is not None:
            refused = fault(check_output_path, filename_prefix, FORMATS[format or "motion"])
        return verdict(refused)

    @classmethod
    def execute(
        cls, motion: MotionTrack | ImplicitMotion, filename_prefix: str, format: str = "motion"
    ) -> io.NodeOutput:
        if isinstance(motion, ImplicitMotion) and format != "motion":
            raise InputError("Implicit motion has no curves of ARKit; choose the format motion.")
        place = next_output_path(host.current().output_folder(), filename_prefix)
        path = place.file(FORMATS[format])
        try:
            with replacing(path) as unfinished:
                _write(motion, unfinished, format)
        except OSError as problem:
            raise InputError(
                f"'{path.name}' could not be written ({problem.strerror}); make room or choose another folder."
            ) from problem
        saved = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(motion, ui={"motions": [saved], "text": (path.name,)})
