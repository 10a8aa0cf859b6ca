"""The outline of a turned head: hidden skin is made from the seen, and what lies around stays around."""

from fractions import Fraction

import pytest
import torch
from support.faces import FACE, blended, landmarks

from mimaface.mimaface_core.face.crop import plane_alignment
from mimaface.mimaface_core.face.fit import fit_landmarks
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    EYE_LANDMARKS,
    LEFT_BROW,
    LEFT_EYE_OUTER,
    MOUTH_CORNERS,
    OVAL,
    RIGHT_TRAGION,
)
from mimaface.mimaface_core.morphable.rasterize import rasterize
from mimaface.mimaface_core.motion.edit import edit
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack
from mimaface.mimaface_core.reprojection.outline import soften_edges
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer
from mimaface.mimaface_core.reprojection.sampling import inside_polygon, line_distance
from mimaface.mimaface_core.tensors import blur

SKIN, WALL, HAIR = (0.2, -0.15, -0.4), (-0.2, 0.25, 0.6), (-0.8, -0.85, -0.9)
TURN = 0.31  # radians
LEFT_JAW, RIGHT_JAW = [361, 288, 397, 365], [132, 58, 172, 136]  # from below the ear to the chin
MARGIN = 4.0  # pixels by which the skin reaches beyond the tracked outline, or ends within it


def portrait(yaw, *, hair=False, narrow=False, **expression):
    """A head turned by `yaw` before a blue wall: renderer, track, crop; `narrow`er than the tracker finds it."""
    coefficients = FaceCoefficients.zeros(1).replace(
        angles=torch.tensor([[0.1, yaw, 0.0]]),
        translation=torch.tensor([[0.0, 0.0, -6.0]]),
        expression=blended(**expression),
    )
    gaze = torch.zeros(1, 4)
    points = landmarks(coefficients, gaze)[0] * 2
    track = MotionTrack(
        *fit_landmarks(FACE, points[None] / 2), plane_alignment(1), torch.ones(1, dtype=torch.bool), Fraction(25)
    )
    y, x = torch.meshgrid(torch.arange(512) + 0.5, torch.arange(512) + 0.5, indexing="ij")
    places = torch.stack([x, y], -1)
    outline = points[OVAL, :2]
    crop = torch.tensor(WALL)[:, None, None].repeat(1, 512, 512)
    if hair:
        cap = (outline - outline.mean(0)) * torch.tensor([1.25, 1.3]) + outline.mean(0)
        brows = outline[:, 1].mean() - 0.3 * (outline[:, 1].amax() - outline[:, 1].mean())
        crop[:, (inside_polygon(places, cap, 0.0) > 0) & (y < brows)] = torch.tensor(HAIR)[:, None]
    on_skin = inside_polygon(places, outline, 0.0) > 0
    on_skin |= line_distance(places, torch.cat([outline, outline[:1]])) < MARGIN
    triangles = FACE.model.triangles[FACE.part_triangles["face"]]
    on_skin |= rasterize(points[None, :468], triangles, 512, 512, near=-torch.inf).mask[0]
    if narrow:
        on_skin = inside_polygon(places, outline, MARGIN) > 0
    crop[:, on_skin] = torch.tensor(SKIN)[:, None]
    for eye in EYE_LANDMARKS.values():
        crop[:, line_distance(places, points[eye.upper_lid, :2]) < 1.2] = -0.9
    crop[:, 480:] = torch.tensor([-0.6, 0.5, -0.2])[:, None, None]  # one more hue, lest it is taken for a sepia print
    crop = blur(crop[None], 0.7)[0]
    return ReprojectionRenderer(FACE, crop, points, track), track, crop


@pytest.fixture(scope="module")
def turned():
    return portrait(0.3, hair=True, eyeBlink=0.8)


def skin_like(image):
    """Bool [H, W]: pixels redder than the wall and lighter than hair."""
    return (image[0] - image[2] > 0.3) & (image[0] > -0.3)


def points_in(renderer, track):
    return renderer._points(renderer.shapes(track), track)[0, :, :2]


def test_without_a_change_the_photograph_stays(turned):
    renderer, track, crop = turned
    assert (renderer(track)[0] - crop).abs().max() < 0.06
    assert (renderer(track)[0] - crop).abs().mean() < 1e-3


def test_a_cheek_that_comes_into_view_is_skin_and_not_what_was_behind_it(turned):
    renderer, track, _ = turned
    back = edit(track, yaw=-TURN)
    image, points = renderer(back)[0], points_in(renderer, back)
    y, x = torch.meshgrid(torch.arange(512) + 0.5, torch.arange(512) + 0.5, indexing="ij")
    cheek = inside_polygon(torch.stack([x, y], -1), points[OVAL], 2.0) > 0
    cheek &= (x > points[LEFT_EYE_OUTER, 0] + 12) & (y > points[LEFT_EYE_OUTER, 1]) & (y < points[MOUTH_CORNERS[1], 1])
    assert cheek.sum() > 500
    assert (image[:, cheek] - torch.tensor(SKIN)[:, None]).abs().max() < 0.1


