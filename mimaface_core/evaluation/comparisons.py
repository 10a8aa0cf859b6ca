"""Meters of one pair, grouped by what the output is compared with: its source, its driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from .meters.crops import FaceImage, aligned_face, to_signed
from .meters.distances import distance_scores
from .meters.identity import Embedding, Encoder, IdentityMeter, class_token, identity_scores
from .meters.images import (
    ESTIMATORS,
    SAME_ONLY,
    ReconstructionMeter,
    SharpnessMeter,
    absent_reconstruction,
    missing_torchmetrics,
)
from .meters.signals import NOISE_RANGE, SignalDetail, follow_scores, video_signals
from .scores import Loaded, Missing, Score, absent

REASON_NO_DRIVER = "it compares with the driver, and none was given"
REASON_NO_SOURCE = "it compares with the source, and none was given"
REASON_FACELESS_DRIVER = "the driver's face is never seen"


class SourceComparison:
    """Identity and sharpness of the output against the source, frame by frame.

    Args:
        source: the source and its face.
        csim: CurricularFace's embedding.
        encoder: the bundled appearance encoder for the stand-in of CSIM; None leaves it out.

    Attributes:
        aligned: the source's aligned face.
    """

    def __init__(self, source: FaceImage, csim: Loaded[Embedding] | Missing, encoder: Encoder | None) -> None:
        self.aligned = aligned_face(source)
        self._sharpness = SharpnessMeter(self.aligned)
        person = to_signed(source.image), source.landmarks
        self._csim = csim if isinstance(csim, Missing) else Loaded(IdentityMeter(csim.net, *person), csim.weights)
        self._stand_in = None if encoder is None else IdentityMeter(class_token(encoder), *person)

    def update(self, output: FaceImage, aligned: np.ndarray) -> None:
        """Measure the output's next frame that shows a face.

        Args:
            output: the frame and its face.
            aligned: its aligned face, uint8 [256, 256, 3].
        """
        self._sharpness.update(aligned)
        image = to_signed(output.image)
        if isinstance(self._csim, Loaded):
            self._csim.net.update(image, output.landmarks)
        if self._stand_in is not None:
            self._stand_in.update(image, output.landmarks)

    def scores(self) -> dict[str, Score]:
        """CSIM, its stand-in and sharpness."""
        return identity_scores(self._csim, self._stand_in) | self._sharpness.scores()


def absent_source_scores() -> dict[str, Score]:
    """Scores of an output without a source."""
    return {
        "csim": absent("CSIM", "", REASON_NO_SOURCE),
        "sharpness": absent(SharpnessMeter.TITLE, "", REASON_NO_SOURCE),
    }


class SignalCurves(NamedTuple):
    """Signals of the frames that show both faces.

    Attributes:
        seconds: instants of the frames, [N].
        driver: the driver's signals, [N, 10].
        output: the output's signals, [N, 10].
    """

    seconds: Sequence[float]
    driver: np.ndarray
    output: np.ndarray


NO_CURVES = SignalCurves((), *np.empty((2, 0, len(NOISE_RANGE))))


class DriverScores(NamedTuple):
    """Result of a comparison with the driver.

    Attributes:
        scores: motion, gain, distances, PSNR, SSIM and LPIPS, each measured or absent.
        details: each signal of the output beside the driver's; None for too few frames.
        curves: the signals over time.
    """

    scores: dict[str, Score]
    details: dict[str, SignalDetail] | None = None
    curves: SignalCurves = NO_CURVES


class DriverComparison:
    """Motion of the output against the driver's, frame by frame; in a self-reenactment also its images.

    Args:
        still: the source's aligned face in a self-reenactment, None otherwise.
    """

    def __init__(self, still: np.ndarray | None) -> None:
        self._seconds: list[float] = []
        self._driver: list[Tensor] = []
        self._output: list[Tensor] = []
        self._reconstruction: ReconstructionMeter | dict[str, Score] = not_compared()
        if still is not None:
            reason = missing_torchmetrics()
            self._reconstruction = absent_reconstruction(reason) if reason else ReconstructionMeter(still)

    def update(self, driver: FaceImage, output: FaceImage, aligned: np.ndarray | None, second: float) -> None:
        """Measure the next frame that shows both faces.

        Args:
            driver: the driver's frame and its face.
            output: the output's frame and its face.
            aligned: the output's aligned face, uint8 [256, 256, 3]; needed in a self-reenactment only.
            second: instant of the frame.
        """
        # The first frame of a self-reenactment is the source itself.
        if isinstance(self._reconstruction, ReconstructionMeter) and aligned is not None and self._seconds:
            self._reconstruction.update(aligned_face(driver), aligned)
        self._driver.append(driver.landmarks)
        self._output.append(output.landmarks)
        self._seconds.append(second)

    def result(self) -> DriverScores:
        """All scores of the frames so far."""
        meter = self._reconstruction
        reconstruction = meter.scores() if isinstance(meter, ReconstructionMeter) else meter
        if not self._seconds:
            return DriverScores(absent_motion(REASON_FACELESS_DRIVER) | reconstruction)
        curves = SignalCurves(self._seconds, video_signals(self._driver), video_signals(self._output))
        follow = follow_scores(curves.driver, curves.output)
        scores = follow.scores | distance_scores(self._driver, self._output) | reconstruction
        return DriverScores(scores, follow.details, curves)


def absent_driver_scores() -> DriverScores:
    """Scores of an output without a driver."""
    return DriverScores(absent_motion(REASON_NO_DRIVER) | not_compared())


def absent_motion(reason: str) -> dict[str, Score]:
    """Absent scores of motion and distances."""
    keys = ("motion", "gain", "expression_distance", "pose_distance", "gaze_distance")
    return {key: absent(key.replace("_", " "), "", reason) for key in keys}


def not_compared() -> dict[str, Score]:
    """Absent PSNR, SSIM and LPIPS of an output that is no self-reenactment."""
    return {key: absent(key.upper(), "", SAME_ONLY) for key in ESTIMATORS}
