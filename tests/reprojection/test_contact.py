"""Lower teeth drop with the chin."""

import torch

from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.reprojection.contact import LOOSE_CHIN, hold_jaw

FACE = bundled_face()


def raised(**expression):
    """How far an expression's lower teeth, tongue and upper teeth are raised."""
    basis, rest = FACE.model.expression_basis, FACE.model.mean_shape
    before = rest + sum(basis[..., blendshape(name)] * share for name, share in expression.items())
    shape = before[None].clone()
    hold_jaw(FACE, shape, rest)
    return [(shape[0] - before)[FACE.parts[part], 1] for part in ("lower_teeth", "tongue", "upper_teeth")]


def test_a_jaw_that_opens_takes_its_teeth_along():
    for opening in (0.2, 1.0, -0.2):
        assert not any(part.any() for part in raised(jawOpen=opening))


def test_a_grin_that_pulls_the_chin_up_does_not_hide_an_open_jaw_s_teeth():
    teeth, tongue, upper = raised(jawOpen=0.2, mouthSmileLeft=1.1, mouthSmileRight=1.1)
    assert 0.02 < teeth.amin() < 0.05 and teeth.std() < 1e-6 and torch.allclose(tongue, teeth[:1], atol=1e-6)
    assert not upper.any()
    small, _, _ = raised(jawOpen=0.2, mouthSmileLeft=0.5 * LOOSE_CHIN, mouthSmileRight=0.5 * LOOSE_CHIN)
    assert not small.any()
