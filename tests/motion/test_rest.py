"""The resting face: a clip may begin anywhere, and a photograph may show anything."""

import pytest
import torch
from support.tracks import still

from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape, blendshapes
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.rest import OPEN_LEAST, OPEN_MOST, resting_face, resting_source
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.motion.running import RunningRetarget
from mimaface.mimaface_core.motion.track import MotionTrack

OWN = expression_groups("scanned")
BOTH_LIDS = blendshapes("eyeBlink")
WORD = torch.tensor([0.15, 0.7, 1.0, 0.5, 0.8, 1.0, 0.5, 0.15])  # openness of a mouth that speaks, frame by frame


def performance(count=120, seed=0):
    """A person who speaks, smiles, blinks and looks about, and comes back to rest in between."""
    generator = torch.Generator().manual_seed(seed)
    one = still(1)
    # a face of their own, whose lips touch
    expression = OWN.closed_lips(torch.zeros(1, 80), 0.1 * torch.randn(1, 64, generator=generator))
    expression[0, BOTH_LIDS] = 0.2
    blink = OWN.blink(OWN.eye_opening(torch.zeros(1, 80), expression))  # that shuts these eyes
    expression = expression.repeat(count, 1) + 0.005 * torch.randn(count, 64, generator=generator)
    gaze = torch.tensor([0.03, -0.02] * 2).repeat(count, 1) + 0.005 * torch.randn(count, 4, generator=generator)
    angles = torch.tensor([[0.1, -0.2, 0.05]]).repeat(count, 1) + 0.01 * torch.randn(count, 3, generator=generator)
    for start in range(0, count, 24):
        expression[start : start + 8, blendshape("jawOpen")] += 0.3 * WORD
        expression[start + 10 : start + 13, BOTH_LIDS] = 0.2 + blink * torch.tensor([[0.5], [1.0], [0.5]])
        gaze[start + 12 : start + 17] += torch.tensor([0.2, 0.05] * 2)
        expression[start + 14 : start + 20, blendshapes("mouthSmile")] += 0.6
        angles[start + 2 : start + 9, 1] += 0.3
    c = one[[0] * count].coefficients.replace(expression=expression, angles=angles, identity=torch.zeros(1, 80))
    return one[[0] * count].replace(coefficients=c, gaze=gaze)


def photograph(**groups):
    source = still(1, identity=torch.zeros(1, 80), angles=torch.zeros(1, 3), **groups)
    return source.replace(gaze=torch.zeros(1, 4))


def openings(motion):
    return OWN.eye_opening(motion.coefficients.identity, motion.coefficients.expression)


def gap(motion):
    return OWN.lip_gap(motion.coefficients.identity, motion.coefficients.expression)


def within(a, b, whole, share):
    """Two motions differ by less than a share of the range that the whole one has, in the mean of every number."""
    room = (whole.amax(0) - whole.amin(0)).clamp(min=0.1)
    return ((a - b).abs().mean(0) / room).max() < share


@pytest.mark.parametrize("start", [1, 2, 4, 6, 11, 12, 14, 17, 25, 36])
def test_a_clip_may_begin_with_a_word_a_blink_a_glance_or_a_smile(start):
    driver, source = performance(), photograph(expression=torch.zeros(1, 64))
    whole, later = retarget(driver, source, OWN), retarget(driver[slice(start, None)], source, OWN)
    for part in ("expression", "angles", "translation"):
        values = [getattr(motion.coefficients, part) for motion in (later, whole)]
        assert within(values[0], values[1][start:], values[1], 0.1), part
    assert within(later.gaze, whole.gaze[start:], whole.gaze, 0.1)


def test_where_the_driver_rests_the_source_does():
    driver, source = performance(), photograph(expression=torch.zeros(1, 64))
    moved = retarget(driver, source, OWN)
    at_rest = moved[20].coefficients
    assert at_rest.angles.abs().max() < 0.03 and (moved.gaze[20] - source.gaze[0]).abs().max() < 0.03
    assert (at_rest.expression - source.coefficients.expression).abs().mean() < 0.03


def test_a_source_with_an_open_mouth_can_close_it():
    expression = torch.zeros(1, 64)
    expression[0, blendshape("jawOpen")] = 0.45
    source = photograph(expression=expression)
    assert gap(source) > 0.1
    moved = retarget(performance(), source, OWN)
    assert gap(moved)[[20, 44, 68]].max() < 0.02 and gap(moved)[[2, 26]].min() > 0.05
    same = retarget(performance(), source, OWN, expression=0)
    assert torch.allclose(same.coefficients.expression, expression, atol=1e-5)


def test_a_source_with_shut_eyes_can_open_them_and_shut_them_again():
    expression = torch.zeros(1, 64)
    expression[0, BOTH_LIDS] = 1.0
    source = photograph(expression=expression)
    wide = openings(photograph(expression=torch.zeros(1, 64)))
    moved = openings(retarget(performance(), source, OWN))
    assert (openings(source) < 0.1 * wide).all()
    assert (moved[20] > OPEN_LEAST * wide[0]).all() and (moved[[11, 35]] < 0.25 * wide[0]).all()


