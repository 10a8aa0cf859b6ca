"""Typed configuration of training and ablation: one dataclass a section, read from JSON once."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..errors import InputError
from ..files import is_file, read_json, shown
from ..packs.entries import PackNotes
from ..packs.manifest import SamplingDefaults, SchedulerEntry
from ..typed_config import read_config
from .engine.record import ALWAYS

CONFIGS = Path(__file__).parent / "configs"

Precision = Literal["fp32", "bf16", "fp16"]
Timesteps = Literal["late", "even"]  # see `models.networks.ForwardDiffusion`


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """The training loop of one stage, see `engine.trainer`."""

    steps: int  # of the optimizer; the stage ends with `steps` or `minutes`, whichever comes first
    minutes: float
    rate: float  # peak learning rate of AdamW
    average: float  # decay of the weights' exponential moving average
    save_minutes: float  # between two checkpoints
    seed: int = 0
    accumulate: int = 1  # batches whose gradients make one step

    def __post_init__(self) -> None:
        if self.steps < 1 or self.minutes <= 0 or self.accumulate < 1:
            raise ValueError("steps, minutes and accumulate must be above 0")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Stage `data`: the synthetic people."""

    people: int
    frames: int  # of each person


@dataclass(frozen=True, kw_only=True)
class AutoencoderConfig:
    """The autoencoder's class in diffusers, and its arguments."""

    class_name: Literal["AutoencoderTiny", "AutoencoderKL"] = field(
        default="AutoencoderTiny", metadata={"key": "class"}
    )
    config: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class VaeConfig(AutoencoderConfig, LoopConfig):
    """Stage `vae`: an autoencoder that is trained."""

    people: int  # samples that are read into memory
    frames: int  # of each sample
    crop: int  # pixels
    batch: int


@dataclass(frozen=True, kw_only=True)
class LatentsConfig:
    """Latents of the training data, encoded once."""

    target: Literal["picture", "residual"]  # the diffused variable, see `diffusion.latents.LatentSpace`
    size: int  # pixels of a frame's side
    colour: bool  # whether a residual changes colours, or brightness alone
    people: int  # samples that are encoded
    clips: int  # of them, samples with all their frames
    frames: int  # of the other samples
    views: int  # further images of each person, for L_id
    held: int  # people held out for validation


@dataclass(frozen=True, kw_only=True)
class AppearanceConfig:
    """Arguments of `appearance.mia.AppearanceEncoder`."""

    vision: dict[str, Any]  # arguments of transformers' CLIPVisionConfig
    context_dim: int
    adapter_layers: int = field(default=3, metadata=ALWAYS)
    adapter_heads: int = field(default=1, metadata=ALWAYS)


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """L_id, see `models.identity_loss.IdentityLoss`."""

    weight: float  # in the loss of stage `image`
    temperature: float
    bank: int  # tokens in the memory bank
    pictures: int  # of a batch for which it is computed


@dataclass(frozen=True, kw_only=True)
class ImageConfig(LoopConfig):
    """Stage `image`."""

    batch: int
    crops: tuple[int, ...]  # sides in latents, one of which is drawn for each batch
    times: Timesteps
    checkpointing: bool = False  # recompute activations in the backward pass: less memory, more time


@dataclass(frozen=True, kw_only=True)
class VideoConfig(LoopConfig):
    """Stage `video`."""

    batch: int
    crop: int  # side in latents
    times: Timesteps
    frames: int | None = None  # F of a clip; all frames of a sample when None
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class DistillConfig(LoopConfig):
    """Stage `distill`, see `models.distillation`."""

    batch: int
    crop: int  # side in latents
    guidance: float  # of the teacher; 1 is none
    sampled: int  # steps of the pack that samples with it
    checkpointing: bool = False


@dataclass(frozen=True, kw_only=True)
class SpeechConfig:
    """Stage `speech`: the synthetic speech."""

    items: int
    seconds: float  # of each item, at least


@dataclass(frozen=True, kw_only=True)
class VoiceNetConfig:
    """Arguments of `audio.voice.net.VoiceNet`."""

    width: int = field(default=160, metadata=ALWAYS)
    dilations: tuple[int, ...] = field(default=(1, 2, 4, 8, 1, 2, 4, 8, 12), metadata=ALWAYS)


@dataclass(frozen=True, kw_only=True)
class VoiceConfig(LoopConfig):
    """Stage `voice`."""

    config: VoiceNetConfig
    frames: int  # mel frames of a crop
    batch: int
    music: float  # seconds of background music to draw from
    held: int  # clips of held-out voices for validation


