"""Expression map between two face models, and the alignment under it."""

from itertools import pairwise

import pytest
import torch
from support.faces import stand_in

from mimaface.mimaface_core.morphable.bundled.blendshapes import ARKIT, blendshape
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import LEFT_EYE_OUTER, LOWER_LIP, RIGHT_EYE_OUTER, UPPER_LIP
from mimaface.mimaface_core.morphable.expression_map import MOVEMENT_NOISE, align, corresponding, expression_map

LIPS = sorted({i for ring in UPPER_LIP + LOWER_LIP for i in ring})


def test_our_landmarks_are_in_ibug_order():
    x, y, z = bundled_face().model.mean_shape[bundled_face().model.keypoints].unbind(1)
    assert len(x) == 68

    def rising(*numbers):
        return all(x[a] < x[b] for a, b in pairwise(numbers))

    assert rising(0, 8, 16) and rising(*range(3, 14)) and y[:17].argmin() == 8  # the jaw, from the image's left
    assert rising(*range(17, 27)) and rising(*range(31, 36))  # brows, foot of the nose
    assert y[27] > y[28] > y[29] > y[30] and z.argmax() == 30  # bridge and tip of the nose
    for outer, up, down in ((36, (37, 38), (41, 40)), (42, (43, 44), (47, 46))):  # eyes, each from the image's left
        assert rising(outer, *up, outer + 3) and rising(outer, *down, outer + 3)
        assert all(y[a] > y[b] for a, b in zip(up, down))
    assert rising(*range(48, 55)) and rising(*reversed(range(55, 60))) and y[51] > y[57]  # outer lips
    assert rising(*range(60, 65)) and rising(*reversed(range(65, 68))) and y[62] >= y[66] - 1e-6  # inner lips


@pytest.mark.parametrize("seed", [0, 1])
def test_expressions_of_another_basis(seed):
    ours = bundled_face().model
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
    opened[:, blendshape("jawOpen")] = torch.tensor([0.0, 0.45, 0.8])
    gap, gap_back = (
        (s[:, 13] - s[:, 14]).norm(dim=1) for s in (ours.shape(torch.zeros(1, 80), e) for e in (opened, opened @ back))
    )
    torch.testing.assert_close(gap_back, gap, rtol=0.05, atol=0)


def test_the_same_basis_maps_onto_itself():
    model = bundled_face().model
    same = expression_map(model, model)
    named = same[: len(ARKIT), : len(ARKIT)]
    assert (named - torch.eye(len(ARKIT))).abs().max() < 0.2 and (named.diagonal() > 0.8).all()
    # corrective blendshapes move no point farther than noise does, and shrink; what they move is lost within it
    basis = model.expression_basis[:468]
    assert (basis @ same.T - basis).norm(dim=1).max() < MOVEMENT_NOISE * eye_distance(model)


def eye_distance(model):
    """Distance between the outer corners of the eyes."""
    return (model.mean_shape[RIGHT_EYE_OUTER] - model.mean_shape[LEFT_EYE_OUTER]).norm()
