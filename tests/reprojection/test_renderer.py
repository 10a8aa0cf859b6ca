"""The re-projected photograph: unchanged in its own pose, moved with the motion, completed where it shows nothing."""

from itertools import pairwise

import pytest
import torch
from support.faces import FACE, blended, landmarks, photographed

from mimaface.mimaface_core.face.crop import plane_alignment
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    EYE_CORNERS,
    EYE_LANDMARKS,
    INNER_LOWER_LIP,
    INNER_UPPER_LIP,
    LEFT_BROW,
    LEFT_CHEEK,
    LID_MIDDLES,
    LIP_MIDDLES,
    LOWER_LIP,
    RIGHT_BROW,
    RIGHT_CHEEK,
    UPPER_LIP,
    UPPER_LIP_MIDDLE,
)
from mimaface.mimaface_core.morphable.bundled.mouth_texture import UPPER_TEETH
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from mimaface.mimaface_core.reprojection.contact import keep_iris_in_opening, lift_brows, order_lips, stop_jaw
from mimaface.mimaface_core.reprojection.photo_analysis import defocus
from mimaface.mimaface_core.reprojection.photo_shape import inner_lips
from mimaface.mimaface_core.reprojection.projection import project, unproject
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer
from mimaface.mimaface_core.reprojection.sampling import inside_polygon
from mimaface.mimaface_core.tensors import blur


@pytest.fixture(scope="module")
def noise():
    return noise_source()


def noise_source(tint=None):
    """A source whose image is soft noise, so that every pixel can be followed: renderer, track, crop.

    tint: RGB, makes it monochrome.
    """
    draw = torch.Generator().manual_seed(7)
    coarse = torch.rand(1, 3, 64, 64, generator=draw) * 2 - 1
    crop = torch.nn.functional.interpolate(coarse, size=512, mode="bicubic", align_corners=False)[0].clamp(-1, 1)
    if tint:
        crop = (crop.mean(0) + 1) * torch.tensor(tint)[:, None, None] - 1
    points, track = photographed()
    return ReprojectionRenderer(FACE, crop, points, track), track, crop


def moved(track, *, gaze=(0.0, 0.0, 0.0, 0.0), **change):
    """The track with a change added to its gaze, and to groups of its coefficients."""
    c = track.coefficients
    groups = {name: getattr(c, name) + torch.as_tensor(value) for name, value in change.items()}
    return track.replace(coefficients=c.replace(**groups), gaze=track.gaze + torch.tensor(gaze))


def lip_middles(renderer, track):
    """Pixels [2, 2] of the middles of the inner lips."""
    return project(FACE.model, renderer.shapes(track), track)[0, LIP_MIDDLES, :2]


def test_unproject_is_the_inverse_of_project(noise):
    _, track, _ = noise
    shape = FACE.model.mean_shape[None]
    pixels = project(FACE.model, shape, track)[0]
    assert torch.allclose(unproject(FACE.model, pixels[:, :2], pixels[:, 2], track), shape[0], atol=1e-5)


def test_the_source_in_its_own_pose_is_the_photograph(noise):
    renderer, track, crop = noise
    assert (renderer(track)[0] - crop).abs().mean() < 0.01


def test_the_head_turns_and_the_far_background_stays(noise):
    renderer, track, crop = noise
    turned = renderer(moved(track, angles=(0.0, 0.3, 0.0)))[0]
    assert (turned - crop)[:, 200:300, 200:300].abs().mean() > 0.05
    for corner in (turned - crop)[:, :24, :24], (turned - crop)[:, :24, -24:]:
        assert corner.abs().max() < 0.02


@pytest.mark.parametrize(
    "change",
    [
        {"translation": (0.0, 0.0, 2.0)},  # much nearer
        {"translation": (0.0, 0.0, -2.0)},
        {"translation": (0.4, 0.0, 0.0)},
        {"translation": (-0.3, -0.4, 0.0)},
        {"angles": (0.0, 0.5, 0.0)},
        {"angles": (0.0, 0.0, 0.5)},
    ],
)
def test_whatever_moves_has_come_to_rest_at_the_edge_of_the_crop_without_a_fold(noise, change):
    renderer, track, crop = noise
    change = {name: torch.tensor([value]) for name, value in change.items()}
    apart = (renderer(moved(track, **change))[0] - crop).abs()
    edge = torch.ones(512, 512, dtype=torch.bool)
    edge[2:-2, 2:-2] = False
    assert apart[:, edge].max() < 0.1 and apart[:, edge].mean() < 0.01
    assert apart[:, 200:300, 200:300].mean() > 0.05
    pixels = renderer._warped_skin(renderer.pose(moved(track, **change)).points).source_pixels[0]
    for band, axis in ((pixels[:40, :, 1], 0), (pixels[-40:, :, 1], 0), (pixels[:, :40, 0], 1)):
        assert band.diff(dim=axis).min() > -0.5  # what lies farther out is shown farther out


