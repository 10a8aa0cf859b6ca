"""A model pack: a folder with `manifest.json` and safetensors, whose parts are built on first use."""

import json
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .. import host
from ..appearance.mia import AppearanceEncoder
from ..diffusion.latents import LatentSpace, build_vae
from ..diffusion.unet import build_unet, condition_channels
from ..errors import InputError
from .weights import fill

if TYPE_CHECKING:
    from ..morphable.model import MorphableModel
    from ..morphable.procedural import ProceduralFace

BUNDLED = Path(__file__).parent / "bundled"
MANIFEST = "manifest.json"

# What a manifest must hold, key by key.
FIELDS: dict[str, type] = {
    "name": str,
    "version": str,
    "picture_size": int,
    "clip_frames": int,
    "overlap": int,
    "morphable": dict,
    "render": str,
    "latents": dict,
    "vae": dict,
    "appearance": dict,
    "unet": dict,
    "scheduler": dict,
    "sampling": dict,
}
PARTS = ("vae", "appearance", "unet")
RENDERS = ("albedo", "projected")
MORPHABLES = ("procedural", "file")
FACE_SHARE = 0.56  # where a manifest does not say it


class ModelPack:
    """Everything that animates a face, behind one manifest.

    Opening a pack reads its manifest only. `vae`, `appearance`, `unet` and `morphable` are loaded when first
    used, in float32 whatever the file's precision, in evaluation mode and without gradients.

    Args:
        folder: where the manifest and the weights are.
        manifest: the manifest's content.

    Raises:
        InputError: the manifest lacks a field or contradicts itself, or a file it names is missing.
    """

    def __init__(self, folder: Path, manifest: dict):
        self.folder, self.manifest = folder, manifest
        _check_manifest(folder, manifest)

    @classmethod
    def load(cls, folder: str | Path) -> "ModelPack":
        """Open the pack in a folder; raises `InputError` when there is none or its manifest is not usable."""
        folder = Path(folder)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputError(
                f"{folder} holds no model pack: {MANIFEST} is missing; choose a pack's folder."
            ) from error
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise InputError(
                f"{folder / MANIFEST} cannot be read ({error}); install the pack again."
            ) from error
        if not isinstance(manifest, dict):
            raise InputError(f"{folder / MANIFEST} is not a JSON object; install the pack again.")
        return cls(folder, manifest)

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.manifest["name"]

    @property
    def picture_size(self) -> int:
        """Side of the face crop in pixels."""
        return self.manifest["picture_size"]

    @property
    def clip_frames(self) -> int:
        """F, frames of a clip."""
        return self.manifest["clip_frames"]

    @property
    def overlap(self) -> int:
        """k, frames carried from clip to clip."""
        return self.manifest["overlap"]

    @property
    def render(self) -> str:
        """Which render conditions the U-Net: `albedo` or `projected`."""
        return self.manifest["render"]

    @property
    def scheduler(self) -> dict:
        """Prediction type, timestep spacing and betas, for `diffusion.schedule.build_scheduler`."""
        return self.manifest["scheduler"]

    @property
    def sampling(self) -> dict:
        """The pack's own defaults: `scheduler`, `steps`, `guidance`."""
        return self.manifest["sampling"]

    @cached_property
    def vae(self) -> nn.Module:
        """The autoencoder."""
        entry = self.manifest["vae"]
        return self._part("vae", lambda config: build_vae(entry["class"], config))

    @cached_property
    def appearance(self) -> AppearanceEncoder:
        """The appearance encoder."""
        return self._part("appearance", lambda config: AppearanceEncoder(**config))

    @cached_property
    def unet(self) -> nn.Module:
        """The motion U-Net."""
        return self._part("unet", build_unet)

    @cached_property
    def latents(self) -> LatentSpace:
        """The autoencoder with the variable that is diffused."""
        entry = self.manifest["latents"]
        return LatentSpace(self.vae, entry["target"], entry.get("scale", 1.0), colour=entry.get("colour", True))

    @cached_property
    def morphable(self) -> "MorphableModel":
        """The linear face model: the procedural one, or a safetensors file of the pack."""
        entry = self.manifest["morphable"]
        if entry["kind"] == "procedural":
            from ..morphable.procedural import procedural_face

            return procedural_face().model
        from ..morphable.model import MorphableModel

        return MorphableModel.load(self.folder / entry["file"])

    @property
    def face(self) -> "ProceduralFace":
        """The face model that pictures are measured with, with its eyes, mouth and surroundings.

        Raises:
            InputError: the pack brings a face model of its own, which cannot be fitted to pictures yet.
        """
        from ..morphable.procedural import procedural_face

        if self.manifest["morphable"]["kind"] != "procedural":
            raise InputError(
                f"Pictures cannot be measured with the face model of the pack '{self.name}'; choose the bundled pack."
            )
        return procedural_face()

    @property
    def face_share(self) -> float:
        """How much of the crop's side the face's box fills."""
        return float(self.manifest.get("face_share", FACE_SHARE))

    def verify(self) -> dict[str, dict[str, int]]:
        """Load every part; returns for each its parameters and the bytes of its file.

        Raises:
            InputError: a part does not load; the message names file, key and remedy.
        """
        report = {}
        for part in PARTS:
            module: nn.Module = getattr(self, part)
            size = (self.folder / self.manifest[part]["file"]).stat().st_size
            report[part] = {"parameters": sum(p.numel() for p in module.parameters()), "bytes": size}
        return report

    def _part(self, part: str, build: Callable[[dict], nn.Module]) -> Any:
        """Build a part from its configuration and fill it from its file."""
        entry = self.manifest[part]
        try:
            module = build(entry["config"])
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.folder / MANIFEST}: {part}.config cannot be built ({error}); "
                "correct it or install the pack again."
            ) from error
        fill(module, self.folder / entry["file"])
        # Channels last makes convolutions of few channels faster.
        return module.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def list_packs(folders: Iterable[Path] | None = None) -> dict[str, Path]:
    """Find the packs: the bundled one, then the sub-folders of the models folders that hold a manifest.

    Args:
        folders: models folders; the surroundings' (`host.current().models_folders()`) when None.

    Returns:
        Folder name → folder, `bundled` first. Where two share a name the first one is kept.
    """
    if folders is None:
        folders = host.current().models_folders()
    found = [BUNDLED]
    for folder in folders:
        if folder.is_dir():
            found += sorted(path for path in folder.iterdir() if path.is_dir())
    packs: dict[str, Path] = {}
    for folder in found:
        if (folder / MANIFEST).is_file():
            packs.setdefault(folder.name, folder)
    return packs


