"""A released pack for few steps: with a LoRA in its U-Nets, or with TAESD in place of its autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from .. import host
from ..diffusion.lora import LCM_SAMPLING, Lora
from ..diffusion.taesd import HOME, TAESD, find_taesd, load_taesd
from ..errors import InputError
from ..files import is_file, shown
from ..weights import SAFETENSORS_SUFFIXES
from .files import stamp
from .pack import ModelPack, Network

LORAS, TAESD_FOLDERS = "loras", ("vae_approx", "vae")  # of ComfyUI
UNETS = ("video", "picture")  # classes of the released ones, which are Stable Diffusion 1.5's


class AdaptedPack(ModelPack):
    """A released pack whose networks are changed as they are loaded; the pack that it is made of stays as it is.

    With a LoRA its sampler settings are those of an LCM.

    Args:
        pack: the released pack.
        lora: merged into its U-Nets.
        taesd: TAESD's files, see `diffusion.taesd.find_taesd`; empty for the pack's own autoencoder.
    """

    def __init__(self, pack: ModelPack, lora: Lora | None = None, taesd: Sequence[Path] = ()) -> None:
        super().__init__(pack.folder, pack.manifest)
        self.lora, self.taesd = lora, tuple(taesd)

    @property
    def sampling(self) -> dict[str, Any]:
        """The defaults `scheduler`, `steps`, `guidance`: of an LCM with a LoRA, else the pack's."""
        return super().sampling if self.lora is None else dict(LCM_SAMPLING)

    @property
    def stamps(self) -> list[str]:
        """What tells these weights from others."""
        lora = [] if self.lora is None else [f"{stamp(self.lora.path)} {self.lora.strength}"]
        return [*super().stamps, *lora, *map(stamp, self.taesd)]

    @cached_property
    def vae(self) -> nn.Module:
        """The autoencoder; TAESD in the host's precision."""
        return load_taesd(self.taesd, host.current().dtype) if self.taesd else self._part("vae", nn.Module)

    def _part(self, part: str, kind: type[Network]) -> Network:
        module = super()._part(part, kind)
        if self.lora is not None and self.manifest.parts[part].class_name in UNETS:
            self.lora.merge_into(module)
        return module


def list_loras() -> dict[str, Path]:
    """The safetensors of the host's folders of LoRAs: path in its folder → file; of equal names the first."""
    found: dict[str, Path] = {}
    for folder in host.current().comfyui_folders(LORAS):
        for path in sorted(folder.rglob("*")):
            if path.suffix in SAFETENSORS_SUFFIXES and path.is_file():
                found.setdefault(path.relative_to(folder).as_posix(), path)
    return found


def find_lora(name: str) -> Path:
    """The file of a LoRA.

    Args:
        name: in `list_loras`, or a path.

    Raises:
        InputError: there is none of that name.
    """
    known = list_loras()
    if name not in known and not is_file(Path(name)):
        listed = ", ".join(known) or "none"
        raise InputError(f"There is no LoRA '{shown(name)}'; put it into models/{LORAS}. Those found are: {listed}.")
    return known.get(name, Path(name))


def taesd_files() -> tuple[Path, ...]:
    """TAESD's files in the host's folders; empty where it is not there."""
    current = host.current()
    return find_taesd(folder for kind in TAESD_FOLDERS for folder in current.comfyui_folders(kind))


def adapt(pack: ModelPack, lora: str | None, lora_strength: float, vae: str | None) -> ModelPack:
    """A released pack for few steps.

    Args:
        pack: the pack, which stays as it is.
        lora: name in models/loras, or path, of a LoRA to merge into the U-Nets.
        lora_strength: factor of its change.
        vae: `taesd` for TAESD, from models/vae_approx or models/vae, in place of the pack's autoencoder.

    Returns:
        The changed pack; the given one where nothing changes.

    Raises:
        InputError: a file is missing or another one, the pack is not the released one, or the vae is unknown.
    """
    if vae not in (None, TAESD):
        raise InputError(f"Unknown vae '{vae}'; choose {TAESD}, or none for the pack's own.")
    if lora is None and vae is None:
        return pack
    if pack.manifest.unet.class_name not in UNETS:
        raise InputError(
            f"LoRA and TAESD belong to Stable Diffusion 1.5, which the pack '{pack.name}' is not; choose the released"
            " pack, or neither."
        )
    taesd = () if vae is None else taesd_files()
    if vae is not None and not taesd:
        raise InputError(
            f"TAESD is not there: download taesd_encoder.safetensors and taesd_decoder.safetensors, or the folder"
            f" {TAESD} of diffusers, from {HOME} into models/{TAESD_FOLDERS[0]}."
        )
    return AdaptedPack(pack, None if lora is None else Lora.load(find_lora(lora), lora_strength), taesd)
