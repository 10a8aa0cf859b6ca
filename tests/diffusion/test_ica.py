"""Inter-clip affinity: the U-Net's input, carried latents, and their random overlaps in training."""

import torch
from support.tiny_pack import randn

from mimaface.mimaface_core.diffusion.ica import CARRIED_NOISE, carry, condition, draw_known, perturb


def test_condition_places_thirteen_channels():
    noisy, render, carried = (
        randn(2, 4, 3, 2, 2),
        randn(2, 4, 3, 2, 2, seed=1),
        torch.full((2, 4, 3, 2, 2), torch.nan),
    )
    carried[:, :, 0] = 5.0
    sample = condition(noisy, render, carried, torch.tensor([True, False, False]))
    assert sample.shape == (2, 13, 3, 2, 2)
    assert torch.equal(sample[:, :4], noisy) and torch.equal(sample[:, 4:8], render)
    assert (sample[:, 8:12, 0] == 5).all() and (sample[:, 8:12, 1:] == 0).all()
    assert (sample[:, 12, 0] == 1).all() and (sample[:, 12, 1:] == 0).all()
    rows = condition(noisy, render, render, torch.tensor([[True] * 3, [False] * 3]))
    assert (rows[0, 12] == 1).all() and (rows[1, 8:] == 0).all()


def test_carry_moves_the_last_frames_to_the_front():
    previous = randn(1, 4, 6, 2, 2)
    carried, known = carry(previous, previous, 2)
    assert torch.equal(carried[:, :, :2], previous[:, :, 4:]) and known.tolist() == [True] * 2 + [False] * 4
    for first_clip in (carry(None, previous, 2), carry(previous, previous, 0)):
        assert not first_clip[1].any() and (first_clip[0] == 0).all()


def test_random_overlaps_and_noise_of_training():
    generator = torch.Generator().manual_seed(0)
    known = draw_known(400, 12, generator)
    assert sorted(set(known.sum(1).tolist())) == [0, 1, 2, 3] and not known[:, 3:].any()
    assert (known.int().diff(dim=1) <= 0).all()
    noise = perturb(torch.zeros(50, 4, 3, 8, 8), generator)
    assert abs(noise.std().item() - CARRIED_NOISE) < 0.005
