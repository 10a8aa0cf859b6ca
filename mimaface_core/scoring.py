"""Scores of a result, for the Python API, the node and the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from . import checks
from .appearance.mia import AppearanceEncoder
from .evaluation.batch import BatchEvaluation
from .evaluation.evaluate import Evaluation
from .evaluation.pairs import Pair
from .evaluation.table import table_image
from .media.frames import Frames
from .packs.find import find_pack


class EvaluationResult(NamedTuple):
    """The scores of one output.

    Attributes:
        report: the sections of `mimaface evaluate`; `scores` by name, each with `value`, `unit`, `better` and
            `estimator`, or the `reason` why there is none.
        table: frames and scores as an image [H, W, 3] in 0–1.
    """

    report: dict[str, Any]
    table: Tensor


def class_token_encoder() -> Callable[[Tensor], Tensor]:
    """A function: crops [N, 3, S, S] in ±1 → class tokens [N, D]; the bundled encoder is loaded when needed."""
    pack = find_pack("bundled")

    def encode(crops: Tensor) -> Tensor:
        encoder = pack.appearance
        assert isinstance(encoder, AppearanceEncoder)
        return encoder.encode_source(crops)

    return encode


_FRAMES = checks.kind(str, Path, Frames, remedy="give a path, or Frames (Frames.of_batch(images, fps) of a tensor)")
_PATH = checks.kind(str, Path, remedy="give the path of a file")
_IMAGE = checks.kind(str, Path, Tensor, remedy="give a path, or an image [H, W, 3] in 0–1")


@checks.checked(
    output=_FRAMES,
    source=checks.optional(_IMAGE),
    driver=checks.optional(_FRAMES),
    audio=checks.optional(_PATH),
    video_file=checks.optional(_PATH),
)
def evaluate(
    output: str | Path | Frames,
    *,
    source: str | Path | Tensor | None = None,
    driver: str | Path | Frames | None = None,
    audio: str | Path | None = None,
    same: bool = False,
    video_file: str | Path | None = None,
) -> EvaluationResult:
    """Score an output: motion, expression, pose, gaze, likeness, sharpness, and audio where it has any.

    Args:
        output: the result.
        source: the photograph that was animated, for likeness and sharpness: a file, or an image [H, W, 3] in 0–1.
        driver: the video that drove it, for motion, expression, pose and gaze.
        audio: the voice, where the output has none or another one.
        same: self-reenactment: the driver's first frame is the source, so that images are compared as well.
        video_file: the file of an output that is given as `Frames`, whose audio is scored.

    Raises:
        InputError: a file cannot be read, or a face is never seen.
    """
    video_file = output if isinstance(output, (str, Path)) else video_file
    pair = Pair(
        Path(output).stem if isinstance(output, (str, Path)) else "output",
        _path(output),
        _path(source),
        _path(driver),
        _path(audio),
        _path(video_file),
    )
    batch = BatchEvaluation([pair], Evaluation(same=same, encoder=class_token_encoder()))
    batch.run()
    report = batch.result()
    return EvaluationResult(report, table_image(report["scores"], batch.scored[0]))


def _path(value: Any) -> Any:
    return Path(value) if isinstance(value, str) else value
