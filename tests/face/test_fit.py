"""The bundled face: its modes mean what they say, fitting finds them again, and the projected render moves the photograph."""

from fractions import Fraction

import pytest
import torch
from support.faces import FACE, landmarks, people

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.crop import plane_alignment
from mimaface.mimaface_core.face.fit import fit_landmarks
from mimaface.mimaface_core.morphable.bundled.blendshapes import LID_MODES, NAMES
from mimaface.mimaface_core.morphable.bundled.face import LID_MIDDLES, rotation_towards
from mimaface.mimaface_core.morphable.bundled.face_mesh import INNER_LOWER_LIP, INNER_UPPER_LIP
from mimaface.mimaface_core.morphable.bundled.mouth_texture import light_of, paint
from mimaface.mimaface_core.motion.rotation import angles_of
from mimaface.mimaface_core.motion.track import MotionTrack
from mimaface.mimaface_core.reprojection.eye_textures import blur, inside_polygon, softness
from mimaface.mimaface_core.reprojection.renderer import ProjectedRenderer


def mode(**values):
    expression = torch.zeros(1, 64)
    for name, value in values.items():
        expression[0, NAMES.index(name)] = value
    return expression


def test_modes_are_named_and_move_what_they_name():
    assert len(set(NAMES)) == 64
    neutral = torch.zeros(1, 64)
    none = torch.zeros(1, 80)
    chin = FACE.model.shape(none, mode(jaw_open=1))[0, 152] - FACE.model.shape(none, neutral)[0, 152]
    assert chin[1] < -0.15
    brow = FACE.model.shape(none, mode(brow_outer_right=1))[0] - FACE.model.mean_shape
    assert brow[70, 1] > 0.05 and brow[300].abs().max() < 0.01  # the right brow alone
    closed = FACE.eye_opening(none, mode(upper_lid_left=1, lower_lid_left=1))[0]
    assert closed[1] < 0.01 and closed[0] > 0.08


def test_left_and_right_modes_are_mirror_images():
    from safetensors.torch import load_file

    import mimaface.mimaface_core.morphable.bundled as package

    mirror = load_file(f"{package.__path__[0]}/face_mesh.safetensors")["mirror"].long()
    basis = FACE.model.expression_basis[:468]
    for i, name in enumerate(NAMES):
        if name.endswith("_right"):
            other = basis[mirror, :, NAMES.index(name.replace("_right", "_left"))] * torch.tensor([-1.0, 1, 1])
            assert torch.allclose(basis[..., i], other, atol=1e-6), name


def test_angles_come_back_from_their_rotation():
    angles = torch.randn(50, 3, generator=torch.Generator().manual_seed(1)) * 0.5
    assert torch.allclose(angles_of(FACE.model.rotation(angles)), angles, atol=1e-5)


def test_an_eyeball_turns_towards_the_gaze():
    direction = torch.tensor([[0.3, -0.2], [0.0, 0.0], [5.0, 0.0]])
    forward = rotation_towards(direction) @ torch.tensor([0.0, 0.0, 1.0])
    assert torch.allclose(forward[0, :2], direction[0], atol=1e-6)
    assert torch.allclose(forward[1], torch.tensor([0.0, 0.0, 1.0]))
    assert torch.allclose(forward.norm(dim=1), torch.ones(3), atol=1e-5)


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
    values[1, [i for side in LID_MODES for i in side]] += 0.4
    same = truth.replace(expression=values, angles=truth.angles[:1], translation=truth.translation[:1])
    _, seen = fit_landmarks(FACE, landmarks(same, gaze[:1].expand(2, -1)))
    assert (seen[0] - seen[1]).abs().max() < 0.03


def test_landmarks_of_another_kind_are_refused():
    with pytest.raises(InputError, match="478"):
        fit_landmarks(FACE, torch.zeros(2, 468, 3))
    with pytest.raises(InputError, match="finite"):
        fit_landmarks(FACE, torch.full((1, 478, 3), torch.nan))


@pytest.fixture(scope="module")
def painted():
    return paint_noise()


