"""Fixtures that the tests of several meters share."""

import math

import pytest
import torch
from support.faces import landmarks, people

from mimaface.mimaface_core import host
from mimaface.mimaface_core.evaluation.meters.landmarks import INNER_LIPS, LEFT_EYE, RIGHT_EYE


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A models folder without any weights, and an empty hub cache; the folder for the meters' weights is returned."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    folder = tmp_path / "evaluation" / "checkpoints"
    folder.mkdir(parents=True)
    with host.use(host.Host(models=[tmp_path], device="cpu")):
        yield folder


@pytest.fixture(scope="session")
def mesh():
    """Landmarks [24, 478, 3] of one person in 24 poses, on an image of 256 pixels."""
    return landmarks(*people(24))


@pytest.fixture(scope="session")
def texture():
    """`texture(seed)` makes a smooth coloured image uint8 [256, 256, 3]."""

    def make(seed=0):
        small = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
        large = torch.nn.functional.interpolate(small, (256, 256), mode="bicubic").clamp(0, 1)
        return (large[0].permute(1, 2, 0) * 255).byte().numpy()

    return make


@pytest.fixture(scope="session")
def faces():
    """`faces(opening, eyes)` makes landmarks with that opening of mouth and eyes; None where the mouth is NaN."""

    def make(opening, eyes=None):
        eyes = [0.3] * len(opening) if eyes is None else eyes
        return [None if math.isnan(gap) else _face(gap, lids) for gap, lids in zip(opening, eyes)]

    return make


def _face(gap, lids):
    """Landmarks [478, 3] of a face whose eye corners are 80 pixels apart, and whose eyes are 30 wide."""
    points = torch.zeros(478, 3)
    points[0], points[1] = torch.tensor([50.0, 50, 0]), torch.tensor([150.0, 170, 0])  # the face's box
    points[2:] = torch.tensor([100.0, 100, 0])
    for corner, x in ((33, 60.0), (133, 90.0), (362, 110.0), (263, 140.0)):
        points[corner] = torch.tensor([x, 80.0, 0])
    for upper, lower in RIGHT_EYE.lids + LEFT_EYE.lids:
        points[upper], points[lower] = torch.tensor([75, 80 - 15 * lids, 0]), torch.tensor([75, 80 + 15 * lids, 0])
    for upper, lower in INNER_LIPS:
        points[upper], points[lower] = torch.tensor([100, 140.0, 0]), torch.tensor([100, 140 + 80 * gap, 0])
    return points
