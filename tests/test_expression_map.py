"""Expressions carried over from one face model's basis to another's."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from mimaface.mimaface_core.morphable.expression_map import align, corresponding, expression_map
from mimaface.mimaface_core.morphable.expressions import NAMES
from mimaface.mimaface_core.morphable.face_mesh import LOWER_LIP, UPPER_LIP
from mimaface.mimaface_core.morphable.procedural import procedural_face
from mimaface.mimaface_core.motion.rotation import rotation_of

LIPS = sorted({i for ring in UPPER_LIP + LOWER_LIP for i in ring})


def stand_in(seed=0, outside=0.01):
    """A face model that is not ours: other vertices, place, size and order; its movements are mixtures of ours, and more.

    Returns the model, the mixtures [64, 64], and what is more, [V, 3, 64] in our face's place, size and order.
    """
    face = procedural_face()
    model, triangles = face.model, face.model.triangles[face.part_triangles["face"]]
    generator = torch.Generator().manual_seed(seed)

    def finer(x):
        return torch.cat([x[:468], x[triangles].mean(1)])

    mean, basis = finer(model.mean_shape), finer(model.expression_basis)
    mixture = torch.randn(64, 64, generator=generator) * 0.1
    where = mean[torch.randint(468, (64,), generator=generator)]
    bump = torch.exp(-(mean[:, None] - where).square().sum(-1) / (2 * 0.15**2))
    more = outside * bump[:, None] * torch.randn(1, 3, 64, generator=generator)
    order = torch.randperm(len(mean), generator=generator)
    turn, size = rotation_of(torch.tensor([[0.2, -0.1, 0.05]]))[0], 1.3
    moves = torch.einsum("vcm,cd->vdm", basis @ mixture.T + more, turn)
    other = replace(
        model,
        mean_shape=(size * mean @ turn + torch.tensor([0.3, -0.2, 0.4]))[order],
        expression_basis=(size * moves)[order],
        identity_basis=torch.zeros(len(mean), 3, 80),
        mean_texture=torch.zeros(len(mean), 3),
        texture_basis=torch.zeros(len(mean), 3, 80),
        triangles=order.argsort()[triangles],
        keypoints=order.argsort()[model.keypoints],
    )
    return other, mixture, more


def test_our_landmarks_are_in_ibug_order():
    x, y, z = procedural_face().model.mean_shape[procedural_face().model.keypoints].unbind(1)
    assert len(x) == 68

    def rising(*numbers):
        return all(x[a] < x[b] for a, b in pairwise(numbers))

    assert rising(0, 8, 16) and rising(*range(3, 14)) and y[:17].argmin() == 8  # the jaw, from the picture's left
    assert rising(*range(17, 27)) and rising(*range(31, 36))  # brows, foot of the nose
    assert y[27] > y[28] > y[29] > y[30] and z.argmax() == 30  # bridge and tip of the nose
    for outer, up, down in ((36, (37, 38), (41, 40)), (42, (43, 44), (47, 46))):  # eyes, each from the picture's left
        assert rising(outer, *up, outer + 3) and rising(outer, *down, outer + 3)
        assert all(y[a] > y[b] for a, b in zip(up, down))
    assert rising(*range(48, 55)) and rising(*reversed(range(55, 60))) and y[51] > y[57]  # outer lips
    assert rising(*range(60, 65)) and rising(*reversed(range(65, 68))) and y[62] > y[66]  # inner lips


@pytest.mark.parametrize("seed", [0, 1])
def test_expressions_of_another_basis(seed):
    ours = procedural_face().model
    theirs, mixture, more = stand_in(seed)
    placed = align(theirs, ours)
    assert placed.scale == pytest.approx(1 / 1.3, rel=1e-4)
    a, b, weights = corresponding(theirs, ours, placed)
    assert len(a) == len(b) == len(weights) > 200
    assert (placed(theirs.mean_shape)[a] - ours.mean_shape[b]).norm(dim=1).max() < 1e-3

    carried = expression_map(theirs, ours)
    wanted = (ours.expression_basis[:468] @ mixture.T + more[:468])[LIPS]
    assert (ours.expression_basis[LIPS] @ carried.T - wanted).norm() < 0.1 * wanted.norm()

    # there and back: the mouth opens as far as it did
    back = expression_map(ours, theirs) @ carried
    assert (ours.expression_basis[LIPS] @ back.T - ours.expression_basis[LIPS]).norm() < 0.1 * ours.expression_basis[
        LIPS
    ].norm()
    opened = torch.zeros(3, 64)
    opened[:, NAMES.index("jaw_open")] = torch.tensor([0.0, 0.5, 1.0])
    gap, gap_back = (
        (s[:, 13] - s[:, 14]).norm(dim=1) for s in (ours.shape(torch.zeros(1, 80), e) for e in (opened, opened @ back))
    )
    torch.testing.assert_close(gap_back, gap, rtol=0.05, atol=0)


def test_the_same_basis_maps_onto_itself():
    model = procedural_face().model
    same = expression_map(model, model)
    assert (same - torch.eye(64)).abs().max() < 0.2 and (same.diagonal() > 0.8).all()