@pytest.mark.parametrize(("yaw", "jaw"), [(-0.6, LEFT_JAW), (0.6, RIGHT_JAW)])
def test_a_jaw_that_turns_towards_the_viewer_is_skin_to_its_line(yaw, jaw):
    renderer, track, _ = portrait(0.0, narrow=True)
    motion = edit(track, yaw=yaw)
    image, points = renderer(motion)[0], points_in(renderer, motion)
    centre = points[OVAL].mean(0)
    for share in (0.7, 0.8, 0.9, 0.97):
        x, y = torch.lerp(centre, points[jaw], share).long().T
        assert skin_like(image)[y, x].all(), share
    x, y = torch.lerp(centre, points[jaw], 1.2).long().T
    assert not skin_like(image)[y, x].any()


@pytest.mark.parametrize("yaw", [-TURN, TURN])
def test_the_outline_has_no_notch(turned, yaw):
    renderer, track, _ = turned
    motion = edit(track, yaw=yaw)
    image, points = renderer(motion)[0], points_in(renderer, motion)
    top, bottom = points[OVAL, 1].amin() + 12, points[LEFT_BROW, 1].amin()
    rows = skin_like(image)[int(top) : int(bottom)]
    edge = torch.tensor([int(row.nonzero().amax()) for row in rows])
    hull = torch.minimum(edge.cummax(0).values, edge.flip(0).cummax(0).values.flip(0))
    assert (hull - edge).amax() <= 2
    assert edge.diff().abs().amax() <= 5


@pytest.mark.parametrize("yaw", [-0.6, -TURN, TURN, 0.6])
def test_rings_stay_outside_of_the_outline(turned, yaw):
    renderer, track, _ = turned
    points = points_in(renderer, edit(track, yaw=yaw))
    rings = points[FACE.parts["head"]].view(-1, len(OVAL), 2)
    centre = points[OVAL].mean(0)
    unit = torch.nn.functional.normalize(points[OVAL] - centre, dim=1)
    out = ((torch.cat([points[None, OVAL], rings[:4]]) - centre) * unit).sum(-1)
    lateral = [*range(4, 15), *range(22, 33)]
    assert out.diff(dim=0)[:, lateral].min() > -1.0


@pytest.mark.parametrize("yaw", [-TURN, TURN])
def test_nothing_between_shut_lids_is_lighter_than_the_lids(turned, yaw):
    renderer, track, _ = turned
    motion = edit(track, yaw=yaw)
    image, points = renderer(motion)[0], points_in(renderer, motion)
    for eye in EYE_LANDMARKS.values():
        lids = points[eye.upper_lid + eye.lower_lid]
        (left, top), (right, bottom) = lids.amin(0).long() - 1, lids.amax(0).long() + 2
        assert image[0, top:bottom, left:right].max() < SKIN[0] + 0.03
        assert (image[2, top:bottom, left:right]).max() < SKIN[2] + 0.1


def test_hair_over_a_frontal_face_is_not_taken_for_hidden_skin():
    renderer, track, crop = portrait(0.0, hair=True)
    assert renderer.photo.hidden_skin.hidden.max() == 0
    x, y = renderer.photo.vertex_pixels[RIGHT_TRAGION].long().tolist()
    crop = crop.clone()
    crop[:, y - 60 : y + 60, : x + 12] = torch.tensor(HAIR)[:, None, None]
    covered = ReprojectionRenderer(FACE, crop, _landmarks(renderer, track), track)
    motion = edit(track, yaw=TURN)
    x, y = points_in(covered, motion)[RIGHT_TRAGION].long().tolist()
    assert covered(motion)[0, :, y - 3 : y + 4, x - 3 : x + 4].max() < -0.6


def _landmarks(renderer, track):
    return landmarks(track.coefficients, track.gaze)[0] * 2


def test_edges_are_softened_only_where_the_photograph_jumps():
    image = torch.zeros(1, 3, 32, 32)
    image[..., 16:] = 1
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    pixels, cover = torch.stack([x, y], -1)[None], torch.ones(1, 32, 32, dtype=torch.bool)
    same = image.clone()
    face = torch.tensor([[[0.0, 0.0], [32.0, 32.0]]])
    soften_edges(same, pixels, cover, face)
    assert torch.equal(same, image)
    soften_edges(same, torch.where(pixels[..., :1] > 15, pixels + 20, pixels), cover, face)
    assert 0.2 < same[0, 0, 16, 15] < 0.5 < same[0, 0, 16, 16] < 0.8
    assert torch.equal(same[..., :10], image[..., :10])
