"""Load Motion: a motion that was saved."""

from __future__ import annotations

from pathlib import Path

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.face.live_link import load_live_link
from ..mimaface_core.files import is_file, shown
from ..mimaface_core.implicit.motion import FILE as IMPLICIT_FILE
from ..mimaface_core.implicit.motion import ImplicitMotion
from ..mimaface_core.motion.motion_file import is_of
from ..mimaface_core.motion.track import MotionTrack
from .comfyui.schema import io
from .node import Node, fault, fingerprint, verdict
from .sockets import CATEGORY, AnyMotion


def _path(name: str) -> Path:
    """The file at that path, or of that name in the input folder. Raises InputError where there is none."""
    path = host.current().input_folder() / str(name)  # a graph may hold anything
    if not is_file(path):
        raise InputError(f"There is no motion file '{shown(name)}' in {host.current().input_folder()}; copy one there.")
    return path


def _read(name: str) -> MotionTrack | ImplicitMotion:
    path = _path(name)
    if path.suffix.lower() == ".csv":
        return load_live_link(path)
    return ImplicitMotion.load(path) if is_of(path, IMPLICIT_FILE) else MotionTrack.load(path)


SUFFIXES = (".safetensors", ".csv")


class LoadMotion(Node):
    """Reads what Save Motion wrote, or what the app Live Link Face recorded."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        folder = host.current().input_folder()
        files = [
            path.relative_to(folder).as_posix() for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES
        ]
        return io.Schema(
            node_id="MIMAFaceLoadMotion",
            display_name="Load Motion (MIMAFace)",
            category=CATEGORY,
            description="Reads a motion of Save Motion, or ARKit's curves (Live Link Face), from the input folder.",
            inputs=[
                io.Combo.Input(
                    "motion",
                    options=files,
                    upload=io.UploadType.model,
                    tooltip="A .safetensors file of Save Motion, or a .csv of Live Link Face, in the input folder.",
                )
            ],
            outputs=[
                AnyMotion.Output(
                    display_name="motion",
                    tooltip="The motion. Implicit motion goes to Render Implicit, others to Retarget Motion.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, motion: str | None = None) -> bool | str:
        return verdict(None if motion is None else fault(_read, motion))

    @classmethod
    def fingerprint_inputs(cls, motion: str | None = None) -> object:
        return None if motion is None else fingerprint([_path(motion)])

    @classmethod
    def execute(cls, motion: str) -> io.NodeOutput:
        return io.NodeOutput(_read(motion))
