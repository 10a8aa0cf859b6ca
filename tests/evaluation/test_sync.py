"""The plain estimator of lip sync: lag, pauses and blinks of synthetic landmarks and voices."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from support.sounds import RATE, talk

from mimaface.mimaface_core.evaluation.meters import lag, mouth_opening, speech_level, sync


def syllables(seconds, seed=0):
    """Amplitude 0–1 as a function of time in seconds that changes at the rate of syllables, and a voice of it."""
    rng = np.random.default_rng(seed)
    waves = [(rng.uniform(1, 5), rng.uniform(0, 2 * np.pi)) for _ in range(12)]

    def amplitude(t):
        return 0.5 + 0.5 * np.tanh(sum(np.sin(2 * np.pi * f * t + p) for f, p in waves) / 2)

    t = np.arange(int(seconds * RATE)) / RATE
    return amplitude, (0.3 * amplitude(t) * rng.standard_normal(len(t))).astype(np.float32)


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30000, 1001)])
@pytest.mark.parametrize("late", [-0.12, 0.0, 0.033, 0.2])
def test_a_known_lag_is_found_within_5_ms(faces, fps, late):
    amplitude, wave = syllables(8)
    instants = (np.arange(int(8 * fps)) + 0.5) / float(fps)
    opening = 0.2 * amplitude(instants - late)
    opening[20:26] = np.nan  # the face is lost for a while
    scores = sync.mouth_scores(faces(opening), fps, wave)
    assert scores["lag_ms"] == pytest.approx(1000 * late, abs=5)
    assert scores["best_correlation"] > 0.9 and scores["chance"] < 0.5
    if late == 0:
        assert scores["correlation"] > 0.9
    assert scores["estimator"].startswith("fallback")


def test_a_mouth_that_closes_when_it_is_loud_correlates_negatively(faces):
    amplitude, wave = syllables(8)
    opening = 0.2 - 0.2 * amplitude((np.arange(200) + 0.5) / 25)
    assert sync.mouth_scores(faces(opening), Fraction(25), wave)["correlation"] < -0.8


def test_openings_are_ratios_and_do_not_change_with_head_pose(faces):
    opening, eyes = [0.1, float("nan"), 0.0], [0.3, 0.3, 0.05]
    points = faces(opening, eyes)
    turn = torch.tensor([[math.cos(0.6), 0, math.sin(0.6)], [0, 1, 0], [-math.sin(0.6), 0, math.cos(0.6)]])
    for posed in (points, [None if p is None else 2 * p @ turn.T + 5 for p in points]):
        np.testing.assert_allclose(mouth_opening.mouth_opening(posed), opening, atol=1e-4)
        np.testing.assert_allclose(mouth_opening.eye_opening(posed), [2 * 0.3 / 2, np.nan, 0.05], atol=1e-4)


def test_pauses_are_found_above_the_files_own_background():
    for background in (-90, -45):
        wave = talk((1, -20), (0.5, background), (1, -20), (0.2, background), (1, -25), (0.8, background))
        pauses = speech_level.pauses(speech_level.speaking(speech_level.levels(wave)))
        np.testing.assert_allclose(pauses, [(1, 1.5), (3.7, 4.5)], atol=0.03)
    assert speech_level.speaking(speech_level.levels(talk((3, -30)))) is None
    assert speech_level.speaking(speech_level.levels(np.zeros(RATE, np.float32))) is None
    assert speech_level.speaking(speech_level.levels(np.zeros(0, np.float32))) is None


def test_a_closed_mouth_in_a_pause_is_recognised():
    pauses = [(1.0, 1.5), (3.0, 3.6), (8.0, 9.0)]
    opening = np.full(150, 0.15)
    opening[28:36], opening[60:70] = 0.01, 0.005  # closed soon after the first pause began, open in the second
    assert lag.closed_in_pauses(opening, Fraction(25), pauses) == [True, False]
    assert not any(lag.closed_in_pauses(np.full(150, 0.1), Fraction(25), pauses))  # a mouth that never closes


def test_blinks_are_short_dips(faces):
    eyes = np.full(300, 0.3)
    for at in (30, 90, 180):
        eyes[at : at + 5] = [0.2, 0.08, 0.06, 0.1, 0.2]
    eyes[220:260] = 0.1  # shut for longer than a blink
    eyes[100:110] = np.nan
    assert mouth_opening.count_blinks(eyes, Fraction(25)) == 3
    assert mouth_opening.count_blinks(np.full(9, np.nan), Fraction(25)) == 0
    opening = np.where(np.isnan(eyes), np.nan, 0.1)
    scores = sync.mouth_scores(faces(opening, eyes), Fraction(25), talk((12, -30)))
    assert scores["blinks_per_minute"] == pytest.approx(3 / (290 / 25) * 60, abs=0.1)


@pytest.mark.parametrize(
    "frames, wave, score, reason",
    [
        (5, talk((1, -20)), "correlation", "needs a second"),
        (100, np.zeros(64000, np.float32), "correlation", "silent"),
        (100, np.zeros(64000, np.float32), "pauses_closed", "silent"),
        (100, np.zeros(0, np.float32), "lag_ms", "silent"),
        (100, talk((0.3, -20)), "correlation", "needs a second"),
        (100, talk((2, -20), (2, -60)), "chance", "needs 6 s"),
        (100, talk((4, -20)), "pauses", "does not stand out"),
        (100, talk((2, -20), (0.28, -60), (2, -20)), "pauses_closed", "no pause"),
        (100, talk((4, -20)), "blinks_per_minute", "10 s"),
    ],
)
def test_absent_scores_have_reasons(faces, frames, wave, score, reason):
    opening = 0.1 + 0.1 * np.sin(np.arange(frames))
    scores = sync.mouth_scores(faces(opening), Fraction(25), wave)
    assert scores[score] is None and reason in scores["reasons"][score]
    assert all(
        (scores[name] is None) == (name in scores["reasons"]) for name in scores if name not in ("estimator", "reasons")
    )


def test_a_still_mouth_and_a_steady_tone_have_no_correlation(faces):
    tone = np.sin(np.arange(64000) * 2 * np.pi * 500 / RATE).astype(np.float32)
    moving = 0.1 + 0.1 * np.sin(np.arange(100))
    for opening, wave, reason in (
        (np.full(100, 0.1), talk((4, -20)), "not move"),
        (moving, tone, "not change"),
    ):
        assert reason in sync.mouth_scores(faces(opening), Fraction(25), wave)["reasons"]["correlation"]