def test_a_smile_of_the_photograph_stays():
    expression = torch.zeros(1, 64)
    expression[0, blendshapes("mouthSmile")] = 0.5
    rest = resting_source(photograph(expression=expression), OWN)
    assert torch.allclose(rest.expression[0, blendshapes("mouthSmile")], torch.tensor(0.5))


def test_a_clip_of_shut_eyes_and_an_open_mouth_still_rests_like_a_person():
    expression = torch.zeros(30, 64)
    expression[:, BOTH_LIDS], expression[:, blendshape("jawOpen")] = 1.0, 0.4
    asleep = photograph(expression=torch.zeros(1, 64))[[0] * 30]
    asleep = asleep.replace(coefficients=asleep.coefficients.replace(expression=expression))
    rest = resting_face(asleep, OWN)
    neutral = torch.zeros(1, 80)
    share = OWN.eye_opening(neutral, rest.expression) / OWN.eye_opening(neutral, torch.zeros(1, 64))
    assert (share > 0.9 * OPEN_LEAST).all() and (share < OPEN_MOST).all()
    assert OWN.lip_gap(neutral, rest.expression) < 0.02


def test_a_photograph_that_is_a_frame_of_the_clip_starts_from_that_frame():
    driver = performance()
    for at in (3, 11, 15):
        moved = retarget(driver, driver[at], OWN)
        assert torch.allclose(moved.coefficients.values, driver.coefficients.values, atol=0.02)
        assert torch.allclose(moved.gaze, driver.gaze, atol=0.02)  # a wide glance comes near the eyes' limit


def test_after_a_cut_pose_and_place_count_anew():
    first = performance(48)
    shifted = first.coefficients.replace(
        angles=first.coefficients.angles + torch.tensor([0.1, 0.5, -0.1]),
        translation=first.coefficients.translation + torch.tensor([0.5, 0.2, 1.0]),
    )
    second = first.replace(coefficients=shifted, shot=torch.ones(48, dtype=torch.long))
    source = photograph(expression=torch.zeros(1, 64))
    moved = retarget(MotionTrack.concatenate([first, second]), source, OWN).coefficients
    assert (moved.angles[48:] - moved.angles[:48]).abs().mean() < 0.05
    assert (moved.translation[48:] - moved.translation[:48]).abs().mean() < 0.1


@pytest.mark.parametrize("size", [1, 5, 96])  # frames of a piece; in those of 5 a cut lies inside one
def test_in_a_stream_pose_and_place_count_anew_at_once_after_a_cut(size):
    first, turn, shift = performance(48)[20].coefficients, torch.tensor([0.1, 0.5, -0.1]), torch.tensor([0.5, 0.2, 1.0])
    second = first.replace(angles=first.angles + turn, translation=first.translation + shift)
    shots = [still(1).replace(coefficients=c, shot=torch.tensor([i]))[[0] * 48] for i, c in enumerate((first, second))]
    driver = MotionTrack.concatenate(shots)
    source = photograph(expression=torch.zeros(1, 64))
    stream = RunningRetarget(source, OWN)
    moved = MotionTrack.concatenate([stream.add(driver[at : at + size]) for at in range(0, 96, size)]).coefficients
    assert torch.allclose(moved.angles, source.coefficients.angles, atol=1e-5)
    assert torch.allclose(moved.translation, source.coefficients.translation, atol=1e-5)


def test_frames_without_a_face_do_not_count():
    driver = performance()
    hidden = torch.zeros(len(driver), dtype=torch.bool)
    hidden[::2] = True
    values = driver.coefficients.values.clone()
    values[hidden] += 3.0
    lost = driver.replace(coefficients=type(driver.coefficients)(values), visible=~hidden)
    seen, clean = resting_face(lost, OWN), resting_face(driver[(~hidden).nonzero().flatten()], OWN)
    assert torch.allclose(seen.expression, clean.expression) and torch.allclose(seen.neck[0], clean.neck[0])


def test_a_stream_estimates_as_it_goes():
    driver, source = performance(240), photograph(expression=torch.zeros(1, 64))
    stream = RunningRetarget(source, OWN)
    pieces = [stream.add(driver[start : start + 5]) for start in range(0, 240, 5)]
    streamed, whole = MotionTrack.concatenate(pieces), retarget(driver, source, OWN)
    assert len(streamed) == 240
    late = slice(60, None)
    for part in ("expression", "angles", "translation"):
        values = [getattr(motion.coefficients, part) for motion in (streamed, whole)]
        assert within(values[0][late], values[1][late], values[1], 0.1), part
    assert gap(streamed[0]) < 0.05  # closed, though the first piece is in mid-word
    steps = streamed.coefficients.expression.diff(dim=0).abs().amax(1)
    assert steps.max() < 1.5 * whole.coefficients.expression.diff(dim=0).abs().amax(1).max()
