"""Save Motion: write a motion to a file."""

from __future__ import annotations

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import replacing
from ..mimaface_core.media.output_path import check_output_path, next_output_path
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io, ui
from .node import Node, fault, verdict
from .sockets import CATEGORY, Motion


class SaveMotion(Node):
    """Writes a motion to the output folder as safetensors."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="MIMAFaceSaveMotion",
            display_name="Save Motion (MIMAFace)",
            category=CATEGORY,
            description="Writes a motion to the output folder, to be used again with Load Motion.",
            inputs=[
                Motion.Input("motion", tooltip="The motion to save, best as it was extracted."),
                io.String.Input(
                    "filename_prefix",
                    default="motion/mimaface",
                    tooltip="Beginning of the file name; may hold folders, dates such as %date:yyyy-MM-dd% and values"
                    " of other nodes such as %Load Image.image%.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The same motion.")],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix: str | None = None) -> bool | str:
        return verdict(None if filename_prefix is None else fault(check_output_path, filename_prefix, ".safetensors"))

    @classmethod
    def execute(cls, motion: MotionTrack, filename_prefix: str) -> io.NodeOutput:
        place = next_output_path(host.current().output_folder(), filename_prefix)
        path = place.file(".safetensors")
        try:
            with replacing(path) as unfinished:
                motion.save(unfinished)
        except OSError as problem:
            raise InputError(
                f"'{path.name}' could not be written ({problem.strerror}); make room or choose another folder."
            ) from problem
        saved = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(motion, ui={"motions": [saved], "text": (path.name,)})
