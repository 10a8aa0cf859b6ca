"""Measure the voice network: `python -m mimaface_core.training.voice_measure [--pack PACK] [--data DIR] [RECORDING…]`.

--data: the corpus of the stage `speech`; its held-out voices, clean and as recordings, are compared with their truth.
RECORDING: sound files of real voices; the opening of the driven mouth is compared with their loudness.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ...audio.mel import MEL_RATE, mel_spectrogram
from ...audio.speech import Speech
from ...audio.voice.lips import CLOSED, REST, Lips, at_frames, average
from ...audio.voice.net import VoiceNet
from ...morphable.bundled.face import procedural_face
from ..speech.augmentation import Recorder
from ..speech.crops import Clip, Crops, load_clips

if TYPE_CHECKING:
    from ...audio.voice.driver import VoiceDriver

FPS = 25
TOUCHING = 0.5  # mm between the middles of the lips, up to which they count as closed
PAUSE = 0.3  # seconds
BETWEEN_EYES = 90.0  # mm from outer corner to outer corner
SETTLED = (0.15, 0.11)  # seconds after a pause's start and before its end in which lips may move


def runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last of each run of true flags [N]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def opening(mouth: Tensor, lips: Lips) -> np.ndarray:
    """How far the middles of the lips stand apart [N], mm."""
    gaps = lips.gaps_of(mouth)
    return gaps[:, gaps.shape[1] // 2].clamp(min=0).numpy()


def tally(heard: dict[str, Tensor], clip: Clip, lips: Lips) -> Counter:
    """Counts of what is right and of what there is, of one clip, at the instants of 25 frames a second."""
    count = (len(clip) - 1) * FPS // MEL_RATE
    at = (torch.arange(count) + 0.5) * MEL_RATE / FPS
    truth = clip.viseme[at.round().long().numpy()]
    right = average(heard["viseme"], at, 1.0).argmax(-1).numpy() == truth
    mouth, _, _ = at_frames(heard, FPS, count, lips)
    gap, instants = opening(mouth, lips), at.numpy()
    out = Counter(
        right=right.sum(), frames=count, spoken_right=right[truth != REST].sum(), spoken=(truth != REST).sum()
    )
    for a, b in runs(clip.viseme == CLOSED):
        seen = (instants >= a - 0.5 - 40 / FPS) & (instants <= b - 0.5 + 40 / FPS)
        out.update(closures=1, closed=int(gap[seen].min(initial=99) <= TOUCHING))
    for a, b in runs(clip.viseme == REST):
        inner = (instants >= a + SETTLED[0] * MEL_RATE) & (instants <= b - 1 - SETTLED[1] * MEL_RATE)
        if b - a > PAUSE * MEL_RATE and inner.any():
            out.update(pauses=1, kept_shut=int(gap[inner].max() <= TOUCHING))
    own = clip.viseme[: len(heard["mouth"])] != REST
    wrong = np.abs(opening(heard["mouth"], lips) - opening(torch.from_numpy(clip.mouth).float(), lips))
    out.update(gap_error=wrong[own].sum(), gaps=own.sum())
    return out


def shares(counts: Counter) -> dict[str, float]:
    """What the counts say."""
    pairs = {
        "accuracy": ("right", "frames"), "accuracy_spoken": ("spoken_right", "spoken"), "closures": ("closed", "closures"),
        "pauses_shut": ("kept_shut", "pauses"), "gap_error_mm": ("gap_error", "gaps"),
    }  # fmt: skip
    return {name: float(counts[a]) / max(float(counts[b]), 1.0) for name, (a, b) in pairs.items()}


@torch.no_grad()
def measure_net(net: VoiceNet, clips: list[Clip], recorder: Recorder) -> dict[str, float]:
    """On clips of unseen voices, clean and as recordings: shares of right visemes per frame of 25 a second, of closures of
    the lips that at least one frame shows, and of pauses above 300 ms with the lips shut; error of the opening in mm."""
    lips, totals = Lips(procedural_face()), {"clean": Counter(), "recorded": Counter()}
    crops = Crops(clips, recorder, 1, net.reach)
    for number, clip in enumerate(clips):
        clip = replace(clip, wave=clip.wave.astype(np.float32))
        recorded = crops.record(clip, np.random.default_rng([7, number]), False)
        for kind, wave in (("clean", clip.wave), ("recorded", recorded)):
            made = net(mel_spectrogram(torch.from_numpy(wave)).T[None])
            heard = {name: value[0] for name, value in made.items()}
            heard["viseme"] = heard["viseme"].softmax(-1)
            totals[kind] += tally(heard, clip, lips)
    return {f"{kind}_{name}": value for kind, counts in totals.items() for name, value in shares(counts).items()}


def measure_recording(driver: VoiceDriver, path: Path) -> dict[str, float | None]:
    """A real voice and the mouth it drives, by the rules of `mimaface evaluate`, on the mesh instead of in pictures:

    correlation of opening and loudness at 25 frames a second, the best one and its lag in ms (above 0: the mouth is
    late), what one in twenty wrong sounds exceeds, and the share of pauses above 300 ms with the lips together.
    """
    from ...evaluation.meters import speech_level as heard
    from ...evaluation.meters import sync

    speech = Speech.of(path)
    level = heard.levels(torch.cat(list(speech.blocks(False))).numpy())
    mouth, _, _ = at_frames(driver.articulation(speech), FPS, speech.frames(Fraction(FPS)), driver.lips)
    gap = opening(mouth, driver.lips) / BETWEEN_EYES
    envelope = heard.envelope(level)
    lags, found = sync.correlations(gap, Fraction(FPS), envelope)
    best, lag = sync.peak(lags, found)
    spoken = heard.speaking(level)
    closed = [] if spoken is None else sync.closed_in_pauses(gap, Fraction(FPS), heard.pauses(spoken))
    return {
        "correlation": float(found[len(lags) // 2]),
        "best_correlation": best,
        "lag_ms": None if lag is None else 1000 * lag,
        "chance": sync.chance(gap, Fraction(FPS), envelope),
        "pauses": len(closed),
        "pauses_shut": float(np.mean(closed)) if closed else None,
        "opening_mm": float(gap.mean()) * BETWEEN_EYES,
        "widest_mm": float(gap.max()) * BETWEEN_EYES,
    }


def rounded(values: dict[str, float | None]) -> dict[str, float | None]:
    """To print."""
    return {name: None if value is None else round(value, 3) for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a pack's voice network.")
    parser.add_argument("recordings", type=Path, nargs="*", help="sound files of real voices")
    parser.add_argument("--pack", default="bundled", help="a pack's name or folder")
    parser.add_argument("--data", type=Path, help="folder of the training data, with the corpus in speech/")
    parser.add_argument("--clips", type=int, default=40, help="how many held-out clips")
    options = parser.parse_args()
    from ...packs.pack import find_pack

    driver = find_pack(options.pack).audio_driver
    if options.data:
        clips = load_clips(options.data / "speech", "held_out", options.clips)
        recorder = Recorder([clip.wave for clip in clips], np.random.default_rng(0), 60.0)
        print(json.dumps(rounded(measure_net(driver.net, clips, recorder))))
    for path in options.recordings:
        print(path.name, json.dumps(rounded(measure_recording(driver, path))))


if __name__ == "__main__":
    main()
