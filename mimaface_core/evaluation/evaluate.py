"""Evaluation of a pair in one pass over its frames, and scores of the set of all pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch import Tensor

from .. import host
from ..errors import InputError
from .comparisons import (
    NO_CURVES,
    REASON_NO_DRIVER,
    DriverComparison,
    SignalCurves,
    SourceComparison,
    absent_driver_scores,
    absent_source_scores,
)
from .meters.crops import FaceImage, aligned_face
from .meters.frechet import FrechetMeter, Statistics
from .meters.identity import Encoder, load_csim
from .meters.images import BoundaryJumpMeter
from .meters.sync import SyncReport, evaluate_sync, find_net, sync_scores
from .pairs import Pair
from .scores import Score, absent
from .tracked import FramePair, OpenPair

CLIP, OVERLAP = 12, 3  # frames of a clip, and frames shared with the clip before, as the packs sample
STILL_COUNT = 6  # instants shown in the report
THUMBNAIL_HEIGHT = 200  # pixels
REASON_NO_AUDIO = "the output has no sound, and no voice was given"


class Still(NamedTuple):
    """Thumbnails uint8 [h, w, 3] of one instant; the driver's is None after its end or without a driver."""

    second: float
    driver: np.ndarray | None
    output: np.ndarray


@dataclass
class PairResult:
    """Scores of a pair, and what a report draws.

    Attributes:
        name: title of the pair.
        report: the scores as JSON.
        source: thumbnail of the source, uint8 [h, w, 3]; None without one.
        stills: thumbnails of STILL_COUNT instants at most.
        curves: signals of driver and output over time.
        statistics: of driver and output, for the scores of the set; None without a driver.
    """

    name: str
    report: dict[str, Any]
    source: np.ndarray | None = None
    stills: list[Still] = field(default_factory=list)
    curves: SignalCurves = NO_CURVES
    statistics: Statistics | None = None


class Evaluation:
    """Scores pairs one after another, and the set of all their images.

    Args:
        same: self-reenactment: the driver's first frame is the source.
        encoder: the bundled pack's appearance encoder for the stand-ins; None leaves them out.
        syncnet: file of SyncNet's weights; None looks in the models folders.
        max_frames: frames of each output that are scored, all when None.
        clip: frames of a clip, as the outputs were sampled.
        overlap: frames that clips share, as the outputs were sampled.

    Raises:
        InputError: a file of weights is damaged, or the overlap does not fit the clip.
    """

    def __init__(
        self,
        same: bool = False,
        encoder: Encoder | None = None,
        syncnet: Path | None = None,
        max_frames: int | None = None,
        clip: int = CLIP,
        overlap: int = OVERLAP,
    ) -> None:
        self.same, self.encoder, self.net = same, encoder, find_net(syncnet)
        self.max_frames, self.clip, self.overlap = max_frames, clip, overlap
        self.csim = load_csim()
        self.frechet = FrechetMeter(encoder)
        self._any_driver = False
        BoundaryJumpMeter(clip, overlap)  # refuses an overlap that does not fit

    def score(self, pair: Pair) -> PairResult:
        """Scores of one pair.

        Raises:
            InputError: a file cannot be read, or no frame shows a face.
        """
        opened = OpenPair.open(pair, self.same)
        self.frechet.start_pair()
        meters = _PairMeters(self, opened)
        count = min(opened.output.count, self.max_frames or opened.output.count)
        with host.current().progress(count, f"looking at {pair.name}") as progress:
            for frames in opened.frames(self.max_frames):
                meters.update(frames)
                progress.update()
        result = meters.result()
        if opened.driver is not None:
            result.statistics = self.frechet.take()
        return result

    def add(self, result: PairResult) -> None:
        """Add a pair to the set."""
        if result.statistics is not None:
            self._any_driver = True
            self.frechet.add(result.statistics)

    def set_scores(self) -> dict[str, Score]:
        """FID, FVD and their stand-ins over all pairs that were added."""
        if self._any_driver:
            return self.frechet.scores()
        return {key: absent(key.upper(), "", REASON_NO_DRIVER) for key in ("fid", "fvd")}


class _PairMeters:
    """All meters of one pair, updated once a frame; no frame is retained."""

    def __init__(self, evaluation: Evaluation, pair: OpenPair) -> None:
        self._evaluation, self._pair = evaluation, pair
        self._landmarks: list[Tensor | None] = []
        self._jumps = BoundaryJumpMeter(evaluation.clip, evaluation.overlap)
        self._source = (
            None if pair.source is None else SourceComparison(pair.source, evaluation.csim, evaluation.encoder)
        )
        still = self._source.aligned if self._source is not None and evaluation.same else None
        self._driver = None if pair.driver is None else DriverComparison(still)
        self._stills: list[Still] = []
        self._still_numbers = _still_numbers(pair, evaluation.max_frames)

    def update(self, frames: FramePair) -> None:
        """Measure the frames of the next instant."""
        output, driver = frames
        number = len(self._landmarks)
        second = number / float(self._pair.output.fps)
        self._landmarks.append(output.landmarks)
        self._jumps.update(output.image)
        if driver is not None:
            self._evaluation.frechet.update(driver, output)
        if number in self._still_numbers:
            driver_still = None if driver is None else _thumbnail(driver.image)
            self._stills.append(Still(second, driver_still, _thumbnail(output.image)))
        if output.face is not None:
            self._update_faces(output.face, None if driver is None else driver.face, second)

    def _update_faces(self, output: FaceImage, driver: FaceImage | None, second: float) -> None:
        aligned = None
        if self._source is not None:
            aligned = aligned_face(output)
            self._source.update(output, aligned)
        if self._driver is not None and driver is not None:
            self._driver.update(driver, output, aligned, second)

    def result(self) -> PairResult:
        """All scores of the pair.

        Raises:
            InputError: no frame shows a face.
        """
        frames, pair = len(self._landmarks), self._pair
        with_face = sum(points is not None for points in self._landmarks)
        if not with_face:
            raise InputError(
                f"No face was found in any of the clip's {frames} frames; use a clip that shows a face from the front."
            )
        sync: SyncReport = {"reason": REASON_NO_AUDIO}
        if pair.video is not None:
            sync = evaluate_sync(pair.video, self._landmarks, pair.voice, self._evaluation.net)
        driver = absent_driver_scores() if self._driver is None else self._driver.result()
        source_scores = absent_source_scores() if self._source is None else self._source.scores()
        report = {
            "name": pair.name,
            "frames": frames,
            "compared": len(driver.curves.seconds),
            "fps": round(float(pair.output.fps), 3),
            "face_seen": round(with_face / frames, 3),
            "scores": driver.scores | source_scores | self._jumps.scores() | sync_scores(sync),
            "signals": driver.details,
            "sync": sync,
        }
        source = None if pair.source is None else _thumbnail(pair.source.image)
        return PairResult(pair.name, report, source, self._stills, driver.curves)


def _still_numbers(pair: OpenPair, max_frames: int | None) -> set[int]:
    """Numbers of the frames that the report shows, spread over the length that output and driver share."""
    lengths = (pair.output.count, pair.driver and pair.driver.count, max_frames)
    frames = min([length for length in lengths if length] or [1])
    return set(np.linspace(0, frames - 1, STILL_COUNT).round().astype(int).tolist())


def _thumbnail(image: np.ndarray) -> np.ndarray:
    """A copy of uint8 [H, W, 3], at most [200, 400, 3]."""
    thumbnail = Image.fromarray(image)
    thumbnail.thumbnail((2 * THUMBNAIL_HEIGHT, THUMBNAIL_HEIGHT))
    return np.asarray(thumbnail)
