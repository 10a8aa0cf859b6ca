"""How well a clip's mouth goes with its sound: by a plain estimator, and by SyncNet where its weights are."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from torch import Tensor

from ... import host
from ...media import Clip
from ..scores import HIGHER, LOWER, Score, absent, measured
from . import mouth_opening as seen
from . import speech_level as heard
from . import syncnet

TITLES = {"lse_c": "LSE-C", "lse_d": "LSE-D", "mouth_correlation": "mouth and loudness (fallback)"}

FALLBACK = (
    "fallback: gap of the inner lips in mediapipe's landmarks against the loudness of the sound "
    "(no trained network; not comparable with LSE)"
)
REACH = 0.4  # seconds by which the picture may be late or early
LAG_STEP = 0.01  # seconds
SHORTEST = 1.0  # seconds with a face and sound that a correlation needs
STILL = 0.004  # an opening that varies less (standard deviation) is the tracker's noise
STEADY = 0.01  # a loudness that varies less, relative to its mean, is no voice's
SETTLE = 0.1  # seconds at both ends of a pause that lips may take to close and to open
APART = 1.0  # seconds by which a sound is shifted at least to count as another one
SHORTEST_FOR_CHANCE = 6.0  # seconds
SHORTEST_FOR_RATE = 10.0  # seconds in which blinks can be counted as a rate


def evaluate_sync(
    clip: Clip,
    landmarks: Sequence[Tensor | None],
    audio: str | Path | None = None,
    net: syncnet.SyncNet | None = None,
) -> dict:
    """Scores for a finished clip and its sound, ready for JSON; one that cannot be had is None, with its reason.

    landmarks: those of the clip's frames, [478, 3] in pixels, None where no face is seen. audio: the voice, where the
    clip has none or another one. net: see `find_net`. Raises InputError when there is no sound.
    """
    wave = heard.listen(clip.source if audio is None else audio)
    report = {
        "frames": len(landmarks),
        "fps": round(float(clip.fps), 3),
        "seconds": round(len(landmarks) / float(clip.fps), 3),
        "sound_seconds": round(len(wave) / heard.SAMPLE_RATE, 3),
        "face_seen": round(sum(points is not None for points in landmarks) / len(landmarks), 3),
        "mouth": mouth_scores(landmarks, clip.fps, wave),
    }
    if net is None:
        report["lse"] = {
            "estimator": syncnet.ESTIMATOR,
            "lse_c": None,
            "lse_d": None,
            "reason": syncnet.WANTED,
        }
    else:
        report["lse"] = syncnet.scores(net, clip, landmarks, wave)
    return report


def find_net(weights: str | Path | None = None) -> syncnet.SyncNet | None:
    """SyncNet with these weights, otherwise with those in the models folders; None where there are none.

    Raises InputError when the named file is missing, or a file holds other weights.
    """
    file = Path(weights) if weights is not None else syncnet.find_weights(host.current().models_folders())
    return None if file is None else syncnet.load(file)


def sync_scores(sync: dict) -> dict[str, Score]:
    """The scores of `evaluate_sync` that stand beside all others; of `{"reason": …}` alone, that they are absent."""
    if "mouth" not in sync:
        reason = sync["reason"]
        return {key: absent(title, "", reason) for key, title in TITLES.items()}
    lse, mouth = sync["lse"], sync["mouth"]
    values = {"lse_c": lse["lse_c"], "lse_d": lse["lse_d"], "mouth_correlation": mouth["best_correlation"]}
    found = {}
    for key, title in TITLES.items():
        of_lse = key != "mouth_correlation"
        how = lse["estimator"] if of_lse else mouth["estimator"]
        if values[key] is None:
            reason = lse["reason"] if of_lse else mouth["reasons"]["best_correlation"]
            found[key] = absent(title, how, reason)
        else:
            better = LOWER if key == "lse_d" else HIGHER
            found[key] = measured(values[key], title, "", better, how, "SyncNet's" if of_lse else "none needed")
    return found


def mouth_scores(landmarks: Sequence[Tensor | None], fps: Fraction, wave: np.ndarray) -> dict:
    """The fallback's scores of a clip's landmarks (None: no face) and its sound, float [T] at 16 kHz.

    correlation: of opening and loudness at the same instant. best_correlation, lag_ms: the best within ±400
    ms and how late the picture is there. chance: what another sound reaches, see `chance`. pauses: how many
    are longer than 300 ms. pauses_closed: share of them with the mouth closed. blinks, blinks_per_minute.
    reasons: why a score is None, by its name.

    Natural speech is not at 1 and 0 ms: lips part before the sound comes, and people smile and breathe.
    Chandrasekaran et al., "The Natural Statistics of Audiovisual Speech" (2009), measure the same two
    signals.
    """
    opening, reasons = seen.mouth_opening(landmarks), {}
    level = heard.levels(wave)
    report = {
        "estimator": FALLBACK,
        "correlation": None,
        "best_correlation": None,
        "lag_ms": None,
        "chance": None,
    }
    envelope = heard.envelope(level)
    reason = _unfit(opening, fps, level, envelope)
    if reason is None:
        lags, found = correlations(opening, fps, envelope)
        best, lag = peak(lags, found)
        report["correlation"] = _rounded(found[len(lags) // 2])
        report["best_correlation"] = _rounded(best)
        report["lag_ms"] = None if lag is None else round(1000 * lag, 1)
        if lag is None:
            reasons["lag_ms"] = "the correlation has no peak within ±400 ms"
        report["chance"] = _rounded(chance(opening, fps, envelope))
        if report["chance"] is None:
            reasons["chance"] = f"it needs {SHORTEST_FOR_CHANCE:.0f} s in which a face is seen and sound is heard"
    else:
        reasons |= dict.fromkeys(("correlation", "best_correlation", "lag_ms", "chance"), reason)

    speech = heard.speaking(level)
    closed = [] if speech is None else closed_in_pauses(opening, fps, heard.pauses(speech))
    report["pauses"] = None if speech is None else len(closed)
    report["pauses_closed"] = _rounded(np.mean(closed)) if closed else None
    if speech is None:
        silent = not len(level) or level.max() < heard.SILENT
        why = "the sound is silent" if silent else "speech does not stand out from the background by 10 dB"
        reasons |= {"pauses": why, "pauses_closed": why}
    elif not closed:
        reasons["pauses_closed"] = "no pause is longer than 300 ms with a face seen in it"

    seconds = float(np.isfinite(opening).sum() / fps)
    report["blinks"] = seen.count_blinks(seen.eye_opening(landmarks), fps)
    report["blinks_per_minute"] = None
    if seconds >= SHORTEST_FOR_RATE:
        report["blinks_per_minute"] = round(report["blinks"] / seconds * 60, 1)
    else:
        reasons["blinks_per_minute"] = f"a rate needs {SHORTEST_FOR_RATE:.0f} s in which the face is seen"
    return report | {"reasons": reasons}


def correlations(opening: np.ndarray, fps: Fraction, envelope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lags in seconds, [81], and the correlation (Pearson) of picture and sound at each, NaN without overlap.

    opening: [N], NaN where no face is seen; frame i shows the instant (i + 0.5) / fps. envelope: of
    `heard.envelope`. A positive lag compares each frame with earlier sound: the picture is late. The middle
    lag is 0.
    """
    instants = (np.arange(len(opening)) + 0.5) / float(fps)
    ticks = (np.arange(len(envelope)) + 0.5) * heard.STEP
    smooth = _smoothed(opening, heard.SMOOTH * float(fps))
    steps = round(REACH / LAG_STEP)
    lags = np.arange(-steps, steps + 1) * LAG_STEP
    found = np.full(len(lags), np.nan)
    for i, lag in enumerate(lags):
        when = instants - lag
        both = np.isfinite(smooth) & (when >= 0) & (when <= len(envelope) * heard.STEP)
        if both.sum() >= SHORTEST / 2 * fps:
            found[i] = _pearson(smooth[both], np.interp(when[both], ticks, envelope))
    return lags, found


