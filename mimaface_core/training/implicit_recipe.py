"""The recipe of an IF-MDM pack: its training stages, in their order."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .recipe import Share, Stage, StageRun

if TYPE_CHECKING:
    from .implicit_config import ImplicitConfig

ALL = "implicit"


def _moves(run: StageRun[ImplicitConfig]) -> None:
    from .data.implicit_clips import make_implicit_data

    moves = run.config.moves
    portraits = None if moves.portraits is None else Path(moves.portraits)
    make_implicit_data(run.data / "moves", range(moves.people), moves.frames, portraits, run.share, moves.size)
    if moves.videos is not None:
        from ..packs.pack import BUNDLED_PACK, ModelPack
        from .data.implicit_videos import make_video_moves

        net, folders = ModelPack.load(BUNDLED_PACK).audio, (run.data / "moves", run.data / "spoken")
        make_video_moves(Path(moves.videos), *folders, moves.frames, moves.size, net, run.share)


def _generator(run: StageRun[ImplicitConfig]) -> None:
    from .models.implicit_generator import train_generator

    train_generator(run.config.generator, run.config.precision, run.data, run.out)


def _renderer(run: StageRun[ImplicitConfig]) -> None:
    from .models.implicit_generator import train_renderer

    train_renderer(run.config.renderer, run.config.precision, run.data, run.out)


def _spoken(run: StageRun[ImplicitConfig]) -> None:
    from ..packs.pack import BUNDLED_PACK, ModelPack
    from .data.implicit_speech import make_spoken_motion
    from .speech.corpus import make_corpus

    spoken, (first, step) = run.config.spoken, run.share
    if not spoken.items:
        return
    make_corpus(run.data / "speech", range(first, spoken.items, step), spoken.seconds)
    driver = ModelPack.load(BUNDLED_PACK).audio_driver
    make_spoken_motion(run.data / "speech", run.data / "spoken", driver, spoken.takes)


def _transformer(run: StageRun[ImplicitConfig]) -> None:
    from .models.implicit_transformer import train_transformer

    train_transformer(run.config.transformer, run.config.precision, run.data, run.out)


def _pack(run: StageRun[ImplicitConfig]) -> None:
    folder, portraits = write_implicit(run.config, run.out), run.config.moves.portraits
    if portraits is not None:
        from .models.implicit_calibration import calibrate_head

        calibrate_head(folder, Path(portraits))


STAGES = {
    "moves": Stage("make images of people in motion, for IF-MDM", _moves),
    "generator": Stage("train IF-MDM's generator", _generator),
    "renderer": Stage("train the renderer of IF-MDM's generator on", _renderer),
    "spoken": Stage("make the motion of speech, for IF-MDM (needs espeak-ng)", _spoken),
    "transformer": Stage("train IF-MDM's motion transformer", _transformer),
    "implicit-pack": Stage("write IF-MDM's pack from what was trained", _pack),
}


def run_implicit_stage(name: str, config: ImplicitConfig, data: Path, out: Path, share: Share = (0, 1)) -> None:
    """Run one training stage of IF-MDM, or all of them; a stage that was stopped resumes.

    Args:
        name: of the stage, or `implicit` for all.
        config: of the training.
        data: folder of the training data.
        out: folder of the checkpoints.
        share: number of this process, and of all that share the stages `moves` and `spoken`.

    Raises:
        InputError: the stage refuses.
    """
    for stage in STAGES if name == ALL else (name,):
        STAGES[stage].run(StageRun(config, data, out, share))


def implicit_manifest(config: ImplicitConfig) -> dict[str, Any]:
    """The manifest of the pack."""
    from ..implicit.face_codes import DIMENSIONS, code_groups
    from ..implicit.voice_features import FEATURES
    from ..packs.manifest import FACE_SHARE

    network = config.renderer.network(max(int(size) for size in config.renderer.sizes))
    transformer = {"variant": config.transformer.variant, "dimensions": DIMENSIONS, "speech_width": FEATURES}
    return {
        "method": "implicit",
        **{name: value for name, value in asdict(config.pack).items() if value is not None},
        "generator": {"file": "generator.safetensors", "config": {**network, "dimensions": DIMENSIONS}},
        "transformer": {"file": "transformer.safetensors", "config": transformer},
        "speech": "bundled",
        "speaking": {"sampler": "ancestral", "steps": 16, "guidance": 1.0},
        "groups": code_groups(),
        "movements": "movements.safetensors",
        "face_share": FACE_SHARE,
    }


def write_implicit(config: ImplicitConfig, out: Path) -> Path:
    """Write the pack from the averaged weights.

    Args:
        config: of the training.
        out: folder of the checkpoints.

    Returns:
        The pack's folder, `out`/implicit-pack.

    Raises:
        InputError: a checkpoint is missing.
    """
    from ..implicit.generator import Generator
    from ..implicit.transformer import MotionTransformer
    from ..packs.files import write_pack
    from .data.implicit_codes import movements
    from .engine.checkpoint import load_averaged

    manifest = implicit_manifest(config)
    generator = Generator(**manifest["generator"]["config"])
    transformer = MotionTransformer(**manifest["transformer"]["config"])
    load_averaged(out / "renderer.safetensors", {"generator": generator})
    load_averaged(out / "transformer.safetensors", {"network": transformer})
    folder = out / "implicit-pack"
    write_pack(folder, manifest, {"generator": generator, "transformer": transformer})
    movements().save(folder / manifest["movements"])
    return folder
