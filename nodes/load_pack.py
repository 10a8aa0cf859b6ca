"""Load Pack: choose the model pack."""

from __future__ import annotations

import os

from ..mimaface_core import host
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import shown
from ..mimaface_core.packs.files import require_whole
from ..mimaface_core.packs.find import list_packs, open_pack
from ..mimaface_core.packs.manifest import read_manifest
from .comfyui.schema import io
from .node import Node, fault, fingerprint, verdict
from .sockets import CATEGORY, Pack


def _check(name: str) -> None:
    """Raises InputError where there is no pack of that name, or not all of it, or one for a newer version."""
    if name not in list_packs():
        for folder in host.current().models_folders():
            if os.path.isdir(folder / name):
                read_manifest(folder / name)  # raises the reason
        how = " Make it from the released weights with `mimaface pack convert`: see docs/released_weights.md."
        raise InputError(
            f"There is no model pack '{shown(name)}'; the packs found are: {', '.join(list_packs())}."
            + (how if name == "released" else "")
        )
    pack = open_pack(name)
    require_whole(pack.folder, pack.manifest)


class LoadPack(Node):
    """A model pack by name; its parts are loaded when they are first used."""

    @classmethod
    def define_schema(cls) -> io.Schema:
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
                    tooltip="The pack to use: `bundled` comes with this extension, as does `bundled-implicit`, for the"
                    " nodes of implicit motion; others are folders in models/mimaface, such as the released weights"
                    " after `mimaface pack convert`.",
                )
            ],
            outputs=[Pack.Output(display_name="pack", tooltip="The models, for all other nodes.")],
        )

    @classmethod
    def validate_inputs(cls, pack: str | None = None) -> bool | str:
        return verdict(None if pack is None else fault(_check, str(pack)))

    @classmethod
    def fingerprint_inputs(cls, pack: str | None = None) -> object:
        folder = list_packs().get(str(pack))
        return None if folder is None else fingerprint(folder.iterdir())

    @classmethod
    def execute(cls, pack: str) -> io.NodeOutput:
        return io.NodeOutput(open_pack(pack))
