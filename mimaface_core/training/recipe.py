"""The recipe of a model pack: its training stages, in their order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ..errors import InputError

if TYPE_CHECKING:
    from .config import TrainingConfig

Share = tuple[int, int]  # number of this process, and of all processes that share a stage
ALL = "all"


Config = TypeVar("Config")


@dataclass(frozen=True)
class StageRun(Generic[Config]):
    """Everything that a stage needs: configuration, data folder, checkpoint folder, share of the work."""

    config: Config
    data: Path
    out: Path
    share: Share


def _data(run: StageRun[TrainingConfig]) -> None:
    from .data.dataset import make_data

    first, step = run.share
    make_data(run.data, range(first, run.config.data.people, step), run.config.data.frames)


def _vae(run: StageRun[TrainingConfig]) -> None:
    from .config import VaeConfig
    from .models.vae import train_vae

    assert isinstance(run.config.vae, VaeConfig)
    train_vae(run.config.vae, run.config.precision, run.data, run.out)


def _image(run: StageRun[TrainingConfig]) -> None:
    from .models.image_video import train_image

    train_image(run.config, run.data, run.out)


def _video(run: StageRun[TrainingConfig]) -> None:
    from .models.image_video import train_video

    train_video(run.config, run.data, run.out)


def _distill(run: StageRun[TrainingConfig]) -> None:
    from .models.distillation import train_distill

    train_distill(run.config, run.data, run.out)


def _speech(run: StageRun[TrainingConfig]) -> None:
    from .speech.corpus import make_corpus

    assert run.config.speech is not None
    first, step = run.share
    make_corpus(run.data / "speech", range(first, run.config.speech.items, step), run.config.speech.seconds)


def _voice(run: StageRun[TrainingConfig]) -> None:
    from .models.voice import train_voice

    assert run.config.voice is not None
    train_voice(run.config.voice, run.config.precision, run.data, run.out)


def _pack(run: StageRun[TrainingConfig]) -> None:
    from .export import write_trained

    write_trained(run.config, run.out)


class Stage(NamedTuple):
    """A training stage: its help text, and its function."""

    help: str
    run: Callable[[StageRun[Any]], None]


# Name of each stage, which is that of its section in the configuration → the stage. Imports are inside the functions,
# since the command line lists the stages without loading torch.
STAGES = {
    "data": Stage("make the synthetic people", _data),
    "vae": Stage("train the small autoencoder", _vae),
    "image": Stage("train U-Net and appearance encoder on single frames", _image),
    "video": Stage("train the motion modules on clips", _video),
    "distill": Stage("teach the U-Net to sample in few steps", _distill),
    "speech": Stage("make the synthetic speech (needs espeak-ng)", _speech),
    "voice": Stage("train the voice network", _voice),
    "pack": Stage("write the pack from what was trained, and the one that samples in few steps", _pack),
}
SHARED = ("data", "speech")  # stages that several processes may share; they need no pretrained weights


def stages_of(config: TrainingConfig) -> list[str]:
    """Names of the stages that a configuration describes, in their order; a pretrained autoencoder is not trained."""
    pretrained = {"vae"} if config.pretrained.vae is not None else set()
    return [name for name in STAGES if getattr(config, name) is not None and name not in pretrained]


def run_stage(name: str, config: TrainingConfig, data: Path, out: Path, share: Share = (0, 1)) -> None:
    """Run one training stage, or all that the configuration describes; a stage that was stopped resumes.

    Args:
        name: of the stage, or `all`.
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.
        share: number of this process, and of all that share the stages `data` and `speech`.

    Raises:
        InputError: the configuration does not describe the stage, or the stage refuses.
    """
    described = stages_of(config)
    if name == ALL:
        for one in described:
            run_stage(one, config, data, out, share)
        return
    if name not in described:
        raise InputError(f"The configuration has nothing for the stage '{name}'; it has {', '.join(described)}.")
    if name not in SHARED:
        from .models.pretrained import check_start

        check_start(config.pretrained)
    STAGES[name].run(StageRun(config, data, out, share))
