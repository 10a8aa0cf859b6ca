"""The bundled face: blendshapes by name and what they move, eyeballs, and painted mouth textures."""

import pytest
import torch
from safetensors.torch import load_file
from support.faces import FACE, blended

import mimaface.mimaface_core.morphable.bundled as package
from mimaface.mimaface_core.morphable.bundled.blendshapes import (
    ARKIT,
    BLENDSHAPES,
    SIDED_NAMES,
    SIDES,
    blendshape,
    blendshapes,
)
from mimaface.mimaface_core.morphable.bundled.face import rotation_towards
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    CHIN,
    CHIN_MIDLINE,
    EYE_CORNERS,
    EYE_LANDMARKS,
    IRIS_CENTRES,
    LEFT_BROW,
    LID_MIDDLES,
    LIP_MIDDLES,
    MOUTH_CORNERS,
    NOSE_TIP,
    OUTER_LOWER_LIP,
)
from mimaface.mimaface_core.morphable.bundled.mouth_texture import light_of, paint
from mimaface.mimaface_core.morphable.bundled.sliders import mirrored

STORED = load_file(f"{package.__path__[0]}/scanned_face.safetensors")
NOBODY = torch.zeros(1, 80)
# ARKit's 52 blend shapes, as Apple lists them
APPLE = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawLeft", "jawRight", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthLeft", "mouthRight", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
OUT, IN, UP, DOWN, BACK, FORTH = (-1, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, -1), (0, 0, 1)
UPPER_LID, LOWER_LID = LID_MIDDLES[0]
CORNER, LIP_ABOVE, LIP_BELOW, BROW_INNER, BROW_OUTER, CHEEK, UNDER_EYE, NOSTRIL = 61, 39, 181, 55, 63, 50, 117, 203
# Where each moves a landmark of the right half or of the middle, and which way: ARKit's own words in landmarks.
MOVES = {
    "eyeBlink": (UPPER_LID, DOWN), "eyeLookDown": (UPPER_LID, DOWN), "eyeLookIn": (160, IN), "eyeLookOut": (161, OUT),
    "eyeLookUp": (UPPER_LID, UP), "eyeSquint": (LOWER_LID, UP), "eyeWide": (UPPER_LID, UP), "mouthSmile": (CORNER, UP),
    "mouthFrown": (CORNER, DOWN), "mouthDimple": (CORNER, OUT), "mouthStretch": (CORNER, OUT),
    "mouthPress": (LIP_BELOW, UP), "mouthLowerDown": (LIP_BELOW, DOWN), "mouthUpperUp": (LIP_ABOVE, UP),
    "browDown": (BROW_INNER, DOWN), "browInnerUp": (BROW_INNER, UP), "browOuterUp": (BROW_OUTER, UP),
    "cheekPuff": (CHEEK, FORTH), "cheekSquint": (UNDER_EYE, UP), "noseSneer": (NOSTRIL, UP),
    "jaw": (CHIN, OUT), "mouth": (0, OUT), "jawForward": (CHIN, FORTH), "jawOpen": (CHIN, DOWN), "mouthClose": (14, UP),
    "mouthFunnel": (0, FORTH), "mouthPucker": (CORNER, IN), "mouthRollLower": (14, BACK), "mouthRollUpper": (13, BACK),
    "mouthShrugLower": (CHIN, UP), "mouthShrugUpper": (0, UP),
}  # fmt: skip
MILLIMETRE = 0.01
# Sides of the scanned person differ by less than a quarter of a pixel of the plane that landmarks are measured on.
ALIKE = 0.25 / 116


def change(**values):
    """How far an expression moves each vertex of the mean face, [V, 3]."""
    return FACE.model.shape(NOBODY, blended(**values))[0] - FACE.model.mean_shape


def flipped(points):
    """The face's vertices, or their movements, in a mirror."""
    return points[:468][STORED["mirror"].long()] * torch.tensor([-1.0, 1, 1])


def test_blendshapes_by_name():
    assert len(set(BLENDSHAPES)) == 64
    assert [blendshape(name) for name in BLENDSHAPES] == list(range(64)) == sorted(blendshapes(*BLENDSHAPES))
    sides = ("jawOpen", "mouthSmileRight", "mouthSmileLeft")
    assert blendshapes("jawOpen", "mouthSmile") == [blendshape(n) for n in sides]
    assert blendshapes("mouthShrugUpper") == [blendshape("mouthShrugUpper")]  # central
    for unknown in ("grin", "mouthSmile", "mouthSmileUp"):
        with pytest.raises(ValueError, match=unknown):
            blendshape(unknown)
    with pytest.raises(ValueError, match="grin"):
        blendshapes("mouthSmile", "grin")