@dataclass(frozen=True, kw_only=True)
class PackConfig(PackNotes):
    """The model pack that stage `pack` writes."""

    name: str
    version: str
    overlap: int  # k, latents carried from clip to clip


@dataclass(frozen=True, kw_only=True)
class StartConfig:
    """Folders of pretrained weights, as diffusers and transformers write them."""

    unet: str | None = None
    motion: str | None = None
    vision: str | None = None
    vae: str | None = None


@dataclass(frozen=True, kw_only=True)
class AblateConfig:
    """Parts of the method that are switched off."""

    motion: bool = False  # the motion modulation
    identity: bool = False  # L_id
    render: bool = False  # the render in the U-Net's input
    ica: bool = False  # inter-clip affinity: latents carried from clip to clip
    average: bool = False  # a context for each frame; their mean for the whole clip instead


@dataclass(frozen=True, kw_only=True)
class EstimatorsConfig(LoopConfig):
    """The estimators that measure an ablation."""

    batch: int


@dataclass(frozen=True, kw_only=True)
class AblationConfig:
    """The ablation itself."""

    seeds: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """The whole configuration of training and ablation; functions take the section that they need.

    Optional sections are None where the file leaves them out; a stage without its section is not run.
    """

    data: DataConfig
    vae: AutoencoderConfig | VaeConfig
    latents: LatentsConfig
    unet: dict[str, Any]  # arguments of diffusers' UNetMotionModel, and `class` as in a manifest
    appearance: AppearanceConfig
    identity: IdentityConfig
    scheduler: SchedulerEntry
    sampling: SamplingDefaults
    image: ImageConfig
    video: VideoConfig
    pack: PackConfig
    precision: Precision = "fp32"
    distill: DistillConfig | None = None
    speech: SpeechConfig | None = None
    voice: VoiceConfig | None = None
    start: StartConfig | None = None
    ablate: AblateConfig = AblateConfig()
    estimators: EstimatorsConfig | None = None
    ablation: AblationConfig | None = None
    common: str | None = None  # folder of autoencoder and latents that several trainings share

    def __post_init__(self) -> None:
        if not isinstance(self.vae, VaeConfig) and self.pretrained.vae is None:
            raise ValueError("'vae' has no settings of training, and 'start.vae' names no autoencoder")

    @property
    def pretrained(self) -> StartConfig:
        """Folders of pretrained weights; none by default."""
        return self.start or StartConfig()

    @property
    def clip_frames(self) -> int:
        """F, the frames of a clip that the U-Net sees at once; a sample may have more."""
        return self.data.frames if self.video.frames is None else self.video.frames

    @property
    def overlap(self) -> int:
        """k, frames whose latents the next clip is given."""
        return 0 if self.ablate.ica else self.pack.overlap

    def shared(self, out: Path) -> Path:
        """Folder of autoencoder and latents: `common`, or `out`."""
        return out if self.common is None else Path(self.common)


def load_config(name: str) -> TrainingConfig:
    """A configuration by its name in `configs/`, or by the path of a JSON file.

    Raises:
        InputError: there is none, it lacks a section or a setting, or it has one that is unknown or of another type.
    """
    return parse_config(*named_json(name, CONFIGS))


def named_json(name: str, folder: Path) -> tuple[object, str]:
    """Content and path of a configuration, by its name in a folder of shipped ones or by the path of a JSON file.

    Raises:
        InputError: there is none, or it is not JSON.
    """
    shipped = folder / f"{name}.json"
    path = shipped if is_file(shipped) else Path(name)
    try:
        return read_json(path), str(path)
    except OSError as error:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.json")))
        raise InputError(
            f"There is no configuration '{shown(name)}'; use {known}, or the path of a JSON file."
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); correct it.") from error


def parse_config(data: object, where: str) -> TrainingConfig:
    """A configuration from the content of its file.

    Args:
        data: the JSON object.
        where: the file, for messages.

    Raises:
        InputError: as `load_config`.
    """
    needed = [f.name for f in fields(TrainingConfig) if f.default is MISSING]
    missing = [name for name in needed if isinstance(data, dict) and name not in data]
    if missing:
        raise InputError(f"{where} lacks the section '{missing[0]}'; take configs/bundled.json for a pattern.")
    return read_config(TrainingConfig, data, where)