def find_pack(name: str, folders: Iterable[Path] | None = None) -> ModelPack:
    """Open a pack by its name in `list_packs` or by its folder; raises `InputError` if there is none."""
    packs = list_packs(folders)
    if name in packs:
        return ModelPack.load(packs[name])
    if (Path(name) / MANIFEST).is_file():
        return ModelPack.load(name)
    known = ", ".join(packs) or "none"
    raise InputError(f"There is no model pack '{name}'; the packs found are: {known}.")


def _check_manifest(folder: Path, manifest: dict) -> None:
    """Refuse a manifest that cannot work before anything is loaded."""
    where = folder / MANIFEST

    def refuse(problem: str) -> None:
        raise InputError(f"{where}: {problem}; correct it or install the pack again.")

    # Every field, of its type.
    for field, kind in FIELDS.items():
        if not isinstance(manifest.get(field), kind):
            refuse(f"'{field}' is missing or not of type {kind.__name__}")
    if manifest["render"] not in RENDERS:
        refuse(f"render '{manifest['render']}' is not one of {', '.join(RENDERS)}")
    if manifest["morphable"].get("kind") not in MORPHABLES:
        refuse(f"morphable.kind '{manifest['morphable'].get('kind')}' is not one of {', '.join(MORPHABLES)}")
    if not 0 <= manifest["overlap"] < manifest["clip_frames"]:
        refuse("overlap must be from 0 to clip_frames - 1")
    for field, key in (
        ("latents", "target"),
        ("vae", "class"),
        ("scheduler", "prediction_type"),
        ("sampling", "scheduler"),
        ("sampling", "steps"),
        ("sampling", "guidance"),
    ):
        if key not in manifest[field]:
            refuse(f"'{field}.{key}' is missing")

    # Every part has a configuration and a file inside the pack.
    entries = {part: manifest[part] for part in PARTS}
    if manifest["morphable"]["kind"] == "file":
        entries["morphable"] = manifest["morphable"]
    for part, entry in entries.items():
        if part != "morphable" and not isinstance(entry.get("config"), dict):
            refuse(f"'{part}.config' is missing or not an object")
        file = entry.get("file")
        if not isinstance(file, str) or Path(file).name != file:
            refuse(f"'{part}.file' is not a file name")
        if not (folder / file).is_file():
            refuse(f"{part}'s file {file} is not there")

    # The parts fit each other.
    unet, appearance = manifest["unet"]["config"], manifest["appearance"]["config"]
    if unet.get("cross_attention_dim") != appearance.get("context_dim"):
        refuse("unet.config.cross_attention_dim differs from appearance.config.context_dim")
    channels = manifest["vae"]["config"].get("latent_channels", 4)
    inputs = condition_channels(channels)
    if unet.get("out_channels", 4) != channels or unet.get("in_channels", inputs) != inputs:
        refuse(
            f"the U-Net does not fit {channels} latent channels, which need {inputs} in and {channels} out"
        )
