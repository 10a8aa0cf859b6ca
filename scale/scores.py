"""Scores of many pairs by workers; each pair's are kept in a file, and measured anew where anything has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..mimaface_core.errors import InputError
from ..mimaface_core.evaluation.batch import BatchEvaluation
from ..mimaface_core.evaluation.evaluate import Evaluation
from ..mimaface_core.evaluation.kept import SUFFIX, load_result, save_result
from ..mimaface_core.evaluation.meters.frechet import I3D, INCEPTION
from ..mimaface_core.evaluation.meters.identity import CURRICULAR
from ..mimaface_core.evaluation.meters.images import ALEXNET
from ..mimaface_core.evaluation.pairs import Pair
from ..mimaface_core.media.provenance import VERSION
from ..mimaface_core.scoring import class_token_encoder
from ..mimaface_core.terminal import TerminalHost
from .hashes import FileHashes, digest_of
from .members import CrewOptions
from .recipe import pack_digest
from .tasks import Task, run_tasks

_WEIGHTS = (INCEPTION, I3D, CURRICULAR, ALEXNET)


@dataclass(frozen=True)
class ScoreSettings:
    """How pairs are scored; see `Evaluation`.

    Attributes:
        same: self-reenactment.
        syncnet: path of SyncNet's weights; None looks in the models folders.
        max_frames: frames of each output that are scored; all when None.
        clip: frames of a clip, as the outputs were sampled.
        overlap: frames that clips share.
    """

    same: bool = False
    syncnet: str | None = None
    max_frames: int | None = None
    clip: int = 12
    overlap: int = 3

    def evaluation(self) -> Evaluation:
        """Scores pairs so. Raises InputError where weights are damaged or the overlap does not fit."""
        syncnet = Path(self.syncnet) if self.syncnet else None
        return Evaluation(self.same, class_token_encoder(), syncnet, self.max_frames, self.clip, self.overlap)


class ScoreKeys:
    """Keys of results: they differ where files, settings, weights, bundled pack or version of the extension do.

    Args:
        settings: how pairs are scored.
    """

    def __init__(self, settings: ScoreSettings) -> None:
        self._hashes = FileHashes()
        found = [file for weights in _WEIGHTS if (file := weights.find()) is not None]
        found += [Path(settings.syncnet)] if settings.syncnet else []
        weights = {file.name: self._hashes.of(file) for file in found}
        own = {name: value for name, value in asdict(settings).items() if name != "syncnet"}
        self._common = [VERSION, own, weights, pack_digest("bundled", self._hashes)]

    def of(self, paths: dict[str, str]) -> str:
        """The key of a pair of files, given by column. Raises OSError where one cannot be read."""
        return digest_of([self._common, {name: self._hashes.of(Path(path)) for name, path in sorted(paths.items())}])


def score_by_workers(
    pairs: Sequence[Pair], settings: ScoreSettings, keep: Path, options: CrewOptions, host: TerminalHost
) -> BatchEvaluation:
    """Score pairs of files.

    Args:
        pairs: the pairs.
        settings: how they are scored.
        keep: folder of the results.
        options: who scores them.
        host: shows the progress.

    Returns:
        The evaluation of all pairs; a pair that could not be scored has its reason.

    Raises:
        InputError: workers or folder cannot be used, or the only pair was refused.
        Cancelled: the user stops it; finished results are kept.
    """
    keep = keep.absolute()
    keys, batch = ScoreKeys(settings), BatchEvaluation(pairs, settings.evaluation())
    tasks = {number: _task(number, pair, settings, keep, keys) for number, pair in enumerate(pairs)}
    missing = [task for task in tasks.values() if load_result(task.made, task.arguments["key"]) is None]
    faults = run_tasks(missing, options, keep / ".mimaface-evaluate", f"--keep {keep}", host) if missing else []
    reasons = {fault.pair: fault.reason.removeprefix(f"{fault.pair}: ") for fault in faults}
    for number, task in tasks.items():
        result = load_result(task.made, task.arguments["key"])
        if result is not None:
            batch.add(pairs[number], result)
        else:
            if len(pairs) == 1 and task.name in reasons:
                raise InputError(reasons[task.name])
            batch.refuse(pairs[number], reasons.get(task.name, "Its scores were lost; run the same command again."))
    return batch


def score_task(paths: dict[str, str], settings: dict[str, Any], made: str, key: str) -> None:
    """Score a pair, in a worker process.

    Args:
        paths: its files by column.
        settings: those of `ScoreSettings`.
        made: the file for the result.
        key: of the result, as the command has it.

    Raises:
        InputError: it cannot be scored.
        OSError: this machine has other files or weights, or the result cannot be written.
    """
    keys, evaluation = _tools(ScoreSettings(**settings))
    if keys.of(paths) != key:
        raise OSError("This machine has other files, weights or another version; make them the same everywhere.")
    pair = Pair.of(**{name: Path(path) for name, path in paths.items()})
    save_result(Path(made), evaluation.score(pair), key)


@lru_cache
def _tools(settings: ScoreSettings) -> tuple[ScoreKeys, Evaluation]:
    """What a worker keeps from pair to pair."""
    return ScoreKeys(settings), settings.evaluation()


def _task(number: int, pair: Pair, settings: ScoreSettings, keep: Path, keys: ScoreKeys) -> Task:
    paths = {name: str(Path(path).absolute()) for name, path in pair.paths.items()}
    try:
        key = keys.of(paths)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read ({error.strerror}); check the path.") from error
    made = keep / f"{digest_of(sorted(paths.items()))[:16]}{SUFFIX}"
    arguments = {"paths": paths, "settings": asdict(settings), "made": str(made), "key": key}
    return Task(f"{pair.name} ({number + 1})", "score", arguments, made)
