"""A driver and a motion made by hand in one: added, replaced, scaled, and for a part of the time."""

from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch
from support.tracks import still

from mimaface.mimaface_core.editing import MIXED, edit, keyframe, mix
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.source import SourceFace
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, blendshape
from mimaface.mimaface_core.motion.mix import GROUPS

REST = still(1).replace(coefficients=still(1).coefficients.replace(expression=torch.zeros(1, 64)))
SOURCE = SourceFace(*[torch.zeros(3, 4, 4)] * 4, REST)
JAW, SMILE = blendshape("jawOpen"), blendshape("mouthSmileLeft")


def long(count=50):
    return REST[[0] * count].replace(fps=Fraction(25))


def driver():
    """A head that turns and a jaw that opens, over two seconds."""
    curves = {"yaw": [[0, 0], [2, 20]], "jaw_open": [[0, 0, "linear"], [2, 0.8]], "brows": [[0, 0], [2, 0.5]]}
    return keyframe(long(), {"length": 2, "curves": curves})


def hand():
    return edit(REST, controls={"pitch": 10, "mouth_smile_left": 0.5, "gaze_x": 0.5})


def change(a, b):
    d = SimpleNamespace(expression=a.coefficients.expression - b.coefficients.expression)
    d.angles, d.gaze = torch.rad2deg(a.coefficients.angles - b.coefficients.angles), a.gaze - b.gaze
    return d


def test_every_blendshape_is_in_one_group():
    assert sorted(i for columns in MIXED.values() for i in columns) == list(range(len(BLENDSHAPES)))
    assert set(MIXED) < set(GROUPS)


def test_a_hand_that_rests_leaves_the_driver_exactly_as_it_is():
    mixed = mix(driver(), REST, SOURCE)
    assert torch.equal(mixed.coefficients.values, driver().coefficients.values)
    assert torch.equal(mixed.gaze, driver().gaze)


def test_the_hand_is_added():
    added = change(mix(driver(), hand(), SOURCE), driver())
    assert torch.allclose(added.angles[:, 0], torch.tensor(-10.0), atol=1e-3) and added.angles[:, 1:].abs().max() < 1e-3
    assert torch.allclose(added.expression[:, SMILE], torch.tensor(0.5), atol=1e-3)
    assert added.gaze[:, 0].min() > 0.09


def test_the_hand_takes_a_group_over_and_leaves_the_others():
    mixed = mix(driver(), hand(), SOURCE, driver_strength={"mouth": 0})
    assert mixed.coefficients.expression[:, JAW].abs().max() < 1e-6
    assert torch.allclose(mixed.coefficients.expression[:, SMILE], torch.tensor(0.5), atol=1e-5)
    brow = blendshape("browInnerUpLeft")
    assert torch.equal(mixed.coefficients.expression[:, brow], driver().coefficients.expression[:, brow])


def test_each_group_of_both_is_scaled():
    half = mix(driver(), hand(), SOURCE, driver_strength={"head": 0.5}, hand_strength={"head": 0, "mouth": 2})
    turned = change(half, REST).angles
    assert float(turned[-1, 1]) == pytest.approx(0.5 * float(change(driver(), REST).angles[-1, 1]), abs=1e-3)
    assert turned[:, 0].abs().max() < 1e-3
    assert float(half.coefficients.expression[0, SMILE]) == pytest.approx(1.0, abs=0.05)


def test_the_hand_acts_for_a_part_of_the_time_and_fades():
    mixed = mix(driver(), hand(), SOURCE, start=0.5, end=1.5, fade=0.2)
    smile = mixed.coefficients.expression[:, SMILE]
    assert torch.equal(mixed.coefficients.values[:13], driver().coefficients.values[:13])
    assert torch.equal(mixed.coefficients.values[38:], driver().coefficients.values[38:])
    assert torch.allclose(smile[18:32], torch.tensor(0.5), atol=1e-3)
    assert 0 < smile[14] < smile[16] < 0.5 and (smile[1:] - smile[:-1]).abs().max() < 0.25


def test_a_hand_of_another_rate_keeps_its_time_and_holds_its_end():
    curves = {"mouth_smile_left": [[0, 0, "linear"], [1, 0.5]]}
    moving = keyframe(REST[[0] * 60].replace(fps=Fraction(60)), {"length": 1, "curves": curves})
    smile = mix(driver(), moving, SOURCE).coefficients.expression[:, SMILE]
    assert len(smile) == 50 and float(smile[12]) == pytest.approx(0.24, abs=0.02)
    assert float(smile[-1]) == pytest.approx(0.5, abs=0.03)


WRONG = {
    "an unknown group": ({"driver_strength": {"nose": 1}}, "There is no group 'nose'"),
    "an end before the start": ({"start": 2, "end": 1}, "from 2 s to 1 s"),
    "NaN": ({"hand_strength": {"head": float("nan")}}, "must be a number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_mix_is_refused(name):
    arguments, sentence = WRONG[name]
    with pytest.raises(InputError, match=sentence):
        mix(driver(), hand(), SOURCE, **arguments)