def test_another_layer_moves_like_the_colours_and_has_no_holes(noise):
    renderer, track, crop = noise
    layer = (crop[:1] + 1) / 2
    looking = moved(track, angles=(0.0, 0.2, 0.0), expression=blended(jawOpen=0.45))
    found, drawn = renderer.move(layer, looking)[0], (renderer(looking)[0, :1] + 1) / 2
    assert ((found - drawn).abs() < 0.02).float().mean() > 0.9
    assert renderer.move(torch.ones(1, 512, 512), looking).min() > 0.999


def test_gaze_moves_the_irises_and_nothing_else(noise):
    renderer, track, _ = noise
    change = (renderer(moved(track, gaze=(0.12, 0.0, 0.12, 0.0)))[0] - renderer(track)[0]).abs().amax(0)
    eyes = torch.zeros(512, 512, dtype=torch.bool)
    for corners in EYE_CORNERS:
        x, y = renderer.photo.vertex_pixels[corners].mean(0).long().tolist()
        eyes[y - 30 : y + 30, x - 45 : x + 45] = True
    assert change[eyes].max() > 0.1
    assert change[~eyes].max() < 1e-3


def test_lids_meet_without_overlap(noise):
    renderer, track, _ = noise
    lids = blended(eyeBlinkRight=1.6, eyeBlinkLeft=1.0)
    shape = renderer.shapes(moved(track, expression=lids))
    for upper, lower in LID_MIDDLES:
        assert -1e-5 < (shape[0, upper, 1] - shape[0, lower, 1]) < 0.012


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_expression_has_parts_pass_through_one_another(noise, seed):
    renderer, track, _ = noise
    draw = torch.Generator().manual_seed(seed)
    values = track.coefficients.values.expand(200, -1).clone()
    coefficients = FaceCoefficients(values).replace(expression=(torch.rand(200, 64, generator=draw) * 2 - 1) * 1.4)
    gaze = (torch.rand(200, 4, generator=draw) * 2 - 1) * 1.4
    many = MotionTrack(coefficients, gaze, plane_alignment(200), torch.ones(200, dtype=torch.bool), track.fps)
    height = renderer.shapes(many)[..., 1]
    for brow, eye in zip((RIGHT_BROW, LEFT_BROW), EYE_LANDMARKS.values(), strict=True):
        assert (height[:, eye.upper_lid[1:-1]] >= height[:, eye.lower_lid[1:-1]] - 1e-5).all()
        assert (height[:, brow[7]] > height[:, eye.upper_lid].mean(1)).all()  # the middle of its lower edge
    for rows, outwards in ((UPPER_LIP, 1), (LOWER_LIP, -1)):
        for outer, inner in pairwise(rows):
            assert (outwards * (height[:, outer[1:-1]] - height[:, inner[1:-1]]) >= -1e-5).all()
    overlap = (height[:, INNER_LOWER_LIP] - height[:, INNER_UPPER_LIP])[:, 1:-1].amax()
    assert overlap < 0.02
    rest = renderer.photo.shape[None, :, 1]
    bite, own = (
        h[:, FACE.parts["lower_teeth"]].amax(1) - h[:, FACE.parts["upper_teeth"]].amin(1) for h in (height, rest)
    )
    assert bite.max() < max(0.03, own.max() + 1e-4)
    pupils = renderer.shapes(many)[:, [FACE.parts[name].start for name in ("right_eye", "left_eye")]]
    corners = renderer.shapes(many)[:, EYE_CORNERS]
    aside = ((pupils - corners.mean(2)).norm(dim=-1) / (corners[:, :, 0] - corners[:, :, 1]).norm(dim=-1)).max()
    assert aside < 0.55  # eye widths in space, so that the iris, 0.2 wide, is between the corners


