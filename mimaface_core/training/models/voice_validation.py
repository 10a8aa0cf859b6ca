"""Validation of the voice network: `python -m mimaface.mimaface_core.training.models.voice_validation`.

[--pack PACK] [--data DIR] [RECORDING…]

--data: the corpus of stage `speech`; its held-out voices, clean and as recordings, are compared with their truth.
RECORDING: audio files of real voices; the opening of the driven mouth is compared with their loudness.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...audio.mel import mel_spectrogram
from ...audio.speech import Speech
from ...audio.voice.lips import CLOSED, MEL_RATE, REST, Lips, at_frames, average
from ...audio.voice.net import VoiceNet
from ...morphable.bundled.face import bundled_face
from ..speech.augmentation import Recorder
from ..speech.crops import Crops, SpeechClip, load_clips

if TYPE_CHECKING:
    from ...audio.voice.driver import VoiceDriver

FPS = 25
TOUCHING_MM = 0.5  # between the middles of the lips, up to which they count as closed
MIN_PAUSE_SECONDS = 0.3
EYE_DISTANCE_MM = 90.0  # from outer corner to outer corner
SETTLING_SECONDS = (0.15, 0.11)  # after a pause's start and before its end, in which lips may move
CLOSURE_FRAMES = 0.5  # video frames before and after a closure in which it may be shown
MUSIC_SECONDS = 60.0

# Measure → names of the counts that it is the ratio of.
RATIOS = {
    "accuracy": ("right", "frames"),
    "accuracy_spoken": ("spoken_right", "spoken"),
    "closures": ("closed", "closures"),
    "pauses_shut": ("kept_shut", "pauses"),
    "gap_error_mm": ("gap_error", "gaps"),
}


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First index and one past the last of each run of true flags [N]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def opening(mouth: Tensor, lips: Lips) -> np.ndarray:
    """Distance between the middles of the lips [N], mm, of mouths [N, K]."""
    gaps = lips.gaps_of(mouth)
    return gaps[:, gaps.shape[1] // 2].clamp(min=0).numpy()


def tally(predicted: dict[str, Tensor], clip: SpeechClip, lips: Lips) -> Counter:
    """Counts of one clip for `RATIOS`, at the instants of 25 frames a second.

    Args:
        predicted: `viseme` probabilities [T, 8], `mouth` [T, K] and `stress` [T], on the mel grid.
        clip: the truth.
        lips: of the face that is driven.
    """
    count = (len(clip) - 1) * FPS // MEL_RATE
    at = (torch.arange(count) + 0.5) * MEL_RATE / FPS
    truth = clip.viseme[at.round().long().numpy()]
    right = average(predicted["viseme"], at, 1.0).argmax(-1).numpy() == truth
    mouth, _, _ = at_frames(predicted, FPS, count, lips)
    gap, instants = opening(mouth, lips), at.numpy()
    counts: Counter = Counter(
        right=right.sum(), frames=count, spoken_right=right[truth != REST].sum(), spoken=(truth != REST).sum()
    )
    margin = CLOSURE_FRAMES * MEL_RATE / FPS
    for a, b in runs(clip.viseme == CLOSED):
        shown = (instants >= a - 0.5 - margin) & (instants <= b - 0.5 + margin)
        counts.update(closures=1, closed=int(gap[shown].min(initial=99) <= TOUCHING_MM))
    for a, b in runs(clip.viseme == REST):
        settled = (instants >= a + SETTLING_SECONDS[0] * MEL_RATE) & (
            instants <= b - 1 - SETTLING_SECONDS[1] * MEL_RATE
        )
        if b - a > MIN_PAUSE_SECONDS * MEL_RATE and settled.any():
            counts.update(pauses=1, kept_shut=int(gap[settled].max() <= TOUCHING_MM))
    spoken = clip.viseme[: len(predicted["mouth"])] != REST
    error = np.abs(opening(predicted["mouth"], lips) - opening(torch.from_numpy(clip.mouth).float(), lips))
    counts.update(gap_error=error[spoken].sum(), gaps=spoken.sum())
    return counts


def ratios(counts: Counter) -> dict[str, float]:
    """The measures in `RATIOS` of the counts of `tally`."""
    return {name: float(counts[a]) / max(float(counts[b]), 1.0) for name, (a, b) in RATIOS.items()}


@torch.no_grad()
def measure_net(net: VoiceNet, clips: list[SpeechClip], recorder: Recorder) -> dict[str, float]:
    """Measures on clips of held-out voices, clean and as recordings.

    Args:
        net: the network, on the CPU.
        clips: with their truth.
        recorder: augments the clean speech.

    Returns:
        for each of `clean_` and `recorded_`: `accuracy` of visemes at 25 frames a second, `accuracy_spoken` without
        rest, share of `closures` of the lips that at least one frame shows, share of pauses above 300 ms with
        `pauses_shut` lips, and `gap_error_mm` of the opening.
    """
    lips = Lips(bundled_face())
    totals: dict[str, Counter] = {"clean": Counter(), "recorded": Counter()}
    crops = Crops(clips, recorder, 1, net.reach)
    for number, stored in enumerate(clips):
        clip = replace(stored, wave=stored.wave.astype(np.float32))
        recorded = crops.record(clip, np.random.default_rng([7, number]), False)
        for kind, wave in (("clean", clip.wave), ("recorded", recorded)):
            batch = net(mel_spectrogram(torch.from_numpy(wave)).T[None])
            predicted = {name: value[0] for name, value in batch.items()}
            predicted["viseme"] = predicted["viseme"].softmax(-1)
            totals[kind] += tally(predicted, clip, lips)
    return {f"{kind}_{name}": value for kind, counts in totals.items() for name, value in ratios(counts).items()}


def measure_recording(driver: VoiceDriver, path: Path) -> dict[str, float | None]:
    """Measures of a real voice and the mouth that it drives, as `mimaface evaluate`, but on the mesh.

    Args:
        driver: of the pack.
        path: an audio file.

    Returns:
        `correlation` of opening and loudness at 25 frames a second, `best_correlation` and its `lag_ms` (positive: the
        mouth is late), `chance` (exceeded by one in twenty wrong voices), number of `pauses` above 300 ms and share of
        `pauses_shut`, mean `opening_mm` and maximum `widest_mm`.

    Raises:
        InputError: the file cannot be read, or holds no speech.
    """
    from ...evaluation.meters import speech_level, sync

    speech = Speech.of(path)
    level = speech_level.levels(torch.cat(list(speech.blocks(False))).numpy())
    mouth, _, _ = at_frames(driver.articulation(speech), FPS, speech.frames(Fraction(FPS)), driver.lips)
    gap = opening(mouth, driver.lips) / EYE_DISTANCE_MM
    envelope = speech_level.envelope(level)
    lags, correlations = sync.correlations(gap, Fraction(FPS), envelope)
    best, lag = sync.peak(lags, correlations)
    spoken = speech_level.speaking(level)
    closed = [] if spoken is None else sync.closed_in_pauses(gap, Fraction(FPS), speech_level.pauses(spoken))
    return {
        "correlation": float(correlations[len(lags) // 2]),
        "best_correlation": best,
        "lag_ms": None if lag is None else 1000 * lag,
        "chance": sync.chance(gap, Fraction(FPS), envelope),
        "pauses": len(closed),
        "pauses_shut": float(np.mean(closed)) if closed else None,
        "opening_mm": float(gap.mean()) * EYE_DISTANCE_MM,
        "widest_mm": float(gap.max()) * EYE_DISTANCE_MM,
    }


def _print(values: Mapping[str, float | None], title: str = "") -> None:
    rounded = {name: None if value is None else round(value, 3) for name, value in values.items()}
    print(title + json.dumps(rounded))


def main() -> None:
    """Run the command of this file."""
    parser = argparse.ArgumentParser(description="Measure a pack's voice network.")
    parser.add_argument("recordings", type=Path, nargs="*", help="audio files of real voices")
    parser.add_argument("--pack", default="bundled", help="a pack's name or folder")
    parser.add_argument("--data", type=Path, help="folder of the training data, with the corpus in speech/")
    parser.add_argument("--clips", type=int, default=40, help="number of held-out clips")
    options = parser.parse_args()
    from ...packs.find import find_pack

    driver = find_pack(options.pack).audio_driver
    if options.data:
        clips = load_clips(options.data / "speech", "held_out", options.clips)
        recorder = Recorder([clip.wave for clip in clips], np.random.default_rng(0), MUSIC_SECONDS)
        _print(measure_net(driver.net, clips, recorder))
    for path in options.recordings:
        _print(measure_recording(driver, path), f"{path.name} ")


if __name__ == "__main__":
    main()