def peak(lags: np.ndarray, found: np.ndarray) -> tuple[float | None, float | None]:
    """The highest correlation and its lag in seconds, by a parabola through it and its neighbours.

    The lag is None where the highest is at the end of the search; both are None where there is no
    correlation.
    """
    if not np.isfinite(found).any():
        return None, None
    at = int(np.nanargmax(found))
    around = found[max(at - 1, 0) : at + 2]
    if len(around) < 3 or not np.isfinite(around).all():
        return float(found[at]), None
    before, top, after = around
    bend = before - 2 * top + after
    shift = 0.0 if bend == 0 else 0.5 * (before - after) / bend
    return float(top - 0.25 * (before - after) * shift), float(lags[at] + shift * LAG_STEP)


def chance(opening: np.ndarray, fps: Fraction, envelope: np.ndarray) -> float | None:
    """The correlation that one in twenty wrong sounds exceeds; None where the clip is too short to say.

    The wrong sounds are the clip's own, shifted in a circle by APART seconds or more, against the same
    frames.
    """
    instants = (np.arange(len(opening)) + 0.5) / float(fps)
    smooth = _smoothed(opening, heard.SMOOTH * float(fps))
    both = np.isfinite(smooth) & (instants <= len(envelope) * heard.STEP)
    if both.sum() < SHORTEST_FOR_CHANCE * fps:
        return None
    here = np.minimum((instants[both] / heard.STEP).astype(int), len(envelope) - 1)
    used, apart = envelope[: here.max() + 1], round(APART / heard.STEP)
    shifted = [_pearson(smooth[both], np.roll(used, shift)[here]) for shift in range(apart, len(used) - apart, 5)]
    return float(np.percentile(shifted, 95))


