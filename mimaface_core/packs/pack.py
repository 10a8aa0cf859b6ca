"""A model pack: a folder with `manifest.json` and safetensors, whose parts are built on first use."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..diffusion.latents import LatentSpace
from ..errors import InputError
from ..motion.track import BFM, PROCEDURAL
from .files import fill
from .manifest import FACE_SHARE, MANIFEST, check_manifest, parts_of, read_manifest
from .parts import LARGE, build_part, precision

if TYPE_CHECKING:
    from ..audio.voice.driver import VoiceDriver
    from ..audio.voice.net import VoiceNet
    from ..face.extract import Extractor
    from ..morphable.bundled.face import ProceduralFace
    from ..morphable.model import MorphableModel

BUNDLED = Path(__file__).parent / "bundled"


class ModelPack:
    """Everything that animates a face, behind one manifest.

    Opening a pack reads its manifest only. The parts are loaded when first used, in evaluation mode and without
    gradients; in float32 whatever the file's precision, the large ones in the host's (`host.current().dtype`).

    Args:
        folder: where the manifest and the weights are.
        manifest: the manifest's content.

    Raises:
        InputError: the manifest lacks a field or contradicts itself, or a file it names is missing.
    """

    def __init__(self, folder: Path, manifest: dict):
        self.folder, self.manifest = folder, manifest
        check_manifest(folder, manifest)

    @classmethod
    def load(cls, folder: str | Path) -> "ModelPack":
        """Open the pack in a folder; raises `InputError` when there is none or its manifest is not usable."""
        return cls(Path(folder), read_manifest(Path(folder)))

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
    def averaged(self) -> bool:
        """Whether all frames of a clip share the mean of their contexts, as the released weights were trained."""
        return self.manifest.get("context") == "clip"

    @property
    def basis(self) -> str:
        """The face model that the pack's motions belong to, `MotionTrack.basis`."""
        return PROCEDURAL if self.manifest["morphable"]["kind"] == "procedural" else BFM

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
        return self._part("vae")

    @cached_property
    def appearance(self) -> nn.Module:
        """The appearance encoder, `mia.AppearanceEncoder` or `tokens_released.ReleasedAppearance`."""
        return self._part("appearance")

    @cached_property
    def unet(self) -> nn.Module:
        """The motion U-Net."""
        return self._part("unet")

    @cached_property
    def picture_appearance(self) -> nn.Module:
        """The appearance encoder of the image stage. Raises InputError when the pack has none."""
        return self._part("picture_appearance")

    @cached_property
    def picture_unet(self) -> nn.Module:
        """The U-Net of the image stage. Raises InputError when the pack has none."""
        return self._part("picture_unet")

    @cached_property
    def regressor(self) -> nn.Module:
        """D3DFR's coefficient network. Raises InputError when the pack has none."""
        return self._part("regressor")

    @cached_property
    def audio(self) -> "VoiceNet":
        """The voice network. Raises InputError when the pack has none."""
        if "audio" not in self.manifest:
            raise InputError("This pack has no audio driver; choose the bundled one.")
        return self._part("audio")

    @cached_property
    def audio_driver(self) -> "VoiceDriver":
        """What moves the pack's face model by a voice. Raises InputError when the pack has none."""
        from ..audio.voice.driver import VoiceDriver

        return VoiceDriver(self.audio, self.face)

    def stage(self, frames: int) -> "Stage":
        """The networks that draw a motion of so many frames: for one, the image stage's where the pack has them."""
        return Stage(self, "picture_" if frames == 1 and "picture_unet" in self.manifest else "")

    @cached_property
    def latents(self) -> LatentSpace:
        """The autoencoder with the variable that is diffused."""
        entry = self.manifest["latents"]
        options = {name: entry[name] for name in ("scale", "colour", "sampled") if name in entry}
        return LatentSpace(self.vae, entry["target"], **options)

    @cached_property
    def morphable(self) -> "MorphableModel":
        """The linear face model: the procedural one, or a safetensors file of the pack."""
        entry = self.manifest["morphable"]
        if entry["kind"] == "procedural":
            from ..morphable.bundled.face import procedural_face

            return procedural_face().model
        from ..morphable.model import MorphableModel

        return MorphableModel.load(self.folder / entry["file"])

    @property
    def face(self) -> "ProceduralFace":
        """The bundled face model, with its eyes, mouth and host.

        Raises:
            InputError: the pack brings a face model of its own, which has none of them.
        """
        from ..morphable.bundled.face import procedural_face

        if self.basis != PROCEDURAL:
            raise InputError(
                f"The pack '{self.name}' has a face model without eyes, mouth and host, which are needed "
                "here; choose the bundled pack, or albedo to draw."
            )
        return procedural_face()

    @property
    def face_share(self) -> float:
        """How much of the crop's side the face's box fills, where the face model is fitted."""
        return float(self.manifest.get("face_share", FACE_SHARE))

    def measurer(self, framing: str | None = None) -> "Extractor":
        """How this pack measures faces.

        Args:
            framing: one of `face.extract_by_d3dfr.FRAMINGS`, read where a network measures; as released when None.

        Raises:
            InputError: the pack brings a face model but nothing that measures it.
        """
        if self.manifest.get("face") == "regressor":
            from ..face.extract_by_d3dfr import RELEASED, D3DFRExtractor

            return D3DFRExtractor(self.regressor, framing or RELEASED)
        from ..face.extract_by_fit import FitExtractor

        return FitExtractor(self.face, self.face_share)

    def verify(self) -> dict[str, dict[str, int]]:
        """Load every part, one after another; returns for each its parameters and the bytes of its file.

        Raises:
            InputError: a part does not load; the message names file, key and remedy.
        """
        report = {}
        for part in parts_of(self.manifest):
            count = sum(p.numel() for p in self._part(part).parameters())
            report[part] = {"parameters": count, "bytes": self._size(part)}
        if "file" in self.manifest["morphable"]:
            report["morphable"] = {"parameters": self.morphable.count(), "bytes": self._size("morphable")}
        return report

    def _size(self, part: str) -> int:
        return (self.folder / self.manifest[part]["file"]).stat().st_size

    def _part(self, part: str) -> Any:
        """Build a part from its configuration and fill it from its file."""
        entry = self.manifest.get(part)
        if entry is None:
            raise InputError(f"The pack '{self.name}' has no {part}; choose one that brings it.")
        try:
            module = build_part(part, entry)
        except (TypeError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.folder / MANIFEST}: {part}.config cannot be built ({error}); "
                "correct it or install the pack again."
            ) from error
        fill(module, self.folder / entry["file"], precision(entry))
        module.eval().requires_grad_(False)
        # Channels last makes convolutions of few channels faster; large parts stay mapped to their file.
        return module if entry.get("class") in LARGE else module.to(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Stage:
    """What draws a motion: parts of one stage of a pack, loaded when first used (see `clips.ClipParts`)."""

    pack: ModelPack
    prefix: str

    @property
    def unet(self) -> nn.Module:
        """The U-Net."""
        return getattr(self.pack, f"{self.prefix}unet")

    @property
    def appearance(self) -> nn.Module:
        """The appearance encoder."""
        return getattr(self.pack, f"{self.prefix}appearance")

    @property
    def latents(self) -> LatentSpace:
        """The pack's."""
        return self.pack.latents

    @property
    def scheduler(self) -> dict:
        """The pack's."""
        return self.pack.scheduler