def test_all_of_arkits_names_are_there_but_the_tongue():
    halved = ("browInnerUp", "cheekPuff")
    names = [f"{name}{side}" for name in halved for side in SIDES] + [
        n for n in APPLE if n not in (*halved, "tongueOut")
    ]
    assert len(APPLE) == 52 and sorted(names) == sorted(ARKIT) and len(ARKIT) == 53
    assert BLENDSHAPES[:53] == ARKIT
    spoken = {name.removesuffix("Right").removesuffix("Left") for name in ARKIT}
    assert spoken == set(MOVES)


@pytest.mark.parametrize("name", ARKIT)
def test_a_blendshape_moves_what_it_names_and_no_other_side(name):
    stem = name.removesuffix("Right").removesuffix("Left")
    point, way = MOVES[stem]
    moved = change(**{name: 1.0})[:468]
    moved, other = (flipped(moved), moved) if name.endswith("Left") else (moved, flipped(moved))
    assert moved[point] @ torch.tensor(way, dtype=torch.float) > MILLIMETRE
    if stem in SIDED_NAMES and stem not in ("jaw", "mouth"):
        assert other[point].norm() < moved[point].norm() / 3  # halves blend into each other across the middle


def test_an_opening_jaw_lowers_chin_lower_lip_and_lower_teeth_alike_and_leaves_the_upper_teeth():
    moved = change(jawOpen=1)
    lower, upper = moved[FACE.parts["lower_teeth"]].view(4, 13, 3), moved[FACE.parts["upper_teeth"]]
    incisors = lower[-1, 6]  # the edge in the middle
    # 25 to 40 mm between the teeth: as far as adults' jaws open at ease
    assert -0.4 < incisors[1] < -0.25 and incisors[2] < 0 and not upper.any()
    assert lower[:, 6, 1].max() < lower[:, [0, 12], 1].min()  # molars, nearer the hinge, sink less
    for point in (*CHIN_MIDLINE, 17):  # skin lags behind the bone
        assert 0.8 < moved[point, 1] / incisors[1] < 1.05
    assert moved[CHIN, 1] < -0.2 and moved[0].norm() < 0.1 * moved[CHIN].norm()  # the upper lip hangs on the skull
    aside = change(jawRight=1)
    assert (aside[FACE.parts["lower_teeth"], 0] < -MILLIMETRE).all() and not aside[FACE.parts["upper_teeth"]].any()


@pytest.mark.parametrize("side", [0, 1])
def test_a_blink_shuts_its_eye_and_leaves_the_other(side):
    rest = FACE.eye_opening(NOBODY, blended())[0]
    shut = FACE.eye_opening(NOBODY, blended(**{f"eyeBlink{SIDES[side]}": 1.0}))[0]
    assert shut[side] < 0.1 * rest[side] and shut[1 - side] == pytest.approx(float(rest[1 - side]), rel=0.01)


def test_a_smile_raises_the_corners_and_widens_the_mouth_and_puckered_lips_are_narrow():
    right, left = FACE.model.mean_shape[MOUTH_CORNERS]
    smiling = FACE.model.shape(NOBODY, blended(mouthSmile=1))[0, MOUTH_CORNERS]
    assert (smiling[:, 1] > right[1] + 5 * MILLIMETRE).all()
    assert smiling[1, 0] - smiling[0, 0] > 1.15 * (left - right)[0]
    puckered = FACE.model.shape(NOBODY, blended(mouthPucker=1))[0, MOUTH_CORNERS]
    assert puckered[1, 0] - puckered[0, 0] < 0.85 * (left - right)[0] and (puckered[:, 2] > right[2]).all()


def test_inner_and_outer_brows_rise_apart_from_each_other():
    inner, outer = change(browInnerUpRight=1), change(browOuterUpRight=1)
    assert inner[BROW_INNER, 1] > 2 * inner[BROW_OUTER, 1] and outer[BROW_OUTER, 1] > 2 * outer[BROW_INNER, 1]
    for brow in (inner, outer):
        assert brow[LID_MIDDLES[0][1]].abs().max() < MILLIMETRE and brow[LEFT_BROW[:4]].abs().max() < MILLIMETRE


def test_the_face_is_alike_on_both_sides():
    mean, mirror = FACE.model.mean_shape[:468], STORED["mirror"].long()
    assert torch.equal(mirror[mirror], torch.arange(468)) and torch.allclose(flipped(mean), mean, atol=1e-6)
    assert [int(mirror[a]) for a in EYE_LANDMARKS["right_eye"].upper_lid] == EYE_LANDMARKS["left_eye"].upper_lid


@pytest.mark.parametrize("name", BLENDSHAPES)
def test_mirrored_expressions_make_the_mirrored_face(name):
    expression = blended(**{name: 1.0})[0]
    basis = FACE.model.expression_basis[:468]
    assert (basis @ mirrored(FACE, expression) - flipped(basis @ expression)).abs().max() < ALIKE
    assert torch.equal(mirrored(FACE, mirrored(FACE, expression)), expression)


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