def test_what_faces_do_is_left_as_it_is(noise):
    renderer, _, _ = noise
    gaze = torch.tensor([[0.25, 0.1, 0.2, -0.15]])
    assert torch.equal(keep_iris_in_opening(gaze), gaze)
    rest = renderer.photo.shape
    shape = rest[None].clone()
    lift_brows(shape, rest)
    order_lips(shape, rest)
    stop_jaw(FACE, shape)
    assert (shape - rest).abs().max() < 1e-6


def test_the_inside_of_an_open_mouth_is_not_the_photograph(noise):
    renderer, track, _ = noise
    talking = moved(track, expression=blended(jawOpen=0.45))
    upper, lower = lip_middles(renderer, talking)
    assert lower[1] - upper[1] > 8
    x, y = ((upper + lower) / 2).long().tolist()
    inside = renderer(talking)[0, :, y - 3 : y + 3, x - 6 : x + 6]
    assert (inside - renderer(track)[0, :, y - 3 : y + 3, x - 6 : x + 6]).abs().mean() > 0.2
    red, green, blue = inside.mean((1, 2))
    assert red >= green >= blue - 0.02  # teeth, tongue or throat, whatever colours the photograph has


def test_freedom_is_low_where_the_photograph_is_only_shifted_and_in_the_mouth(noise):
    renderer, track, _ = noise
    assert renderer.draw(track)[0, 3].mean() < 0.02
    shifted = renderer.draw(moved(track, translation=(0.1, 0.0, 0.0)))[0, 3]
    x, y = renderer.photo.vertex_pixels[[RIGHT_CHEEK, LEFT_CHEEK]].mean(0).long().tolist()  # between the cheeks
    assert shifted[y - 10 : y + 10, x - 10 : x + 10].max() < 0.2
    turned = renderer.draw(moved(track, angles=(0.0, 0.5, 0.0)))[0, 3]
    assert turned.mean() > 0.1 and turned[:24, :24].max() < 0.01
    talking = renderer.draw(moved(track, expression=blended(jawOpen=0.8)))[0, 3]
    x, y = renderer.photo.vertex_pixels[LIP_MIDDLES].mean(0).long().tolist()
    assert talking[y + 6 : y + 16, x - 5 : x + 5].max() < 0.61  # the mouth's inside keeps its detail
    assert talking[y + 30 : y + 90, x - 5 : x + 5].max() > 0.9  # lip and chin are stretched


@pytest.fixture(scope="module")
def smiling(noise):
    """A photograph of white teeth over a dark mouth between parted lips: renderer, track, crop, landmarks."""
    _, track, _ = noise
    return white_teeth(moved(track, expression=blended(jawOpen=0.3, mouthUpperUp=0.4)), 0.6)


def white_teeth(track, share):
    """As `smiling`, with teeth over a share of the opening."""
    points = landmarks(track.coefficients, track.gaze)[0] * 2
    y, x = torch.meshgrid(torch.arange(512) + 0.5, torch.arange(512) + 0.5, indexing="ij")
    within = inside_polygon(torch.stack([x, y], -1), inner_lips(points), 0.0) > 0
    crop = torch.tensor([0.4, 0.1, 0.0])[:, None, None].repeat(1, 512, 512)
    upper, lower = points[LIP_MIDDLES, 1]
    edge = upper + share * (lower - upper)
    crop[:, within & (y < edge)] = 0.8
    crop[:, within & (y >= edge)] = -0.9
    return ReprojectionRenderer(FACE, crop, points, track), track, crop, points


def test_a_mouth_that_is_open_as_in_the_photograph_is_the_photograph(smiling):
    renderer, track, crop, points = smiling
    x, y = points[LIP_MIDDLES, :2].mean(0).long().tolist()
    apart = (renderer(track)[0] - crop)[:, y - 40 : y + 40, x - 60 : x + 60].abs().amax(0)
    assert (apart > 0.02).sum() <= 1 and apart.max() < 0.03  # a pixel where the lips' triangles meet