def closed_in_pauses(opening: np.ndarray, fps: Fraction, pauses: list[tuple[float, float]]) -> list[bool]:
    """For each pause (begin and end in seconds) in which a face is seen: is the mouth closed in it?

    It is when the median opening is below `seen.closed_below`, leaving out SETTLE seconds at either end, in
    which lips close and open.
    """
    instants = (np.arange(len(opening)) + 0.5) / float(fps)
    closed = []
    for begin, end in pauses:
        within = opening[(instants >= begin + SETTLE) & (instants <= end - SETTLE)]
        if np.isfinite(within).any():
            closed.append(bool(np.nanmedian(within) < seen.closed_below(opening)))
    return closed


def describe(report: dict) -> list[str]:
    """The lines in which a person reads what `evaluate_sync` found."""
    mouth, lse = report["mouth"], report["lse"]
    lines = [f"{report['frames']} frames, {report['seconds']} s at {report['fps']} frames a second"]
    lines[0] += f", sound {report['sound_seconds']} s; a face in {100 * report['face_seen']:.0f} % of the frames"
    if report["sound_seconds"] < report["seconds"] - 0.1:
        lines.append("The sound is shorter than the clip; what comes after it is not scored.")
    lines.append(f"LSE-C, LSE-D ({lse['estimator']})")
    if lse["lse_c"] is None:
        lines.append(f"  not measured: {lse['reason']}")
    else:
        lines.append(f"  LSE-C {lse['lse_c']}, LSE-D {lse['lse_d']}, picture late by {lse['offset_frames']} frames")
    lines.append(f"Mouth and sound ({mouth['estimator']})")
    names = {
        "correlation": "correlation",
        "best_correlation": "best correlation within ±400 ms",
        "lag_ms": "the picture is late there by (ms)",
        "chance": "correlation that one in twenty wrong sounds exceeds",
        "pauses": "pauses longer than 300 ms",
        "pauses_closed": "share of them with the mouth closed",
        "blinks": "blinks",
        "blinks_per_minute": "blinks a minute",
    }
    for key, name in names.items():
        value = mouth[key]
        lines.append(f"  {name}: {value if value is not None else 'not measured: ' + mouth['reasons'][key]}")
    return lines


def _unfit(opening: np.ndarray, fps: Fraction, level: np.ndarray, envelope: np.ndarray) -> str | None:
    """Why opening and sound cannot be correlated; None when they can."""
    instants = (np.arange(len(opening)) + 0.5) / float(fps)
    both = opening[np.isfinite(opening) & (instants <= len(level) * heard.STEP)]
    if not len(level) or level.max() < heard.SILENT:
        return "the sound is silent"
    if len(both) < SHORTEST * fps:
        return "it needs a second in which a face is seen and sound is heard"
    if both.std() < STILL:
        return "the mouth does not move"
    if envelope.std() < STEADY * envelope.mean():
        return "the loudness of the sound does not change"
    return None


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Low-passed like the envelope, [N]; NaN is left out and stays. sigma: in frames."""
    from scipy.ndimage import gaussian_filter1d

    there = np.isfinite(values)
    weight = gaussian_filter1d(there.astype(float), sigma, mode="constant")
    total = gaussian_filter1d(np.where(there, values, 0.0), sigma, mode="constant")
    return np.where(there, total / np.maximum(weight, 1e-9), np.nan)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / size) if size > 1e-12 else float("nan")


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 3)
