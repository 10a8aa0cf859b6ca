"""A model pack: a folder with `manifest.json` and safetensors, whose parts are built on first use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from ..appearance.mia import AppearanceEncoder
from ..appearance.tokens_released import ReleasedAppearance
from ..audio.voice.net import VoiceNet
from ..diffusion.latents import LatentSpace
from ..errors import InputError
from ..face.d3dfr import CoefficientNetwork
from ..motion.track import BFM, BUNDLED
from .entries import MANIFEST
from .files import fill, stamp
from .manifest import Manifest, read_manifest
from .parts import LARGE, build_part, precision

if TYPE_CHECKING:
    from ..audio.voice.driver import VoiceDriver
    from ..face.extract import Extractor
    from ..morphable.bundled.face import BundledFace
    from ..morphable.model import MorphableModel

BUNDLED_PACK = Path(__file__).parent / "bundled"

Network = TypeVar("Network", bound=nn.Module)


class ModelPack:
    """Everything that animates a face, behind one manifest.

    Opening a pack reads its manifest only. The parts are loaded when first used, in evaluation mode and without
    gradients; in float32 whatever the file's precision, the large ones in the host's (`host.current().dtype`).

    Args:
        folder: the folder of the manifest and the weights.
        manifest: its manifest.

    Raises:
        InputError: a file that the manifest names is missing.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        manifest.check_files(folder)

    @classmethod
    def load(cls, folder: str | Path) -> ModelPack:
        """Open the pack in a folder.

        Raises:
            InputError: there is none, or it is not usable.
        """
        return cls(Path(folder), read_manifest(Path(folder)))

    # -- settings

    @property
    def name(self) -> str:
        """The pack's name."""
        return self.manifest.name

    @property
    def clip_frames(self) -> int:
        """F, frames of a clip."""
        return self.manifest.clip_frames

    @property
    def overlap(self) -> int:
        """k, frames carried from clip to clip."""
        return self.manifest.overlap

    @property
    def render(self) -> str:
        """The render that conditions the U-Net: `albedo` or `projected`."""
        return self.manifest.render

    @property
    def averaged(self) -> bool:
        """True where all frames of a clip share the mean of their contexts, as the released weights were trained."""
        return self.manifest.context == "clip"

    @property
    def basis(self) -> str:
        """The face model that the pack's motions belong to, `MotionTrack.basis`."""
        return BUNDLED if self.manifest.morphable.kind == "bundled" else BFM

    @property
    def scheduler(self) -> dict[str, Any]:
        """Prediction type, timestep spacing and betas, for `diffusion.schedule.build_scheduler`."""
        return self.manifest.scheduler.arguments()

    @property
    def sampling(self) -> dict[str, Any]:
        """The pack's defaults: `scheduler`, `steps`, `guidance`."""
        return asdict(self.manifest.sampling)

    @property
    def stamps(self) -> list[str]:
        """What tells its weights from others."""
        return [stamp(self.folder / name) for name in (MANIFEST, *sorted(self.manifest.weight_files.values()))]

    # -- parts

    @cached_property
    def vae(self) -> nn.Module:
        """The autoencoder."""
        return self._part("vae", nn.Module)

    @cached_property
    def latents(self) -> LatentSpace:
        """The autoencoder with the variable that is diffused."""
        return LatentSpace(self.vae, final=True, **vars(self.manifest.latents))

    @cached_property
    def appearance(self) -> AppearanceEncoder | ReleasedAppearance:
        """The appearance encoder of the video model."""
        return self._appearance("appearance")

    @cached_property
    def unet(self) -> nn.Module:
        """The motion U-Net."""
        return self._part("unet", nn.Module)

    @cached_property
    def image_appearance(self) -> AppearanceEncoder | ReleasedAppearance:
        """The appearance encoder of the image model. Raises InputError when the pack has none."""
        return self._appearance("picture_appearance")

    @cached_property
    def image_unet(self) -> nn.Module:
        """The U-Net of the image model. Raises InputError when the pack has none."""
        return self._part("picture_unet", nn.Module)

    def stage(self, frames: int) -> FrameModel:
        """The networks that draw a motion.

        Args:
            frames: length of the motion.

        Returns:
            The image model for a single frame, where the pack has one; else the video model.
        """
        return FrameModel(self, single=frames == 1 and self.manifest.image_unet is not None)

    @cached_property
    def regressor(self) -> CoefficientNetwork:
        """D3DFR's coefficient network. Raises InputError when the pack has none."""
        return self._part("regressor", CoefficientNetwork)

    @cached_property
    def audio(self) -> VoiceNet:
        """The voice network. Raises InputError when the pack has none."""
        if self.manifest.audio is None:
            raise InputError("This pack has no audio driver; choose the bundled one.")
        return self._part("audio", VoiceNet)

    @cached_property
    def audio_driver(self) -> VoiceDriver:
        """The audio driver of the pack's face model. Raises InputError when the pack has none."""
        from ..audio.voice.driver import VoiceDriver

        return VoiceDriver(self.audio, self.face)

    @cached_property
    def morphable(self) -> MorphableModel:
        """The linear face model: the bundled one, or a safetensors file of the pack."""
        file = self.manifest.weight_files.get("morphable")
        if file is None:
            from ..morphable.bundled.face import bundled_face

            return bundled_face().model
        from ..morphable.model import MorphableModel

        return MorphableModel.load(self.folder / file)

    @property
    def face(self) -> BundledFace:
        """The bundled face model, with its eyes, mouth and host.

        Raises:
            InputError: the pack brings a face model of its own, which has none of them.
        """
        from ..morphable.bundled.face import bundled_face

        if self.basis != BUNDLED:
            raise InputError(
                f"The pack '{self.name}' has a face model without eyes, mouth and host, which are needed "
                "here; choose the bundled pack, or albedo to draw."
            )
        return bundled_face()

    def measurer(self, framing: str | None = None) -> Extractor:
        """The pack's way to measure faces: by regression or by fit.

        Args:
            framing: one of `face.extract_by_d3dfr.FRAMINGS`, read by the regression only; as released when None.

        Raises:
            InputError: the pack brings a face model but nothing that measures it.
        """
        if self.manifest.face == "regressor":
            from ..face.extract_by_d3dfr import RELEASED, D3DFRExtractor

            return D3DFRExtractor(self.regressor, framing or RELEASED)
        from ..face.extract_by_fit import FitExtractor

        return FitExtractor(self.face, self.manifest.face_share, self.manifest.image_size)

    def verify(self) -> dict[str, dict[str, int]]:
        """Load every part, one after another.

        Returns:
            Part → `parameters` and `bytes` of its file.

        Raises:
            InputError: a part does not load; the message names file, key and remedy.
        """
        report = {}
        for part, file in self.manifest.weight_files.items():
            if part == "morphable":
                count = self.morphable.count()
            else:
                count = sum(parameter.numel() for parameter in self._part(part, nn.Module).parameters())
            report[part] = {"parameters": count, "bytes": (self.folder / file).stat().st_size}
        return report

    def _appearance(self, part: str) -> AppearanceEncoder | ReleasedAppearance:
        module = self._part(part, nn.Module)
        assert isinstance(module, (AppearanceEncoder, ReleasedAppearance))
        return module

    def _part(self, part: str, kind: type[Network]) -> Network:
        """Build a part from its configuration and fill it from its file."""
        entry = self.manifest.parts.get(part)
        if entry is None:
            raise InputError(f"The pack '{self.name}' has no {part}; choose one that brings it.")
        try:
            module = build_part(part, entry.config, entry.class_name)
        except ValueError as error:
            raise InputError(
                f"{self.folder / MANIFEST}: {part}.config cannot be built ({error}); "
                "correct it or install the pack again."
            ) from error
        assert isinstance(module, kind)
        fill(module, self.folder / entry.file, precision(part, entry.class_name))
        module.eval().requires_grad_(False)
        # Channels last makes convolutions of few channels faster; large parts stay mapped to their file.
        if entry.class_name not in LARGE:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in torch's stubs
        return module


@dataclass(frozen=True)
class FrameModel:
    """The image model or the video model of a pack, loaded when first used; a `diffusion.clips.ClipParts`.

    Args:
        pack: the pack.
        single: True for the image model, which draws single frames.
    """

    pack: ModelPack
    single: bool

    @property
    def unet(self) -> nn.Module:
        """The U-Net."""
        return self.pack.image_unet if self.single else self.pack.unet

    @property
    def appearance(self) -> AppearanceEncoder | ReleasedAppearance:
        """The appearance encoder."""
        return self.pack.image_appearance if self.single else self.pack.appearance

    @property
    def latents(self) -> LatentSpace:
        """The pack's autoencoder with the variable that is diffused."""
        return self.pack.latents

    @property
    def scheduler(self) -> dict[str, Any]:
        """The pack's noise schedule."""
        return self.pack.scheduler
