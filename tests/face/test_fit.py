"""Fit of the bundled face model to landmarks: pose, gaze and shape are recovered."""

import pytest
import torch
from support.faces import FACE, landmarks, people

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.fit import fit_landmarks
from mimaface.mimaface_core.morphable.bundled.blendshapes import LID_BLENDSHAPES
from mimaface.mimaface_core.motion.rotation import angles_of


def test_angles_come_back_from_their_rotation():
    angles = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 0.5
    assert torch.allclose(angles_of(FACE.model.rotation(angles)), angles, atol=1e-5)


def test_fitting_finds_pose_gaze_and_shape_again():
    truth, gaze = people()
    found, seen_gaze = fit_landmarks(FACE, landmarks(truth, gaze))
    assert (found.angles - truth.angles).abs().mean() < 0.01  # about half a degree
    assert (found.translation[:, :2] - truth.translation[:, :2]).abs().max() < 0.05
    assert (seen_gaze - gaze).abs().mean() < 0.01
    model = FACE.model
    again = model.project(model.vertices(found))[:, :468, :2]
    assert (again - landmarks(truth, gaze)[:, :468, :2]).norm(dim=-1).mean() < 0.6
    assert torch.equal(found.identity, found.identity[:1].expand_as(found.identity))


def test_gaze_does_not_follow_the_lids():
    truth, gaze = people(2, seed=3)
    values = truth.expression.clone()
    values[:] = values[:1]
    values[1, [i for side in LID_BLENDSHAPES for i in side]] += 0.4
    same = truth.replace(expression=values, angles=truth.angles[:1], translation=truth.translation[:1])
    _, seen = fit_landmarks(FACE, landmarks(same, gaze[:1].expand(2, -1)))
    assert (seen[0] - seen[1]).abs().max() < 0.03


def test_landmarks_of_another_kind_are_refused():
    with pytest.raises(InputError, match="478"):
        fit_landmarks(FACE, torch.zeros(2, 468, 3))
    with pytest.raises(InputError, match="finite"):
        fit_landmarks(FACE, torch.full((1, 478, 3), torch.nan))
