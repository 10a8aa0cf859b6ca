"""Load Pack: choose the models that everything else uses."""

from __future__ import annotations

from ..mimaface_core.errors import InputError
from ..mimaface_core.packs.manifest import MANIFEST
from ..mimaface_core.packs.pack import find_pack, list_packs
from .schema import io
from .sockets import CATEGORY, Pack


class LoadPack(io.ComfyNode):
    """A model pack by name; its parts are loaded when they are first used."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="MIMAFaceLoadPack",
            display_name="Load Pack (MIMAFace)",
            category=CATEGORY,
            description="Chooses the model pack. Its parts are loaded when they are first used.",
            inputs=[
                io.Combo.Input(
                    "pack",
                    options=list(list_packs()) or ["bundled"],
                    default="bundled",
                    tooltip="The pack to use: `bundled` comes with the project; others are folders in models/mimaface,"
                    " such as the published weights once `mimaface pack convert` has made a pack of them.",
                )
            ],
            outputs=[Pack.Output(display_name="pack", tooltip="The models, for all other nodes.")],
        )

    @classmethod
    def validate_inputs(cls, pack=None):
        if pack is None:
            return True
        if pack in list_packs():
            try:
                find_pack(pack)
            except InputError as unusable:
                return str(unusable)
            return True
        how = " Make it with `mimaface pack convert` from the published weights: see the README." if pack == "released" else ""
        return f"There is no model pack '{pack}'; the packs found are: {', '.join(list_packs())}.{how}"

    @classmethod
    def fingerprint_inputs(cls, pack):
        folder = list_packs().get(pack)
        return None if folder is None else (str(folder), (folder / MANIFEST).stat().st_mtime_ns)

    @classmethod
    def execute(cls, pack) -> io.NodeOutput:
        return io.NodeOutput(find_pack(pack))
