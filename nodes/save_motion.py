"""Save Motion: keep a motion as a file."""

from __future__ import annotations

import os

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.media.output_path import check_output_path, next_output_path
from .checks import verdict
from .comfyui.schema import io, ui
from .node import Node
from .sockets import CATEGORY, Motion


class SaveMotion(Node):
    """Writes a motion to the output folder as safetensors."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceSaveMotion",
            display_name="Save Motion (MIMAFace)",
            category=CATEGORY,
            description="Writes a motion to the output folder, to be used again with Load Motion.",
            inputs=[
                Motion.Input("motion", tooltip="The motion to keep, best as it was extracted."),
                io.String.Input(
                    "filename_prefix",
                    default="motion/mimaface",
                    tooltip="Beginning of the file name; may hold folders and parts such as %year%.",
                ),
            ],
            outputs=[Motion.Output(display_name="motion", tooltip="The same motion.")],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, filename_prefix=None):
        return True if filename_prefix is None else verdict(check_output_path, filename_prefix)

    @classmethod
    def execute(cls, motion, filename_prefix) -> io.NodeOutput:
        place = next_output_path(host.current().output_folder(), filename_prefix)
        path = place.file(".safetensors")
        unfinished = path.with_name(f".{path.name}.part")
        try:
            motion.save(unfinished)
            os.replace(unfinished, path)
        except OSError as problem:
            raise InputError(
                f"'{path.name}' could not be written ({problem.strerror}); make room or choose another folder."
            ) from problem
        finally:
            unfinished.unlink(missing_ok=True)
        saved = ui.SavedResult(path.name, place.subfolder, io.FolderType.output)
        return io.NodeOutput(motion, ui={"motions": [saved], "text": (path.name,)})
