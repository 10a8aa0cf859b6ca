"""Motion statistics: calmer and livelier tracks whose lids and lips still shut."""

import math

import pytest
import torch
from support.faces import FACE, blended
from support.tracks import still, track

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import LID_BLENDSHAPES, MOUTH_BLENDSHAPES, blendshapes
from mimaface.mimaface_core.morphable.bundled.lip_contact import closed_mouth, lip_gap
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.statistics import SIZES, Liveliness, MotionStatistics, rescale
from mimaface.nodes.motion_statistics import MotionStatistics as Node

GROUPS = ("head", "mouth", "brows", "lids", "gaze")
UPPER = [i for i in range(64) if i not in {*MOUTH_BLENDSHAPES, *LID_BLENDSHAPES[0], *LID_BLENDSHAPES[1]}]


def on_the_face(motion, like=None, **factors):
    """As the node does it."""
    everything = dict.fromkeys(GROUPS, 1.0) | factors
    return Node.execute(motion, **everything, like=like)[0]


def talking(count=100, size=0.4):
    """A face that opens and shuts its mouth and blinks, with identity and a smile of its own."""
    identity = 0.5 * torch.randn(1, 80, generator=torch.Generator().manual_seed(4))
    expression = closed_mouth(FACE, identity, blended(mouthSmile=0.4)).repeat(count, 1)
    beat = torch.sin(torch.arange(count) * math.pi / 5).clamp(min=0)[:, None]
    expression += size * beat * blended(jawOpen=0.45, mouthLowerDown=0.5)
    closure = torch.zeros(count)
    closure[::25], closure[1::25], closure[2::25] = 0.4, 1.0, 0.5
    full = FACE.blink(FACE.eye_opening(identity, expression[:1]))
    expression[:, blendshapes("eyeBlink")] += closure[:, None] * full
    return still(count, identity=identity, expression=expression), closure


def test_factors_of_one_change_nothing():
    motion = track(40, size=0.7)
    same = on_the_face(motion)
    assert torch.equal(same.coefficients.values, motion.coefficients.values) and torch.equal(same.gaze, motion.gaze)


@pytest.mark.parametrize("group", GROUPS)
def test_a_factor_of_nought_holds_its_group_and_no_other(group):
    motion = track(40, size=0.2)
    held = on_the_face(motion, **{group: 0.0})
    c, before = held.coefficients, motion.coefficients
    columns = {"mouth": MOUTH_BLENDSHAPES, "brows": UPPER, "lids": LID_BLENDSHAPES[0] + LID_BLENDSHAPES[1]}
    for name, modes in columns.items():
        now, was = c.expression[:, modes], before.expression[:, modes]
        assert (now.std(0) < 1e-6).all() if name == group else torch.equal(now, was)
    for name, now, was in (
        ("head", c.angles, before.angles),
        ("head", c.translation, before.translation),
        ("gaze", held.gaze, motion.gaze),
    ):
        assert (now.std(0) < 1e-6).all() if name == group else torch.equal(now, was)
    assert torch.equal(c.identity, before.identity) and torch.equal(c.lighting, before.lighting)


def test_deviations_are_scaled_as_asked_for_and_means_kept():
    motion = track(60, size=0.1)
    before, after = (
        MotionStatistics.of(m) for m in (motion, on_the_face(motion, head=1.5, mouth=0.5, brows=2, gaze=0.25))
    )
    for name, columns, factor in (
        ("angles", range(3), 1.5),
        ("translation", range(3), 1.5),
        ("expression", UPPER, 2),
        ("gaze", range(4), 0.25),
    ):
        columns = list(columns)
        assert torch.allclose(after.deviation[name][columns], factor * before.deviation[name][columns], atol=1e-5)
        assert torch.allclose(after.mean[name][columns], before.mean[name][columns], atol=1e-5)
    mouth = [s.deviation["expression"][MOUTH_BLENDSHAPES] for s in (after, before)]
    assert torch.allclose(mouth[0], 0.5 * mouth[1], atol=1e-5)