@pytest.mark.parametrize("side", [256, 768])
def test_crops_of_other_sizes_show_the_same(smiling, side):
    renderer, track, crop, points = smiling
    resized = torch.nn.functional.interpolate(crop[None], size=side, mode="bilinear", antialias=True)[0]
    other = ReprojectionRenderer(FACE, resized, points * (side / 512), track)
    turned = moved(track, angles=(0.1, 0.2, 0.0), expression=blended(eyeBlink=1.0))
    own, larger = renderer.draw(turned), other.draw(turned)
    assert larger.shape == (1, 4, side, side)
    small = torch.nn.functional.interpolate(larger, size=128, mode="area")
    assert (small - torch.nn.functional.interpolate(own, size=128, mode="area")).abs().mean() < 0.02


def test_teeth_of_the_photograph_stay_with_the_skull(smiling):
    renderer, track, crop, points = smiling
    wider = renderer(moved(track, expression=blended(jawOpen=0.15)))[0].mean(0)
    x, top = points[UPPER_LIP_MIDDLE, :2].long().tolist()
    column = wider[top : top + 60, x - 3 : x + 4].mean(1)
    before = crop.mean(0)[top : top + 60, x - 3 : x + 4].mean(1)
    ends = [(row < 0.3).nonzero()[:, 0] for row in (column, before)]
    now, then = (int(end[end > 2][0]) for end in ends)
    assert abs(now - then) <= 1


def test_upper_teeth_end_where_they_do_in_the_photograph_of_a_raised_head(noise):
    _, track, _ = noise
    track = moved(track, angles=(-0.15, 0.0, 0.0), expression=blended(jawOpen=0.3, mouthUpperUp=0.4))
    renderer, _, _, points = white_teeth(track, 0.75)
    teeth = project(FACE.model, renderer.photo.shape[None], track)[0, FACE.parts["upper_teeth"], 1].view(4, 13)
    upper, lower = points[LIP_MIDDLES, 1]
    edge = upper + 0.75 * (lower - upper)
    end = torch.lerp(teeth[0, 6], teeth[-1, 6], UPPER_TEETH.edge)  # of the incisors; molars lie deeper
    assert float(end) == pytest.approx(float(edge), abs=1.5)


def test_teeth_behind_shut_lips_bite_and_the_upper_ones_show_when_lips_part(noise):
    points, track = photographed()
    low = track.replace(coefficients=track.coefficients.replace(expression=blended(jawOpen=-0.3)))  # as some chins fit
    renderer = ReprojectionRenderer(FACE, noise[2], points, low)
    upper, lower = (renderer.photo.shape[FACE.parts[name], 1] for name in ("upper_teeth", "lower_teeth"))
    at_rest = FACE.model.mean_shape[:, 1]
    most = at_rest[FACE.parts["lower_teeth"]].amax() - at_rest[FACE.parts["upper_teeth"]].amin()
    assert lower.amax() - upper.amin() <= most + 1e-5
    parted = moved(low, expression=blended(jawOpen=0.3))
    (x, top), (_, bottom) = lip_middles(renderer, parted).tolist()
    between = renderer(parted)[0, 0, round(top) : round(bottom), round(x) - 3 : round(x) + 3].mean(1)
    assert between[: len(between) // 2].amax() > between[len(between) // 2 : -3].amin() + 0.3  # teeth above a gap


def test_lips_that_part_show_neither_black_nor_bright_teeth(noise):
    renderer, track, _ = noise
    for share in (0.07, 0.4):
        motion = moved(track, expression=blended(jawOpen=share))
        x, y = lip_middles(renderer, motion).mean(0).long().tolist()
        inside = renderer(motion)[0, :, y, x - 4 : x + 4]
        assert inside.mean() < 0.2 and inside[0].min() > -0.95


def test_defocus_grows_with_the_blur_of_a_photograph():
    sharp = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1))
    values = [defocus(blur(sharp[None], sigma)[0]) for sigma in (0.5, 1.0, 2.0)]
    assert values == sorted(values) and values[0] < 0.6 and values[2] > 1


@pytest.mark.parametrize("tint", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.65)])
def test_synthesised_pixels_of_a_monochrome_photograph_have_its_tone(noise, tint):
    renderer, track, _ = noise_source(tint)
    motion = moved(track, expression=blended(jawOpen=0.4))
    opened = (renderer(motion)[0] + 1) / torch.tensor(tint)[:, None, None]
    assert (opened.amax(0) - opened.amin(0)).max() < 0.06
    hues = noise[0](motion)[0]
    assert (hues.amax(0) - hues.amin(0)).max() > 0.2  # another photograph keeps its hues
