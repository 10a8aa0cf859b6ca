"""Steering of implicit motion: factors by group, pauses, statistics, smoothing."""

import pytest
import torch
from support.tiny_implicit import GROUPS

from mimaface.mimaface_core.audio.pauses import pauses
from mimaface.mimaface_core.audio.speech import Speech
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.implicit.edit import rescale, smooth
from mimaface.mimaface_core.implicit.groups import GroupFactors
from mimaface.mimaface_core.implicit.motion import ImplicitMotion
from mimaface.mimaface_core.implicit.steering import Steering
from mimaface.mimaface_core.media.audio import Audio

POSTURE = torch.linspace(-0.2, 0.2, 20)


def lively(frames=300, seed=0):
    """Codes [N, 20] that sway about the posture."""
    phase = torch.rand(20, generator=torch.Generator().manual_seed(seed)) * 6
    seconds = torch.arange(frames)[:, None] / 25
    return POSTURE + 0.1 * torch.sin(3 * seconds + phase)


def others(group):
    return [one for name, columns in GROUPS.items() if name != group for one in columns]


def test_factors_of_1_change_nothing():
    codes = lively()
    assert torch.equal(Steering(GROUPS, GroupFactors(), POSTURE)(codes), codes)
    assert torch.equal(Steering({}, GroupFactors(), POSTURE)(codes), codes)


@pytest.mark.parametrize("group", list(GROUPS))
@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_a_factor_scales_its_group_and_leaves_every_bit_of_the_others(group, factor):
    codes = lively()
    steered = Steering(GROUPS, GroupFactors(**{group: factor}), POSTURE)(codes)
    assert torch.equal(steered[:, others(group)], codes[:, others(group)])
    own = GROUPS[group]
    ratio = steered[50:, own].std(0) / codes[50:, own].std(0)
    assert (ratio - factor).abs().max() < 0.12 and steered.abs().max() <= 1


def test_blocks_of_any_size_are_steered_alike():
    codes, quiet = lively(), torch.arange(300) % 60 < 25
    factors = GroupFactors(head=1.7, mouth=0.4)
    whole = Steering(GROUPS, factors, POSTURE, rest=True)(codes, quiet)
    streamed = Steering(GROUPS, factors, POSTURE, rest=True)
    parts = [streamed(c, q) for c, q in zip(codes.split(17), quiet.split(17), strict=True)]
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6)


def test_in_pauses_the_mouth_rests_and_the_head_sways_a_little():
    codes = POSTURE + 0.3 * torch.ones(100, 20)
    quiet = torch.arange(100) >= 50
    steered = Steering(GROUPS, GroupFactors(), POSTURE, rest=True)(codes, quiet)
    assert torch.equal(steered[:50], codes[:50])
    mouth, head = GROUPS["mouth"], GROUPS["head"]
    assert torch.allclose(steered[60:, mouth], POSTURE[mouth].expand(40, -1), atol=1e-6)
    sway = (steered - codes)[60:, head]
    assert 0.005 < sway.abs().max() < 0.05 and sway.diff(dim=0).abs().max() < 0.005
    assert torch.equal(steered[:, GROUPS["eyes"]], codes[:, GROUPS["eyes"]])
    assert (steered[:, mouth].diff(dim=0).abs() < 0.1).all()  # eased, not cut


def test_parts_that_a_pack_does_not_keep_apart_are_refused():
    with pytest.raises(InputError, match="do not keep mouth apart .* bundled-implicit"):
        Steering({}, GroupFactors(mouth=0.5), POSTURE)
    with pytest.raises(InputError, match="do not keep head and mouth apart"):
        Steering({}, GroupFactors(), POSTURE, rest=True)
    for factor in (-1.0, float("nan")):
        with pytest.raises(InputError, match="use 0 for none, 1 for as it is, 2 for double"):
            GroupFactors(eyes=factor)


def test_pauses_are_found_frame_by_frame():
    voice = torch.randn(1, 16000 * 4, generator=torch.Generator().manual_seed(0)) * 0.1
    voice[:, 16000 : 3 * 16000] = 0
    quiet = torch.cat(list(pauses(Speech.of(Audio(voice, 16000)))))
    assert len(quiet) == 100 and not quiet[:24].any() and quiet[26:70].all() and not quiet[71:].any()
    for seconds in (0.01, 0.2, 1.02):
        silence = Speech.of(Audio(torch.zeros(1, round(16000 * seconds)), 16000))
        assert torch.cat(list(pauses(silence))).tolist() == [True] * silence.frames(25)


def test_a_motion_is_rescaled_about_its_mean_by_group():
    motion = ImplicitMotion(lively(), groups=GROUPS)
    assert torch.equal(rescale(motion, GroupFactors()).codes, motion.codes)
    calm = rescale(motion, GroupFactors(head=0.5))
    assert torch.equal(calm.codes[:, others("head")], motion.codes[:, others("head")])
    assert torch.allclose(calm.deviation[GROUPS["head"]], motion.deviation[GROUPS["head"]] / 2, atol=1e-5)
    assert torch.allclose(calm.mean, motion.mean, atol=1e-5)
    with pytest.raises(InputError, match="do not keep head apart"):
        rescale(ImplicitMotion(lively()), GroupFactors(head=0.5))


def test_a_motion_takes_over_the_statistics_of_another():
    motion, like = ImplicitMotion(lively(), groups=GROUPS), ImplicitMotion(0.3 - 0.5 * lively(seed=1))
    alike = rescale(motion, GroupFactors(), like)
    assert torch.allclose(alike.mean, like.mean, atol=1e-4)
    assert torch.allclose(alike.deviation, like.deviation, atol=1e-4)
    with pytest.raises(InputError, match="7 dimensions, this one 20"):
        rescale(motion, GroupFactors(), ImplicitMotion(torch.zeros(3, 7)))


@pytest.mark.parametrize("groups", [{}, GROUPS])
def test_smoothing_takes_jitter_and_keeps_movement(groups):
    jitter = torch.randn(300, 20, generator=torch.Generator().manual_seed(2)) * 0.004
    motion = ImplicitMotion(lively() + jitter, groups=groups)
    assert torch.equal(smooth(motion, 0, 0, 0).codes, motion.codes)
    smoothed = smooth(motion, 1, 1, 1)
    assert (smoothed.codes - lively()).std() < 0.7 * jitter.std()
    assert (smoothed.codes - lively()).abs().max() < 0.03 and smoothed.groups == groups
