"""Umeyama's alignment: a known similarity is recovered, weights are heeded, mirror images are not."""

import pytest
import torch

from mimaface.mimaface_core.morphable.umeyama import umeyama
from mimaface.mimaface_core.motion.rotation import rotation_of


@pytest.mark.parametrize("scaled", [True, False])
def test_a_similarity_is_recovered(scaled):
    generator = torch.Generator().manual_seed(0)
    points = torch.randn(2, 9, 3, generator=generator)
    rotation = rotation_of(torch.tensor([[0.3, -0.5, 2.0], [0.0, 1.0, -0.2]]))
    scale = torch.tensor([0.5, 3.0]) if scaled else torch.ones(2)
    shift = torch.tensor([[1.0, 2, 3], [-4, 0, 1]])
    target = scale[:, None, None] * points @ rotation + shift[:, None]
    weight = torch.rand(9, generator=generator) + 0.1
    weight[0], target[:, 0] = 0, 100.0  # a point without weight has no influence
    for found, truth in zip(umeyama(points, target, weight, scaled=scaled), (scale, rotation, shift)):
        torch.testing.assert_close(found, truth, rtol=1e-4, atol=1e-4)


def test_a_mirror_image_is_met_by_a_rotation():
    points = torch.randn(1, 9, 2, generator=torch.Generator().manual_seed(1))
    _, rotation, _ = umeyama(points, points * torch.tensor([-1.0, 1.0]), torch.ones(9), scaled=True)
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(1))
