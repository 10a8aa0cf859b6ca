"""The typed manifest of a model pack: `manifest.json`, refused before anything is loaded where it cannot work."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..diffusion.unet import condition_channels
from ..diffusion.unet_released import VIDEO_CONFIG
from ..errors import InputError
from ..typed_config import read_config
from .entries import HOME, IMPLICIT, IMPLICIT_NODES, MANIFEST, REMEDY, PackManifest, PartEntry, read_content
from .parts import BUILDERS

FACE_SHARE = 0.56  # of the crop's side that the face's box fills
IMAGE_SIZES, SIZE_STEP = (64, 2048), 64  # sides of a face crop, pixels
REGRESSED_SIZE = 512  # of the crop whose face a regressor measures
TOKEN_WIDTH = VIDEO_CONFIG["cross_attention_dim"]  # of the released classes, where their configuration leaves it out


@dataclass(frozen=True, kw_only=True)
class VaeEntry(PartEntry):
    """The autoencoder, whose class is always stated: one of `diffusion.latents.AUTOENCODERS`."""

    class_name: str = field(metadata={"key": "class"})


@dataclass(frozen=True)
class MorphableEntry:
    """The face model: the bundled one (`bundled`), or a safetensors file of the pack."""

    kind: Literal["bundled", "file"]
    file: str | None = None

    def __post_init__(self) -> None:
        if self.kind == "file" and self.file is None:
            raise ValueError("'file' is missing")


@dataclass(frozen=True)
class LatentsEntry:
    """The variable that is diffused: arguments of `diffusion.latents.LatentSpace`."""

    target: Literal["picture", "residual"]
    scale: float = 1.0
    colour: bool = True
    sampled: bool = True


@dataclass(frozen=True)
class SchedulerEntry:
    """The noise schedule: arguments of diffusers' schedulers, those left out as `diffusion.schedule` has them."""

    prediction_type: Literal["sample", "epsilon", "v_prediction"]
    timestep_spacing: str | None = None
    num_train_timesteps: int | None = None
    beta_start: float | None = None
    beta_end: float | None = None
    beta_schedule: str | None = None
    trained_betas: list[float] | None = None
    rescale_betas_zero_snr: bool | None = None
    steps_offset: int | None = None
    # of Euler alone
    interpolation_type: str | None = None
    timestep_type: str | None = None
    final_sigmas_type: str | None = None
    sigma_min: float | None = None
    sigma_max: float | None = None
    use_karras_sigmas: bool | None = None
    use_exponential_sigmas: bool | None = None
    use_beta_sigmas: bool | None = None

    def arguments(self) -> dict[str, Any]:
        """Those that the manifest states."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class SamplingDefaults:
    """Defaults of the sampler: scheduler, number of denoising steps, strength of classifier-free guidance."""

    scheduler: Literal["euler", "ddim", "lcm"]
    steps: int
    guidance: float


@dataclass(frozen=True, kw_only=True)
class Manifest(PackManifest):
    """Content of `manifest.json` of a pack with a face model.

    Attributes:
        image_size: S, side of the face crop in pixels, a multiple of SIZE_STEP; in the file `picture_size`.
        clip_frames: F, frames of a clip.
        overlap: k, frames carried from clip to clip.
        render: the render that conditions the U-Net.
        face: how faces are measured: by fitting the face model to landmarks, or by the part `regressor`.
        face_share: share of the crop's side that the face's box fills, where the face model is fitted.
        context: whether each frame has its own context, or all frames of a clip share the mean of theirs.
        image_appearance, image_unet: the image model, which draws single frames; in the file `picture_…`.
        description, author, homepage, license, licence, attribution, training, notes: free-form, not read.
    """

    image_size: int = field(metadata={"key": "picture_size"})
    clip_frames: int
    overlap: int
    morphable: MorphableEntry
    render: Literal["albedo", "projected"]
    latents: LatentsEntry
    vae: VaeEntry
    appearance: PartEntry
    unet: PartEntry
    image_appearance: PartEntry | None = field(default=None, metadata={"key": "picture_appearance"})
    image_unet: PartEntry | None = field(default=None, metadata={"key": "picture_unet"})
    regressor: PartEntry | None = None
    audio: PartEntry | None = None
    scheduler: SchedulerEntry
    sampling: SamplingDefaults
    face: Literal["landmarks", "regressor"] = "landmarks"
    face_share: float = FACE_SHARE
    context: Literal["frame", "clip"] = "frame"

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.clip_frames:
            raise ValueError("overlap must be from 0 to clip_frames - 1")
        for name, entry in self.parts.items():
            known = BUILDERS[name]
            if entry.class_name not in known:
                raise ValueError(f"{name}.class '{entry.class_name}' is not one of {', '.join(filter(None, known))}")
        self.check_names()
        low, high = IMAGE_SIZES
        if not low <= self.image_size <= high or self.image_size % SIZE_STEP:
            raise ValueError(f"picture_size {self.image_size} is not a multiple of {SIZE_STEP} from {low} to {high}")
        if self.face == "regressor" and self.image_size != REGRESSED_SIZE:
            raise ValueError(f"picture_size is {REGRESSED_SIZE} where faces are measured by a regressor")
        if self.face == "regressor" and (self.regressor is None or self.morphable.kind != "file"):
            raise ValueError("face 'regressor' needs the part 'regressor' and a face model of its own")
        self._check_networks("", self.unet, self.appearance)
        if self.image_unet is not None and self.image_appearance is not None:
            self._check_networks("picture_", self.image_unet, self.image_appearance)
        elif self.image_unet is not self.image_appearance:
            raise ValueError("'picture_unet' and 'picture_appearance' are only useful together")

    def _check_networks(self, prefix: str, unet: PartEntry, appearance: PartEntry) -> None:
        """U-Net, appearance encoder and autoencoder must fit each other."""
        width = unet.config.get("cross_attention_dim", TOKEN_WIDTH if unet.class_name else None)
        if width != appearance.config.get("context_dim", TOKEN_WIDTH if appearance.class_name else None):
            raise ValueError(
                f"{prefix}unet.config.cross_attention_dim differs from {prefix}appearance.config.context_dim"
            )
        channels = self.vae.config.get("latent_channels", 4)
        inputs = condition_channels(channels)
        if unet.config.get("out_channels", 4) != channels or unet.config.get("in_channels", inputs) != inputs:
            raise ValueError(
                f"the U-Net does not fit {channels} latent channels, which need {inputs} in and {channels} out"
            )

    @classmethod
    def from_json(cls, content: object, where: str | Path) -> Manifest:
        """The manifest of a JSON object.

        Args:
            content: what `manifest.json` holds.
            where: its path, for the message.

        Raises:
            InputError: a key is missing, unknown or of another type, or the parts do not fit each other.
        """
        return read_config(cls, content, str(where), REMEDY)

    @property
    def remake(self) -> str:
        """How a converted pack is made again, from `FOLDER`."""
        return f"`mimaface pack convert DIR FOLDER` from the released weights, {HOME}"

    @property
    def weight_files(self) -> dict[str, str]:
        """File names of the parts with weights, and of the face model where it is a file."""
        names = super().weight_files
        if self.morphable.kind == "file" and self.morphable.file is not None:
            names["morphable"] = self.morphable.file
        return names


def read_manifest(folder: Path) -> Manifest:
    """The manifest in the folder of a pack with a face model.

    Raises:
        InputError: there is none, it is not usable, or it is of a pack for implicit motion.
    """
    content = read_content(folder)
    if content.get("method") == IMPLICIT:
        raise InputError(
            f"The pack {folder} is for implicit motion, which {IMPLICIT_NODES} take; choose one with a face model here,"
            " such as bundled."
        )
    return Manifest.from_json(content, folder / MANIFEST)
