"""Fills for frames without a face: easing to rest and back, evenly through short gaps, never across a cut."""

from fractions import Fraction

import pytest
import torch
from support.faces import blended
from support.tracks import still

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.lost import filled
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.rest import neck_of, resting_face
from mimaface.mimaface_core.motion.track import BFM, BUNDLED, FaceCoefficients

FPS = 25
EASED = 10  # frames, 0.4 s


def moving(count):
    """A track that turns, opens its mouth and moves to the side, most of the time little."""
    share = (torch.arange(count) / 7).sin()[:, None]
    track = still(count)
    coefficients = track.coefficients.replace(
        expression=track.coefficients.expression + share * blended(jawOpen=0.2, mouthFunnel=0.4, mouthLowerDown=0.3),
        angles=track.coefficients.angles + torch.tensor([0.1, 0.4, 0.0]) * share,
        translation=track.coefficients.translation + torch.tensor([0.3, 0.0, 0.1]) * share,
    )
    return track.replace(coefficients=coefficients, fps=Fraction(FPS))


def clip(gaps, count=120, lost="rest", cut=None, basis=BUNDLED):
    """A filled clip whose frames in gaps [(start, stop)] are lost; its own motion and what was seen of it."""
    whole = moving(count).replace(basis=basis)
    shots = [int(cut is not None and frame >= cut) for frame in range(count)]
    visible = [not any(start <= frame < stop for start, stop in gaps) for frame in range(count)]
    seen = whole[torch.tensor(visible)].replace(shot=torch.tensor(shots)[torch.tensor(visible)])
    return filled(seen, visible, lost, shots), whole, seen


def motion(track):
    return torch.cat([track.motion, neck_of(track.coefficients)], 1)


def rest_of(seen):
    rest = resting_face(seen, expression_groups(BUNDLED))
    return torch.cat([rest.angles[:1], rest.expression, rest.gaze, rest.neck[:1]], 1)[0]


def test_a_face_that_is_lost_for_long_is_at_rest_in_between_and_gets_there_softly():
    track, whole, seen = clip([(40, 90)])
    found, rest = motion(track), rest_of(seen)
    assert track.visible.tolist() == [not 40 <= frame < 90 for frame in range(120)]
    assert torch.allclose(found[39 + EASED : 91 - EASED], rest.expand(32, -1), atol=1e-5)
    assert torch.equal(found[:40], motion(whole)[:40]) and torch.equal(found[90:], motion(whole)[90:])
    way = (motion(whole)[39] - rest).abs().max()
    assert found[38:92].diff(dim=0).abs().max() < 0.2 * way + whole.motion.diff(dim=0).abs().max()
    assert torch.allclose(found[44], (found[39] + rest) / 2, atol=1e-5)  # half of the way, after half of the time


@pytest.mark.parametrize("gap", ((0, 30), (90, 120)))
def test_a_face_that_comes_late_or_leaves_early_is_at_rest_before_and_after(gap):
    track, _, seen = clip([gap])
    far = 0 if gap[0] == 0 else 119
    assert torch.allclose(motion(track)[far], rest_of(seen), atol=1e-5)


def test_a_short_gap_is_filled_evenly():
    for gap in ((40, 52), (40, 41)):
        track, *_ = clip([gap])
        even, *_ = clip([gap], lost="interpolate")
        assert torch.equal(track.coefficients.values, even.coefficients.values)
    longer, *_ = clip([(40, 54)])
    even, *_ = clip([(40, 54)], lost="interpolate")
    assert not torch.allclose(longer.coefficients.values, even.coefficients.values)


@pytest.mark.parametrize("lost", ("rest", "interpolate"))
@pytest.mark.parametrize("basis", (BUNDLED, BFM))
def test_nothing_is_mixed_across_a_cut(lost, basis):
    track, _, seen = clip([(40, 60)], lost=lost, cut=50, basis=basis)
    assert track.shot.tolist() == [0] * 50 + [1] * 70
    moved = seen.coefficients.values.clone()
    moved[40:, -3:] = 5.0  # translation of the second shot
    elsewhere = filled(
        seen.replace(coefficients=FaceCoefficients(moved)), track.visible.tolist(), lost, track.shot.tolist()
    )
    first, same = (t.coefficients.translation[:50] for t in (track, elsewhere))
    assert torch.allclose(first, same, atol=1e-5)


def test_a_shot_without_the_face_is_at_rest_throughout():
    whole = moving(90)
    shots, visible = [0] * 30 + [1] * 30 + [2] * 30, [True] * 30 + [False] * 30 + [True] * 30
    seen = whole[torch.tensor(visible)].replace(shot=torch.tensor(shots)[torch.tensor(visible)])
    track = filled(seen, visible, "rest", shots)
    assert torch.allclose(motion(track)[30:60], rest_of(seen).expand(30, -1), atol=1e-5)
    assert track.shot.tolist() == shots
    held = filled(seen, visible, "interpolate", shots)
    assert torch.equal(motion(held)[30:60], motion(whole)[29].expand(30, -1))


def test_on_another_face_model_rest_is_the_usual_frame():
    track, _, seen = clip([(40, 90)], basis=BFM)
    values = track.coefficients.values[39 + EASED : 91 - EASED]
    assert torch.equal(values, values[:1].expand_as(values))
    assert (seen.coefficients.values - values[:1]).abs().amax(1).min() < 1e-6


def test_the_other_fills_are_as_they_were():
    previous, whole, _ = clip([(40, 90)], lost="previous")
    empty, *_ = clip([(40, 90)], lost="empty")
    assert torch.equal(motion(previous)[40:90], motion(whole)[39].expand(50, -1))
    assert torch.equal(motion(empty)[40:90], motion(whole)[0].expand(50, -1))
    with pytest.raises(InputError, match="can be rest, interpolate, previous, empty, not 'gone'"):
        clip([(40, 90)], lost="gone")
