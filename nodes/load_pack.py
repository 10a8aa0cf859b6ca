"""Load Pack: choose the model pack."""

from __future__ import annotations

import os

from ..mimaface_core import host
from ..mimaface_core.diffusion.taesd import TAESD
from ..mimaface_core.errors import InputError
from ..mimaface_core.files import shown
from ..mimaface_core.packs.adapted import adapt, find_lora, list_loras, taesd_files
from ..mimaface_core.packs.files import require_whole
from ..mimaface_core.packs.find import AnyPack, list_packs, open_pack
from ..mimaface_core.packs.manifest import read_manifest
from ..mimaface_core.packs.pack import ModelPack
from .comfyui.schema import io
from .node import Node, fault, fingerprint, verdict
from .sockets import CATEGORY, Pack
from .widgets import strength

NONE, OWN = "none", "pack's own"


def _checked(name: str) -> AnyPack:
    """The pack. Raises InputError where there is no pack of that name, or not all of it, or one for a newer version."""
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
    return pack


def _adapted(pack: AnyPack, lora: str, lora_strength: float, vae: str) -> AnyPack:
    """The pack with what is chosen. Raises InputError where it cannot be had, or does not fit the pack."""
    given = None if lora == NONE else lora, lora_strength, None if vae == OWN else vae
    if isinstance(pack, ModelPack):
        return adapt(pack, *given)
    if lora != NONE or vae != OWN:
        raise InputError(f"The pack '{pack.name}' is for implicit motion and takes no LoRA and no other vae.")
    return pack


def _check_all(name: str, lora: str | None, lora_strength: float | None, vae: str | None) -> None:
    """Raises InputError where the pack or what is chosen for it cannot be used; linked inputs, None, are left out."""
    _adapted(_checked(name), lora or NONE, 1.0 if lora_strength is None else lora_strength, vae or OWN)


class LoadPack(Node):
    """A model pack by name, changed for few steps where it is the released one; parts are loaded when first used."""

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
                ),
                io.Combo.Input(
                    "lora",
                    options=[NONE, *list_loras()],
                    default=NONE,
                    optional=True,
                    tooltip="Few steps for the released weights: an LCM LoRA in models/loras, such as lcm-lora-sdv1-5"
                    " or AnimateLCM's. With it, the pack's own sampler settings are lcm, 4 steps, guidance 1.",
                ),
                strength("lora_strength", "How much of the LoRA is added: 1 is as it was trained.", optional=True),
                io.Combo.Input(
                    "vae",
                    options=[OWN, TAESD],
                    default=OWN,
                    optional=True,
                    tooltip="The autoencoder of the released weights. taesd, from models/vae_approx, is faster and"
                    " loses fine detail: it pays together with few steps.",
                ),
            ],
            outputs=[Pack.Output(display_name="pack", tooltip="The models, for all other nodes.")],
        )

    @classmethod
    def validate_inputs(
        cls,
        pack: str | None = None,
        lora: str | None = None,
        lora_strength: float | None = None,
        vae: str | None = None,
    ) -> bool | str:
        refused = cls.option_fault(lora_strength=lora_strength, vae=vae)
        if refused is None and lora not in (None, NONE):
            refused = fault(find_lora, str(lora))
        if refused is None and pack is not None:
            refused = fault(_check_all, str(pack), lora, lora_strength, vae)
        return verdict(refused)

    @classmethod
    def fingerprint_inputs(
        cls, pack: str | None = None, lora: str | None = None, vae: str | None = None, **_: object
    ) -> object:
        folder = list_packs().get(str(pack))
        chosen = [path for name, path in list_loras().items() if name == lora]
        chosen += taesd_files() if vae == TAESD else ()
        return None if folder is None else fingerprint([*folder.iterdir(), *chosen])

    @classmethod
    def execute(cls, pack: str, lora: str = NONE, lora_strength: float = 1.0, vae: str = OWN) -> io.NodeOutput:
        return io.NodeOutput(_adapted(open_pack(pack), lora, lora_strength, vae))
