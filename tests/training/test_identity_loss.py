"""L_id, equation 2: photometric changes, the memory bank, the contrastive loss, verification AUC."""

import math

import torch
from torch.nn import functional as F

from mimaface.mimaface_core.training.models.identity_loss import (
    EMPTY,
    IdentityLoss,
    Photometric,
    edge_enhance,
    verification_auc,
    vignette,
)


def test_photometric_changes_are_seeded_and_stay_in_range():
    pictures, change = torch.rand(6, 3, 48, 48, generator=torch.Generator().manual_seed(0)), Photometric()
    before = torch.random.get_rng_state()
    first, again, other = change(pictures, 1), change(pictures, 1), change(pictures, 2)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == pictures.shape and first.min() >= 0 and first.max() <= 1
    assert torch.equal(torch.random.get_rng_state(), before)  # random numbers of the rest of the training


def test_noise_light_and_grey_all_occur():
    ramp = torch.linspace(0.2, 0.8, 32).expand(3, 32, 32) * torch.tensor([1.0, 0.7, 0.5])[:, None, None]
    change = Photometric()
    changed = torch.cat([change(ramp.expand(16, -1, -1, -1), seed) for seed in range(6)])
    grey = (changed[:, 0] - changed[:, 2]).abs().amax((1, 2)) < 1e-3
    assert 0.02 < grey.float().mean() < 0.4
    rough = (changed[..., 1:] - changed[..., :-1]).std((1, 2, 3))
    assert (rough > 2 * rough.median()).any()  # noise
    assert changed.mean((1, 2, 3)).std() > 0.02  # light


def test_vignette_darkens_corners_and_edges_are_enhanced():
    flat = torch.full((2, 3, 9, 9), 0.5)
    dark = vignette(flat, torch.tensor([0.0, 0.6]).view(2, 1, 1, 1))
    assert torch.equal(dark[0], flat[0]) and torch.allclose(dark[1, :, 4, 4], flat[1, :, 4, 4])
    assert torch.allclose(dark[1, :, 0, 0], torch.tensor(0.2))
    step = torch.cat([torch.full((1, 3, 8, 4), 0.3), torch.full((1, 3, 8, 4), 0.6)], 3)
    sharp = edge_enhance(step, torch.ones(1, 1, 1, 1))
    assert sharp[0, 0, 4, 3] < 0.3 and sharp[0, 0, 4, 4] > 0.6 and torch.allclose(sharp[..., 1], step[..., 1])


def test_the_bank_is_a_queue_that_leaves_out_the_same_person():
    loss = IdentityLoss(4, bank=5, temperature=0.1)
    a, b = torch.eye(4)[:2]
    loss(torch.stack([a, b]), [torch.stack([a, b])], torch.tensor([7, 8]))
    assert loss.persons.tolist() == [7, 8, EMPTY, EMPTY, EMPTY]
    # without tokens of other persons there are no negatives
    alone = IdentityLoss(4, bank=5, temperature=0.1)
    alone(a[None], [a[None]], torch.tensor([7]))
    assert float(alone(a[None], [b[None]], torch.tensor([7]))) == 0
    # another person with the same token costs ln 2
    same = float(loss(a[None], [a[None]], torch.tensor([9])))
    assert abs(same - math.log(2 + math.exp(-10))) < 1e-3
    for person in (10, 11, 12):
        loss(b[None], [b[None]], torch.tensor([person]))
    assert loss.persons.tolist() == [12, 8, 9, 10, 11]


def test_a_network_trained_with_the_loss_separates_persons():
    generator = torch.Generator().manual_seed(0)
    who, noise = 3 * torch.randn(12, 6, generator=generator), 3.0

    # six numbers identify the person, 26 are noise
    def pictures(person):
        return torch.cat([who[person], noise * torch.randn(len(person), 26, generator=generator)], 1)

    net, loss = torch.nn.Linear(32, 8), IdentityLoss(8, bank=64, temperature=0.1)
    torch.nn.init.normal_(net.weight, 0, 0.1, generator=generator)
    seen, people = pictures(torch.arange(12).repeat(4)), torch.arange(12).repeat(4)
    before = verification_auc(net(seen), people)
    adam = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        person = torch.randint(12, (8,), generator=generator)
        value = loss(net(pictures(person)), [net(pictures(person)), net(pictures(person))], person)
        adam.zero_grad()
        value.backward()
        adam.step()
    assert before < 0.7 and verification_auc(net(seen), people) > 0.9


def test_verification_auc_is_the_share_of_right_comparisons():
    tokens, person = F.normalize(torch.tensor([[1.0, 0], [1, 0.1], [0, 1], [0.1, 1]])), torch.tensor([0, 0, 1, 1])
    assert verification_auc(tokens, person) == 1
    assert verification_auc(tokens, torch.tensor([0, 1, 0, 1])) < 0.5
    assert verification_auc(tokens, torch.zeros(4, dtype=torch.long)) != verification_auc(
        tokens, torch.zeros(4, dtype=torch.long)
    )
