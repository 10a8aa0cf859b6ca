"""Lip sync: a plain estimator from mouth opening and loudness, and LSE where SyncNet's weights are present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypedDict

import numpy as np
from torch import Tensor

from ... import host
from ...media import Clip
from ..scores import HIGHER, LOWER, Score, absent, measured
from . import speech_level, syncnet
from .lag import (
    MIN_CHANCE_SECONDS,
    MIN_SECONDS,
    chance,
    closed_in_pauses,
    correlations,
    frame_instants,
    peak,
)
from .mouth_opening import count_blinks, eye_opening, mouth_opening
from .syncnet import LseReport

TITLES = {"lse_c": "LSE-C", "lse_d": "LSE-D", "mouth_correlation": "mouth and loudness (fallback)"}
FALLBACK = (
    "fallback: gap of the inner lips in mediapipe's landmarks against the loudness of the sound "
    "(no trained network; not comparable with LSE)"
)
STILL_MOUTH = 0.004  # standard deviation of the opening, below which it is tracker noise
STEADY_LOUDNESS = 0.01  # standard deviation over the mean, below which it is not a voice's
MIN_BLINK_SECONDS = 10.0  # for a rate of blinks


class MouthReport(TypedDict):
    """Scores of the plain estimator. An absent one is None, with its reason by name.

    Attributes:
        estimator: method.
        correlation: of opening and loudness at the same instant.
        best_correlation: highest within ±400 ms.
        lag_ms: lag of the video there.
        chance: correlation that one in twenty wrong voices exceeds.
        pauses: number of pauses longer than 300 ms.
        pauses_closed: share of them with the mouth closed.
        blinks: number of blinks.
        blinks_per_minute: rate of blinks.
        reasons: reason why a score is None, by its name.
    """

    estimator: str
    correlation: float | None
    best_correlation: float | None
    lag_ms: float | None
    chance: float | None
    pauses: int | None
    pauses_closed: float | None
    blinks: int
    blinks_per_minute: float | None
    reasons: dict[str, str]


class SyncReport(TypedDict, total=False):
    """Scores of a video and its voice; of a video without one, `reason` only."""

    frames: int
    fps: float
    seconds: float
    sound_seconds: float
    face_seen: float
    mouth: MouthReport
    lse: LseReport
    reason: str


def evaluate_sync(
    video: Clip,
    landmarks: Sequence[Tensor | None],
    audio: str | Path | None = None,
    net: syncnet.SyncNet | None = None,
) -> SyncReport:
    """Lip sync of a finished video, as JSON.

    Args:
        video: the video.
        landmarks: [478, 3] in pixels of each frame, None without a face.
        audio: file of the voice, where the video has none or another one.
        net: of `find_net`.

    Raises:
        InputError: there is no audio.
    """
    wave = speech_level.read_voice(video.source if audio is None else audio)
    absent_lse: LseReport = {
        "estimator": syncnet.ESTIMATOR,
        "lse_c": None,
        "lse_d": None,
        "reason": syncnet.REASON_MISSING,
    }
    return {
        "frames": len(landmarks),
        "fps": round(float(video.fps), 3),
        "seconds": round(len(landmarks) / float(video.fps), 3),
        "sound_seconds": round(len(wave) / speech_level.SAMPLE_RATE, 3),
        "face_seen": round(sum(points is not None for points in landmarks) / len(landmarks), 3),
        "mouth": mouth_scores(landmarks, video.fps, wave),
        "lse": absent_lse if net is None else syncnet.lse_report(net, video, landmarks, wave),
    }


def find_net(weights: str | Path | None = None) -> syncnet.SyncNet | None:
    """SyncNet, None where its weights are absent.

    Args:
        weights: file of the weights; None looks in the models folders.

    Raises:
        InputError: the named file is missing, or a file holds other weights.
    """
    file = Path(weights) if weights is not None else syncnet.find_weights(host.current().models_folders())
    return None if file is None else syncnet.load(file)


def sync_scores(sync: SyncReport) -> dict[str, Score]:
    """Scores of LSE and of the plain estimator, each measured or absent.

    Args:
        sync: of `evaluate_sync`, or `{"reason": …}`.
    """
    if "mouth" not in sync:
        return {key: absent(title, "", sync["reason"]) for key, title in TITLES.items()}
    lse, mouth = sync["lse"], sync["mouth"]
    values = {"lse_c": lse["lse_c"], "lse_d": lse["lse_d"], "mouth_correlation": mouth["best_correlation"]}
    scores = {}
    for key, title in TITLES.items():
        from_lse, value = key != "mouth_correlation", values[key]
        estimator = lse["estimator"] if from_lse else mouth["estimator"]
        if value is None:
            reason = lse["reason"] if from_lse else mouth["reasons"]["best_correlation"]
            scores[key] = absent(title, estimator, reason)
        else:
            better = LOWER if key == "lse_d" else HIGHER
            scores[key] = measured(value, title, "", better, estimator, "SyncNet's" if from_lse else "none needed")
    return scores


def mouth_scores(landmarks: Sequence[Tensor | None], fps: Fraction, wave: np.ndarray) -> MouthReport:
    """Scores of the plain estimator.

    Natural speech does not reach 1 at 0 ms: lips part before the voice sets in, and people smile and breathe.
    Chandrasekaran et al., "The Natural Statistics of Audiovisual Speech" (2009), measure the same two signals.

    Args:
        landmarks: [478, 3] in pixels of each frame, None without a face.
        fps: frames a second.
        wave: audio [T] in ±1 at 16 kHz.
    """
    opening, level = mouth_opening(landmarks), speech_level.levels(wave)
    report: MouthReport = {
        "estimator": FALLBACK,
        "correlation": None,
        "best_correlation": None,
        "lag_ms": None,
        "chance": None,
        "pauses": None,
        "pauses_closed": None,
        "blinks": count_blinks(eye_opening(landmarks), fps),
        "blinks_per_minute": None,
        "reasons": {},
    }
    _correlate(report, opening, fps, level)
    _score_pauses(report, opening, fps, level)
    seconds = float(np.isfinite(opening).sum() / fps)
    if seconds >= MIN_BLINK_SECONDS:
        report["blinks_per_minute"] = round(report["blinks"] / seconds * 60, 1)
    else:
        report["reasons"]["blinks_per_minute"] = f"a rate needs {MIN_BLINK_SECONDS:.0f} s in which the face is seen"
    return report


def _correlate(report: MouthReport, opening: np.ndarray, fps: Fraction, level: np.ndarray) -> None:
    """Enter correlation, best correlation, lag and chance, or the reasons why they are absent."""
    reasons, envelope = report["reasons"], speech_level.envelope(level)
    reason = _reason_uncorrelated(opening, fps, level, envelope)
    if reason is not None:
        reasons |= dict.fromkeys(("correlation", "best_correlation", "lag_ms", "chance"), reason)
        return
    lags, values = correlations(opening, fps, envelope)
    best, lag = peak(lags, values)
    report["correlation"] = _rounded(values[len(lags) // 2])
    report["best_correlation"] = _rounded(best)
    report["lag_ms"] = None if lag is None else round(1000 * lag, 1)
    if lag is None:
        reasons["lag_ms"] = "the correlation has no peak within ±400 ms"
    report["chance"] = _rounded(chance(opening, fps, envelope))
    if report["chance"] is None:
        reasons["chance"] = f"it needs {MIN_CHANCE_SECONDS:.0f} s in which a face is seen and sound is heard"


def _score_pauses(report: MouthReport, opening: np.ndarray, fps: Fraction, level: np.ndarray) -> None:
    """Enter the pauses and the share of them with a closed mouth, or the reasons why they are absent."""
    reasons, speech = report["reasons"], speech_level.speaking(level)
    if speech is None:
        silent = not len(level) or level.max() < speech_level.SILENCE_DB
        reason = "the sound is silent" if silent else "speech does not stand out from the background by 10 dB"
        reasons |= {"pauses": reason, "pauses_closed": reason}
        return
    closed = closed_in_pauses(opening, fps, speech_level.pauses(speech))
    report["pauses"] = len(closed)
    if closed:
        report["pauses_closed"] = _rounded(float(np.mean(closed)))
    else:
        reasons["pauses_closed"] = "no pause is longer than 300 ms with a face seen in it"


def describe(report: SyncReport) -> list[str]:
    """Lines of text for a terminal.

    Args:
        report: of `evaluate_sync`.
    """
    mouth, lse = report["mouth"], report["lse"]
    lines = [f"{report['frames']} frames, {report['seconds']} s at {report['fps']} frames a second"]
    lines[0] += f", audio {report['sound_seconds']} s; a face in {100 * report['face_seen']:.0f} % of the frames"
    if report["sound_seconds"] < report["seconds"] - 0.1:
        lines.append("The audio is shorter than the video; the frames after its end are not scored.")
    lines.append(f"LSE-C, LSE-D ({lse['estimator']})")
    if lse["lse_c"] is None:
        lines.append(f"  not measured: {lse['reason']}")
    else:
        lines.append(f"  LSE-C {lse['lse_c']}, LSE-D {lse['lse_d']}, video late by {lse['offset_frames']} frames")
    lines.append(f"Mouth and loudness ({mouth['estimator']})")
    names = {
        "correlation": "correlation",
        "best_correlation": "best correlation within ±400 ms",
        "lag_ms": "delay of the video there (ms)",
        "chance": "correlation that one in twenty wrong voices exceeds",
        "pauses": "pauses longer than 300 ms",
        "pauses_closed": "share of pauses with the mouth closed",
        "blinks": "blinks",
        "blinks_per_minute": "blinks a minute",
    }
    values: Mapping[str, object] = mouth
    for key, name in names.items():
        value = values[key]
        lines.append(f"  {name}: {value if value is not None else 'not measured: ' + mouth['reasons'][key]}")
    return lines


def _reason_uncorrelated(opening: np.ndarray, fps: Fraction, level: np.ndarray, envelope: np.ndarray) -> str | None:
    """Reason why opening and loudness cannot be correlated; None where they can."""
    within = frame_instants(opening, fps) <= len(level) * speech_level.LEVEL_SECONDS
    scored = opening[np.isfinite(opening) & within]
    if not len(level) or level.max() < speech_level.SILENCE_DB:
        return "the sound is silent"
    if len(scored) < MIN_SECONDS * fps:
        return "it needs a second in which a face is seen and sound is heard"
    if scored.std() < STILL_MOUTH:
        return "the mouth does not move"
    if envelope.std() < STEADY_LOUDNESS * envelope.mean():
        return "the loudness of the sound does not change"
    return None


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)