def test_statistics_of_another_motion_are_taken_over():
    motion, other = track(60, size=0.1), track(50, seed=5, size=0.2)
    after, aim = MotionStatistics.of(on_the_face(motion, other)), MotionStatistics.of(other)
    for name in SIZES:
        columns = UPPER if name == "expression" else list(range(SIZES[name]))
        assert torch.allclose(after.mean[name][columns], aim.mean[name][columns], atol=1e-5)
        assert torch.allclose(after.deviation[name][columns], aim.deviation[name][columns], atol=1e-5)
    mouth = [s.deviation["expression"][MOUTH_BLENDSHAPES].norm() for s in (after, aim)]
    assert float(mouth[0]) == pytest.approx(float(mouth[1]), rel=1e-4)


def test_what_does_not_move_stays_and_trembling_stays_small():
    resting = still(30)
    assert torch.allclose(on_the_face(resting, **dict.fromkeys(GROUPS, 2.0)).motion, resting.motion, atol=1e-6)
    livelier = on_the_face(resting, track(30))
    assert torch.isfinite(livelier.coefficients.values).all() and (livelier.motion.std(0) < 1e-5).all()
    trembling = still(30, angles=2e-4 * torch.randn(30, 3))
    assert (on_the_face(trembling, track(30)).coefficients.angles.std(0) < 2e-3).all()
    one = track(1)
    assert torch.allclose(on_the_face(one, head=0, mouth=2, lids=0.5).motion, one.motion, atol=1e-6)


def test_unseen_frames_do_not_count():
    motion = track(20)
    motion = motion.replace(visible=torch.arange(20) < 10)
    assert torch.allclose(MotionStatistics.of(motion).mean["gaze"], motion.gaze[:10].mean(0), atol=1e-6)
    nowhere = motion.replace(visible=torch.zeros(20, dtype=torch.bool))
    assert torch.allclose(MotionStatistics.of(nowhere).mean["gaze"], motion.gaze.mean(0), atol=1e-6)


@pytest.mark.parametrize("factor", [0.3, 0.6, 1.5, 2.0])
def test_lips_that_meet_still_meet_and_open_as_much_as_asked_for(factor):
    motion, _ = talking()
    before, after = (
        lip_gap(FACE, m.coefficients.identity, m.coefficients.expression)
        for m in (motion, on_the_face(motion, mouth=factor))
    )
    met = before < 0.002
    assert met.any() and (after[met].abs() < 0.006).all()
    opened, asked = after[~met].amax() - after.amin(), factor * (before.amax() - before.amin())
    assert torch.allclose(opened, asked, rtol=0.08)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.5, 2.0])
def test_lids_that_shut_still_shut_and_open_eyes_stay_open(factor):
    motion, closure = talking()
    wide, after = (
        FACE.eye_opening(m.coefficients.identity, m.coefficients.expression)
        for m in (motion, on_the_face(motion, lids=factor))
    )
    full = wide[10]
    assert (after[closure == 1] < 0.05 * full).all()
    assert torch.allclose(after[closure == 0], wide[closure == 0], atol=1e-3)
    half = 1 - after[closure == 0.5] / full
    assert (half < 0.5).all() if factor < 1 else (half > 0.5).all()


def test_lids_at_nought_are_open():
    motion, _ = talking()
    held = on_the_face(motion, lids=0)
    wide = FACE.eye_opening(held.coefficients.identity, held.coefficients.expression)
    usual = FACE.eye_opening(motion.coefficients.identity, motion.coefficients.expression)
    assert (wide > 0.95 * usual.amax(0)).all()


def test_a_livelier_face_does_not_pass_what_faces_can_do():
    motion, _ = talking(size=1.0)
    assert on_the_face(motion, mouth=2).coefficients.expression.abs().max() < 1.5


@pytest.mark.parametrize("factor", [-0.1, math.nan, math.inf])
def test_bad_factors_are_one_sentence(factor):
    with pytest.raises(InputError, match="use 0 for none"):
        rescale(track(5), ExpressionGroups(), Liveliness(gaze=factor))


def test_without_a_face_model_all_moves_about_its_mean():
    motion = track(40, size=0.1)
    groups = ExpressionGroups(lids=[[2], [3]], mouth=[0, 1])
    after = MotionStatistics.of(rescale(motion, groups, Liveliness(mouth=0.5, lids=0.5)))
    before = MotionStatistics.of(motion)
    assert torch.allclose(after.mean["expression"], before.mean["expression"], atol=1e-5)
    assert torch.allclose(after.deviation["expression"][:4], 0.5 * before.deviation["expression"][:4], atol=1e-5)