def paint_noise(dye=None):
    """A source whose picture is soft noise, so that every pixel can be followed: renderer, track, crop.

    dye: makes it a photograph of that one tone.
    """
    draw = torch.Generator().manual_seed(7)
    coarse = torch.rand(1, 3, 64, 64, generator=draw) * 2 - 1
    crop = torch.nn.functional.interpolate(coarse, size=512, mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    if dye:
        crop = (crop.mean(0) + 1) * torch.tensor(dye)[:, None, None] - 1
    coefficients, _ = people(1, seed=5, expression=0.0)
    coefficients = coefficients.replace(translation=torch.tensor([[0.0, 0.0, -4.2]]))  # as large as in a real crop
    gaze = torch.zeros(1, 4)
    points = landmarks(coefficients, gaze)
    found, look = fit_landmarks(FACE, points)
    track = MotionTrack(found, look, plane_alignment(1), torch.ones(1, dtype=torch.bool), Fraction(25))
    return ProjectedRenderer(FACE, crop, points[0] * 2, track), track, crop


def moved(track, **groups):
    expression = groups.pop("expression", 0)
    gaze = groups.pop("gaze", 0)
    c = track.coefficients.replace(expression=track.coefficients.expression + expression, **groups)
    return track.replace(coefficients=c, gaze=track.gaze + gaze)


def test_the_source_in_its_own_pose_is_the_photograph(painted):
    renderer, track, crop = painted
    assert (renderer(track)[0] - crop).abs().mean() < 0.01


def test_the_head_turns_and_the_far_background_stays(painted):
    renderer, track, crop = painted
    turned = renderer(moved(track, angles=track.coefficients.angles + torch.tensor([0.0, 0.3, 0.0])))[0]
    assert (turned - crop)[:, 200:300, 200:300].abs().mean() > 0.05
    for corner in (turned - crop)[:, :24, :24], (turned - crop)[:, :24, -24:]:
        assert corner.abs().max() < 0.02


def test_gaze_moves_the_irises_and_nothing_else(painted):
    renderer, track, _ = painted
    change = (renderer(moved(track, gaze=torch.tensor([0.12, 0.0, 0.12, 0.0])))[0] - renderer(track)[0]).abs().amax(0)
    eyes = torch.zeros(512, 512, dtype=torch.bool)
    for corners in ((33, 133), (263, 362)):
        x, y = renderer.place[list(corners)].mean(0).long().tolist()
        eyes[y - 30 : y + 30, x - 45 : x + 45] = True
    assert change[eyes].max() > 0.1
    assert change[~eyes].max() < 1e-4


def test_lids_meet_and_do_not_pass_each_other(painted):
    renderer, track, _ = painted
    lids = mode(upper_lid_right=1.6, lower_lid_right=1.6, upper_lid_left=1.0, lower_lid_left=1.0)
    shape = renderer.shapes(moved(track, expression=lids))
    for upper, lower in LID_MIDDLES:
        assert -1e-5 < (shape[0, upper, 1] - shape[0, lower, 1]) < 0.012


def test_an_open_mouth_shows_an_inside_that_is_not_the_photograph(painted):
    renderer, track, _ = painted
    talking = moved(track, expression=mode(jaw_open=1.0))
    upper, lower = renderer._project(renderer.shapes(talking), talking)[0, [13, 14], :2]
    assert lower[1] - upper[1] > 8
    x, y = ((upper + lower) / 2).long().tolist()
    inside = renderer(talking)[0, :, y - 3 : y + 3, x - 6 : x + 6]
    assert (inside - renderer(track)[0, :, y - 3 : y + 3, x - 6 : x + 6]).abs().mean() > 0.2
    red, green, blue = inside.mean((1, 2))
    assert red >= green >= blue - 0.02  # teeth, tongue or throat, whatever colours the photograph has


def test_where_the_photograph_is_only_shifted_nothing_is_to_be_drawn_again(painted):
    renderer, track, _ = painted
    assert renderer.draw(track)[0, 3].mean() < 0.02
    shifted = renderer.draw(moved(track, translation=track.coefficients.translation + torch.tensor([0.1, 0.0, 0.0])))[
        0, 3
    ]
    x, y = renderer.place[[50, 280]].mean(0).long().tolist()  # between the cheeks
    assert shifted[y - 10 : y + 10, x - 10 : x + 10].max() < 0.2
    turned = renderer.draw(moved(track, angles=track.coefficients.angles + torch.tensor([0.0, 0.5, 0.0])))[0, 3]
    assert turned.mean() > 0.1 and turned[:24, :24].max() < 0.01
    talking = renderer.draw(moved(track, expression=mode(jaw_open=1.0)))[0, 3]
    x, y = renderer.place[[13, 14]].mean(0).long().tolist()
    assert talking[y + 6 : y + 16, x - 5 : x + 5].max() < 0.3  # the mouth's inside stays as it is painted
    assert talking[y + 30 : y + 90, x - 5 : x + 5].max() > 0.9  # lip and chin are stretched


@pytest.fixture(scope="module")
def smiling(painted):
    """A grey face whose photograph shows white teeth over a dark mouth between parted lips: renderer, track, crop, landmarks."""
    _, track, _ = painted
    raised = dict.fromkeys(("upper_lip_mid", "upper_lip_quarter_right", "upper_lip_quarter_left"), 0.4)
    track = moved(track, expression=mode(jaw_open=0.6, **raised))
    points = landmarks(track.coefficients, track.gaze)[0] * 2
    y, x = torch.meshgrid(torch.arange(512) + 0.5, torch.arange(512) + 0.5, indexing="ij")
    within = inside_polygon(torch.stack([x, y], -1), points[INNER_UPPER_LIP + INNER_LOWER_LIP[::-1], :2], 0.0) > 0
    crop = torch.tensor([0.4, 0.1, 0.0])[:, None, None].repeat(1, 512, 512)
    edge = points[13, 1] + 0.6 * (points[14, 1] - points[13, 1])
    crop[:, within & (y < edge)] = 0.8
    crop[:, within & (y >= edge)] = -0.9
    return ProjectedRenderer(FACE, crop, points, track), track, crop, points


def test_a_mouth_that_is_open_as_in_the_photograph_is_the_photograph(smiling):
    renderer, track, crop, points = smiling
    x, y = points[[13, 14], :2].mean(0).long().tolist()
    assert (renderer(track)[0] - crop)[:, y - 40 : y + 40, x - 60 : x + 60].abs().max() < 0.02


def test_teeth_of_the_photograph_stay_with_the_skull(smiling):
    renderer, track, crop, points = smiling
    wider = renderer(moved(track, expression=mode(jaw_open=0.3)))[0].mean(0)
    x, top = points[13, :2].long().tolist()
    column = wider[top : top + 60, x - 3 : x + 4].mean(1)
    before = crop.mean(0)[top : top + 60, x - 3 : x + 4].mean(1)
    end, shown = ((row < 0.3).nonzero()[:, 0] for row in (column, before))
    assert abs(int(end[end > 2][0]) - int(shown[shown > 2][0])) <= 1


def test_lips_that_part_show_neither_black_nor_bright_teeth(painted):
    renderer, track, _ = painted
    for share in (0.15, 0.8):
        motion = moved(track, expression=mode(jaw_open=share))
        x, y = renderer._project(renderer.shapes(motion), motion)[0, [13, 14], :2].mean(0).long().tolist()
        inside = renderer(motion)[0, :, y, x - 4 : x + 4]
        assert inside.mean() < 0.2 and inside[0].min() > -0.95


def test_light_follows_the_photographs():
    warm, cool = (light_of(torch.tensor(skin), torch.tensor(white)) for skin, white in (
        ([0.9, 0.6, 0.4], [0.8, 0.65, 0.5]), ([0.5, 0.5, 0.55], [0.55, 0.6, 0.7]),
    ))  # fmt: skip
    assert warm[0] > 1.2 * warm[2] and cool[2] > cool[0] and warm.mean() > cool.mean()
    teeth = paint("upper_teeth", cool, 128)
    assert teeth.shape == (4, 32, 128) and torch.equal(teeth, paint("upper_teeth", cool, 128))
    colour, opacity = teeth[:3], teeth[3]
    assert colour[:, 20, 60].mean() > colour[:, 20, 10].mean() + 0.2  # darker towards the back
    ends = opacity[:, 20:108].sum(0)
    assert ends.max() - ends.min() > 1 and not torch.equal(ends, ends.flip(0))  # no straight edge


def test_softness_tells_a_blurred_photograph():
    sharp = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1))
    values = [softness(blur(sharp[None], sigma)[0]) for sigma in (0.5, 1.0, 2.0)]
    assert values == sorted(values) and values[0] < 0.6 and values[2] > 1


@pytest.mark.parametrize("dye", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.65)])
def test_what_is_made_up_in_a_photograph_of_one_tone_has_that_tone(painted, dye):
    renderer, track, _ = paint_noise(dye)
    motion = moved(track, expression=mode(jaw_open=0.8))
    opened = (renderer(motion)[0] + 1) / torch.tensor(dye)[:, None, None]
    assert (opened.amax(0) - opened.amin(0)).max() < 0.06
    hues = painted[0](motion)[0]
    assert (hues.amax(0) - hues.amin(0)).max() > 0.2  # what has hues keeps them
