"""The typed manifest of a model pack: `manifest.json`, refused before anything is loaded where it cannot work."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..diffusion.unet import condition_channels
from ..diffusion.unet_released import VIDEO_CONFIG
from ..errors import InputError
from ..files import is_file, read_json, shown
from ..typed_config import read_config
from .parts import BUILDERS

MANIFEST = "manifest.json"
HOME = "https://huggingface.co/MIMAFace/MIMAFace"  # of the released weights
FORMAT = 1  # the newest format of manifests that can be read
FACE_SHARE = 0.56  # of the crop's side that the face's box fills
TOKEN_WIDTH = VIDEO_CONFIG["cross_attention_dim"]  # of the released classes, where their configuration leaves it out
REMEDY = "correct it or install the pack again"


@dataclass(frozen=True, kw_only=True)
class PartEntry:
    """A part with weights.

    Attributes:
        file: name of its safetensors file in the pack's folder.
        config: arguments of its class, which refuses those that it does not have.
        class_name: key of `parts.BUILDERS[part]`; in the file `class`.
    """

    file: str
    config: dict[str, Any]
    class_name: str | None = field(default=None, metadata={"key": "class"})


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


@dataclass(frozen=True)
class FileRecord:
    """Hash (hexadecimal) and size of a file."""

    sha256: str
    bytes: int


@dataclass(frozen=True, kw_only=True)
class PackNotes:
    """Free-form entries of a manifest, which nothing reads."""

    description: object = None
    author: object = None
    homepage: object = None
    license: object = None
    licence: object = None
    attribution: object = None
    training: object = None
    notes: object = None


@dataclass(frozen=True, kw_only=True)
class Manifest(PackNotes):
    """Content of a pack's `manifest.json`.

    Attributes:
        image_size: S, side of the face crop in pixels; in the file `picture_size`.
        clip_frames: F, frames of a clip.
        overlap: k, frames carried from clip to clip.
        render: the render that conditions the U-Net.
        face: how faces are measured: by fitting the face model to landmarks, or by the part `regressor`.
        face_share: share of the crop's side that the face's box fills, where the face model is fitted.
        context: whether each frame has its own context, or all frames of a clip share the mean of theirs.
        image_appearance, image_unet: the image model, which draws single frames; in the file `picture_…`.
        sources: files that a converted pack was made from, by their places in the released folder.
        files: the pack's own files, to be verified.
        description, author, homepage, license, licence, attribution, training, notes: free-form, not read.
    """

    name: str
    version: str
    format: int = FORMAT
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
    sources: dict[str, FileRecord] | None = None
    files: dict[str, FileRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.clip_frames:
            raise ValueError("overlap must be from 0 to clip_frames - 1")
        for name, entry in self.parts.items():
            known = BUILDERS[name]
            if entry.class_name not in known:
                raise ValueError(f"{name}.class '{entry.class_name}' is not one of {', '.join(filter(None, known))}")
        for name, file in self.weight_files.items():
            if Path(file).name != file:
                raise ValueError(f"'{name}.file' is not a file name")
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
        newest = content.get("format", FORMAT) if isinstance(content, dict) else FORMAT
        if not isinstance(newest, int) or newest > FORMAT:
            raise InputError(f"{where} is of format {newest}, which a newer version of this project reads; update it.")
        return read_config(cls, content, str(where), REMEDY)

    @property
    def parts(self) -> dict[str, PartEntry]:
        """Entries of the parts with weights that the pack brings, by their names in the file."""
        named = {part.metadata.get("key", part.name): getattr(self, part.name) for part in fields(self)}
        return {name: entry for name, entry in named.items() if isinstance(entry, PartEntry)}

    @property
    def weight_files(self) -> dict[str, str]:
        """File names of the parts with weights, and of the face model where it is a file."""
        names = {name: entry.file for name, entry in self.parts.items()}
        if self.morphable.kind == "file" and self.morphable.file is not None:
            names["morphable"] = self.morphable.file
        return names

    def check_files(self, folder: Path) -> None:
        """Refuse a pack whose files are not all there.

        Raises:
            InputError: the sentence names every missing file, where to get it and where to put it.
        """
        missing = [shown(file) for file in self.weight_files.values() if not is_file(folder / file)]
        if missing:
            raise InputError(
                f"The pack '{self.name}' is not whole: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not"
                f" there; {self._source(folder)}."
            )

    def _source(self, folder: Path) -> str:
        """Where to get the files of the pack, and where to put them."""
        if self.sources is not None:
            return f"make the pack again with `mimaface pack convert DIR {folder}` from the released weights, {HOME}"
        if folder.parent == Path(__file__).parent:
            return f"install this project again: they belong into {folder}"
        return f"copy them from where the pack came from into {folder}"


def read_manifest(folder: Path) -> Manifest:
    """The manifest in a folder.

    Raises:
        InputError: there is none, or it is not usable.
    """
    path = folder / MANIFEST
    try:
        content = read_json(path)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no model pack: {MANIFEST} is missing; choose a pack's folder.") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); install the pack again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a JSON object; install the pack again.")
    return Manifest.from_json(content, path)
