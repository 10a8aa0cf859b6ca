"""Retargeting: strengths, limits, and a head that turns in its own axes."""

import math

import pytest
import torch
from support.faces import blended
from support.tracks import same, still, track

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.limits import GAZE_REACH, TRAVEL_REACH, TURN_REACH
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.motion.rotation import angles_of, rotation_of
from mimaface.mimaface_core.motion.track import FaceCoefficients

OWN, ANY = expression_groups("scanned"), ExpressionGroups()


def test_relative_motion_of_the_source_itself_comes_back():
    own = track(size=0.05)
    moved_again = retarget(own, own[:1], OWN, "relative", 0)
    same(moved_again, own, 2e-4)


def test_absolute_motion_takes_over_what_the_driver_shows():
    driver, source = track(seed=1), track(1, seed=2)
    taken = retarget(driver, source, ANY, "absolute")
    assert torch.allclose(taken.coefficients.expression, driver.coefficients.expression, atol=1e-5)
    assert torch.allclose(taken.coefficients.angles, driver.coefficients.angles, atol=1e-5)
    assert torch.allclose(taken.coefficients.identity, source.coefficients.identity.expand(20, -1))
    assert torch.allclose(taken.gaze, driver.gaze, atol=1e-6)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_strengths_of_nought_leave_the_source_as_it_is(mode):
    source = track(1, seed=2)
    resting = retarget(track(seed=1), source, ANY, mode, -1, pose=0, expression=0, gaze=0)
    same(resting, source[[0] * 20].replace(fps=resting.fps), 1e-5)


def test_strengths_scale_the_movement():
    driver, source = track(seed=1, size=0.02), track(1, seed=2, size=0.02)
    driver, source = (motion.replace(gaze=motion.gaze / 5) for motion in (driver, source))
    once, twice = (retarget(driver, source, ANY, expression=k, gaze=k).motion[:, 3:] for k in (1, 2))
    rest = source.motion[:, 3:]
    assert torch.allclose(2 * (once - rest), twice - rest, atol=1e-5)


def test_a_neutral_frame_behind_the_end_is_refused():
    with pytest.raises(InputError, match="last frame 19"):
        retarget(track(), track(1), ANY, reference=20)


def test_an_expression_on_top_of_another_stays_one_that_a_face_can_make():
    smile = blendshape("mouthSmileRight")
    laughing = torch.zeros(1, 64)
    laughing[0, smile] = 0.9
    source = track(1).replace(coefficients=FaceCoefficients.zeros(1).replace(expression=laughing))
    driver = track(3).replace(coefficients=FaceCoefficients.zeros(3))
    louder = torch.zeros(3, 64)
    louder[1, smile], louder[2, smile] = 0.05, 2.0
    driver = driver.replace(coefficients=driver.coefficients.replace(expression=louder))
    moved = retarget(driver, source, OWN, "relative", 0).coefficients.expression[:, smile]
    assert torch.allclose(moved[:2], torch.tensor([0.9, 0.95])) and 1.2 < moved[2] <= 1.4


def head(angles, translation=(0.0, 0.0, -5.0), gaze=0.0):
    """A still face whose head has these angles [N, 3] in degrees."""
    angles = torch.deg2rad(torch.as_tensor(angles, dtype=torch.float32))
    count = len(angles)
    motion = still(count, angles=angles, translation=torch.tensor(translation).expand(count, 3))
    return motion.replace(gaze=torch.full((count, 4), float(gaze)))


def turned(motion, tilt):
    """The same motion in a picture that is turned by `tilt` degrees."""
    plane = rotation_of(torch.tensor([[0.0, 0.0, math.radians(tilt)]]))
    c = motion.coefficients
    moved = c.replace(angles=angles_of(rotation_of(c.angles) @ plane), translation=c.translation @ plane[0])
    return motion.replace(coefficients=moved)


@pytest.mark.parametrize("tilt", [30, 90, -60])
@pytest.mark.parametrize("who", ["driver", "source"])
def test_a_turn_is_taken_in_the_heads_own_axes(tilt, who):
    driver, source = head([[0, 0, 0], [0, 30, 0], [15, -20, 5]]), head([[4, 8, -3]])
    upright = retarget(driver, source, OWN, reference=0)
    lying = [turned(m, tilt) if name == who else m for name, m in (("driver", driver), ("source", source))]
    moved = retarget(*lying, OWN, reference=0)
    wanted = turned(upright, tilt) if who == "source" else upright
    assert torch.allclose(rotation_of(moved.coefficients.angles), rotation_of(wanted.coefficients.angles), atol=1e-4)
    assert torch.allclose(moved.coefficients.translation, wanted.coefficients.translation, atol=0.05)


def test_no_iris_leaves_its_eye_whatever_the_reference():
    aside = head([[0, 0, 0]] * 3)
    aside = aside.replace(gaze=torch.tensor([[0.4, 0.1] * 2, [-0.35, 0.0] * 2, [0.0, -0.3] * 2]))
    for reference in (-1, 0, 1, 2):
        eyes = retarget(aside, head([[0, 0, 0]], gaze=0.1), OWN, reference=reference, gaze=2).gaze.view(-1, 2)
        assert ((eyes / torch.tensor(GAZE_REACH)).norm(dim=1) <= 1.001).all()


def test_travel_and_turns_stay_within_a_necks_reach_and_travel_can_be_left_out():
    driver = head([[0, 0, 0], [80, 120, 90]])
    shifts = torch.tensor([[0.0, 0, -5], [3, 2, 4]])
    driver = driver.replace(coefficients=driver.coefficients.replace(translation=shifts))
    source = head([[0, 0, 0]])
    far = retarget(driver, source, OWN, reference=0)
    assert (far.coefficients.angles[1].abs() <= torch.tensor(TURN_REACH) + 1e-4).all()
    turn_alone = retarget(driver, source, OWN, reference=0, travel=0)
    moved = far.coefficients.translation - turn_alone.coefficients.translation
    assert (moved[1].abs() <= torch.tensor(TRAVEL_REACH) + 1e-4).all() and (moved[1] > 0.4).all()
    straight = head([[0, 0, 0], [0, 0, 0]])
    straight = straight.replace(coefficients=straight.coefficients.replace(translation=shifts))
    same(retarget(straight, source, OWN, reference=0, travel=0), source[[0, 0]].replace(fps=driver.fps), 1e-4)


def test_an_eye_that_a_squint_helps_to_shut_shuts_the_sources_too():
    shut, wide = blended(eyeBlink=0.6, eyeSquint=1, cheekSquint=1), blended(eyeBlink=-0.3)
    driver = still(2, expression=torch.cat([torch.zeros(1, 64), shut]))
    other = track(1, seed=5)
    source = other.replace(coefficients=other.coefficients.replace(expression=wide))
    c = retarget(driver, source, OWN, "relative", 0).coefficients
    share = OWN.eye_opening(driver.coefficients.identity, driver.coefficients.expression)
    opening = OWN.eye_opening(c.identity, c.expression)
    assert torch.allclose(opening[1] / opening[0], share[1] / share[0], atol=0.01)
