"""What lies around a face: it takes part in the head's movement, but a contour does not turn with its head."""

import pytest
import torch
from support.faces import FACE, photographed

from mimaface.mimaface_core.morphable.bundled.face_mesh import NOSE_TIP
from mimaface.mimaface_core.morphable.bundled.geometry import RING_COUNT, RING_POINTS
from mimaface.mimaface_core.reprojection.projection import NECK_JOINT, project, project_with_surroundings

HEAD = FACE.parts["head"]
CROWN, CHIN, SIDES = 0, RING_POINTS // 2, [RING_POINTS // 4, -RING_POINTS // 4]  # points of a ring


@pytest.fixture(scope="module")
def photo():
    """The track of a photograph, its shape and where this lies."""
    track = photographed()[1]
    c = track.coefficients
    shape = FACE.model.shape(c.identity, c.expression)
    return track, shape, project(FACE.model, shape, track)[0, :, :2]


def moved_by(photo, factor=1.0, **change):
    """Movement [V, 2] in pixels of the whole, and of the head without its surroundings."""
    track, shape, rest = photo
    c = track.coefficients
    groups = {name: getattr(c, name) + factor * torch.tensor([value]) for name, value in change.items()}
    now = track.replace(coefficients=c.replace(**groups))
    whole = project_with_surroundings(FACE, shape, now, track, rest)
    head = project(FACE.model, shape, now)
    assert torch.equal(whole[..., 2], head[..., 2])
    return whole[0, :, :2] - rest, head[0, :, :2] - rest


def rings(movement):
    return movement[HEAD].view(RING_COUNT, RING_POINTS, 2)


def test_in_the_photograph_nothing_has_moved(photo):
    assert moved_by(photo)[0].abs().max() < 1e-3


@pytest.mark.parametrize(
    "change", [{"angles": (0.2, -0.5, 0.3)}, {"translation": (0.3, -0.1, 0.8)}, {"angles": (0.0, 0.0, 0.01)}]
)
def test_the_face_moves_with_its_head(photo, change):
    whole, head = moved_by(photo, **change)
    face = torch.ones(len(whole), dtype=torch.bool)
    face[HEAD] = False
    assert torch.allclose(whole[face], head[face], atol=1e-3)
    assert rings(whole)[-2:].abs().max() <= 1e-3, "the background stays"


def test_a_contour_stays_while_its_head_turns_and_hair_above_the_forehead_turns(photo):
    angles = photo[0].coefficients.angles
    before, now = (FACE.model.rotation(angles + torch.tensor([[0.0, yaw, 0.0]]))[0] for yaw in (0.0, 0.4))
    about = torch.tensor(NECK_JOINT) @ (before - now)
    whole, head = moved_by(photo, angles=(0.0, 0.4, 0.0), translation=tuple(about.tolist()))
    nose, whole, head = head[NOSE_TIP].norm(), rings(whole), rings(head)
    assert nose > 60
    for around in (whole[2, SIDES], whole[3:]):
        assert around.norm(dim=-1).max() < 0.1 * nose
    hair, crown = whole[1, CROWN].norm(), head[1, CROWN].norm()
    assert 0.1 * nose < 0.6 * crown < hair < crown < nose


@pytest.mark.parametrize("change", [{"translation": (0.3, 0.2, 0.0)}, {"angles": (0.0, 0.0, 0.35)}])
def test_a_contour_follows_a_head_that_goes_or_leans_far_and_hardly_one_that_shivers(photo, change):
    whole, head = (rings(of)[1, CROWN] for of in moved_by(photo, **change))
    assert head.norm() > 30 and (whole - head).norm() < 0.25 * head.norm()
    whole, head = (rings(of)[1, CROWN] for of in moved_by(photo, factor=0.05, **change))
    assert 0 < whole.norm() < 0.4 * head.norm() < 2


def test_a_neck_stays_behind_its_head_the_more_the_lower_it_is(photo):
    whole, _ = moved_by(photo, translation=(0.3, 0.0, 0.0))
    shares = rings(whole)[:, CHIN, 0] / whole[:468, 0].mean()
    assert (shares.diff() <= 0).all() and 0.7 < shares[0] < 1 and shares[3] < 0.2


def test_rings_lie_as_deep_as_the_scanned_head(photo):
    """Behind the outline of the face, level with the ears at the sides, and nearer at crown and throat."""
    mean = FACE.model.mean_shape
    depth = mean[HEAD, 2].view(RING_COUNT, RING_POINTS)
    assert torch.allclose(depth[:, 1:], depth[:, 1:].flip(1), atol=1e-4), "as on the other side"
    ears = -0.5
    assert (depth[2, SIDES] - ears).abs().max() < 0.1
    assert depth[1, CROWN] > 0.2 and depth[1, CHIN] > 0 and depth[2].max() < 0
