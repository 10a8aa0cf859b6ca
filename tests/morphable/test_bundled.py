"""The bundled face: blendshapes by name and what they move, eyeballs, and painted mouth textures."""

import pytest
import torch
from safetensors.torch import load_file
from support.faces import FACE, blended

import mimaface.mimaface_core.morphable.bundled as package
from mimaface.mimaface_core.morphable.bundled.blendshapes import BLENDSHAPES, SIDED_NAMES, blendshape, blendshapes
from mimaface.mimaface_core.morphable.bundled.face import rotation_towards
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    CHIN,
    EYE_CORNERS,
    EYE_LANDMARKS,
    IRIS_CENTRES,
    LID_MIDDLES,
    LIP_MIDDLES,
    MOUTH_CORNERS,
    NOSE_TIP,
    OUTER_LOWER_LIP,
)
from mimaface.mimaface_core.morphable.bundled.mouth_texture import light_of, paint


def test_blendshapes_by_name():
    assert len(set(BLENDSHAPES)) == 64
    assert [blendshape(name) for name in BLENDSHAPES] == list(range(64)) == sorted(blendshapes(*BLENDSHAPES))
    assert blendshapes("jaw_open", "smile") == [blendshape(n) for n in ("jaw_open", "smile_right", "smile_left")]
    assert blendshapes("mouth_side") == [blendshape("mouth_side")]  # central, whatever its name
    for unknown in ("grin", "smile", "smile_up"):
        with pytest.raises(ValueError, match=unknown):
            blendshape(unknown)
    with pytest.raises(ValueError, match="grin"):
        blendshapes("smile", "grin")


def test_blendshapes_move_what_they_name():
    none = torch.zeros(1, 80)
    chin = FACE.model.shape(none, blended(jaw_open=1))[0, CHIN] - FACE.model.mean_shape[CHIN]
    assert chin[1] < -0.15
    brow = FACE.model.shape(none, blended(brow_outer_right=1))[0] - FACE.model.mean_shape
    assert brow[70, 1] > 0.05 and brow[300].abs().max() < 0.01  # the right brow alone
    closed = FACE.eye_opening(none, blended(upper_lid_left=1, lower_lid_left=1))[0]
    assert closed[1] < 0.01 and closed[0] > 0.08


def test_left_and_right_blendshapes_are_mirror_images():
    mirror = load_file(f"{package.__path__[0]}/face_mesh.safetensors")["mirror"].long()
    basis = FACE.model.expression_basis[:468]
    for name in SIDED_NAMES:
        right, left = blendshapes(name)
        mirrored = basis[mirror, :, left] * torch.tensor([-1.0, 1, 1])
        assert torch.allclose(basis[..., right], mirrored, atol=1e-6), name


def test_landmark_names():
    mean = FACE.model.mean_shape[:468]
    assert mean[:, 2].argmax() == NOSE_TIP and LIP_MIDDLES == [13, 14] and MOUTH_CORNERS[0] == OUTER_LOWER_LIP[0]
    for eye, corners, (upper, lower), iris in zip(EYE_LANDMARKS.values(), EYE_CORNERS, LID_MIDDLES, IRIS_CENTRES):
        assert [eye.upper_lid[0], eye.upper_lid[-1]] == [eye.lower_lid[0], eye.lower_lid[-1]] == corners
        assert upper == eye.upper_lid[4] and lower == eye.lower_lid[4] and iris == eye.iris[0]
        assert (mean[eye.brow_edge, 1] > mean[eye.upper_lid, 1].max()).all()
    assert (
        mean[EYE_CORNERS[0], 0].max() < 0 < mean[EYE_CORNERS[1], 0].min()
    )  # the subject's right is at the image's left


def test_an_eyeball_turns_towards_the_gaze():
    direction = torch.tensor([[0.3, -0.2], [0.0, 0.0], [5.0, 0.0]])
    forward = rotation_towards(direction) @ torch.tensor([0.0, 0.0, 1.0])
    assert torch.allclose(forward[0, :2], direction[0], atol=1e-6)
    assert torch.allclose(forward[1], torch.tensor([0.0, 0.0, 1.0]))
    assert torch.allclose(forward.norm(dim=1), torch.ones(3), atol=1e-5)


def test_the_light_has_the_hue_of_skin_and_sclera():
    warm, cool = (light_of(torch.tensor(skin), torch.tensor(white)) for skin, white in (
        ([0.9, 0.6, 0.4], [0.8, 0.65, 0.5]), ([0.5, 0.5, 0.55], [0.55, 0.6, 0.7]),
    ))  # fmt: skip
    assert warm[0] > 1.2 * warm[2] and cool[2] > cool[0] and warm.mean() > cool.mean()


def test_teeth_are_repeatable_darker_at_the_back_and_uneven():
    light = light_of(torch.tensor([0.5, 0.5, 0.55]), torch.tensor([0.55, 0.6, 0.7]))
    teeth = paint("upper_teeth", light, 128)
    assert teeth.shape == (4, 32, 128) and torch.equal(teeth, paint("upper_teeth", light, 128))
    colour, opacity = teeth[:3], teeth[3]
    assert colour[:, 20, 60].mean() > colour[:, 20, 10].mean() + 0.2
    ends = opacity[:, 20:108].sum(0)
    assert ends.max() - ends.min() > 1 and not torch.equal(ends, ends.flip(0))
