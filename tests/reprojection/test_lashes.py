"""Lashes of lids that come down: found in the photograph, drawn where lids meet, and nowhere else."""

import torch
from support.faces import FACE, blended, photographed

from mimaface.mimaface_core.morphable.bundled.face_mesh import EYE_LANDMARKS
from mimaface.mimaface_core.motion.edit import CROP_SIZE
from mimaface.mimaface_core.reprojection.lashes import Lashes, draw_lashes, find_lashes
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer
from mimaface.mimaface_core.reprojection.sampling import line_distance, pixel_box

SKIN, DARK = 0.4, -0.7
POINTS, TRACK = photographed()
LIDS = [POINTS[eye.upper_lid, :2] for eye in EYE_LANDMARKS.values()]


def portrait(thickness):
    """Even skin [3, 512, 512] with dark lines of that many pixels along the upper lids."""
    centres = pixel_box(torch.tensor([[0, 0], [CROP_SIZE, CROP_SIZE]]), 0, CROP_SIZE).centres
    lashes = torch.stack([line_distance(centres, lid) < thickness / 2 for lid in LIDS]).any(0)
    return torch.where(lashes, DARK, SKIN).expand(3, -1, -1)


def test_lashes_are_found_with_their_colour_and_thickness():
    thin, thick = (find_lashes(portrait(size), POINTS, 0) for size in (2, 6))
    assert torch.allclose(thick.colour, torch.full((2, 3), DARK), atol=0.15)
    assert thin.thickness < 0.8 * thick.thickness
    assert find_lashes(portrait(2), POINTS, 1.5).thickness > 1.3 * thin.thickness  # as soft as the photograph


def test_shut_lids_have_a_dark_line_where_they_meet_and_skin_above():
    renderer = ReprojectionRenderer(FACE, portrait(6), POINTS, TRACK)
    posed = renderer.pose(TRACK.replace(coefficients=TRACK.coefficients.replace(expression=blended(eyeBlink=1))))
    image = renderer.draw_posed(posed)[0, :3].mean(0)
    for eye in EYE_LANDMARKS.values():
        lid = posed.points[0, eye.upper_lid, :2]
        width = (lid[-1] - lid[0]).norm()
        seam = [image[round(float(y)) - 2 : round(float(y)) + 3, round(float(x))].amin() for x, y in lid[1:-3]]
        above = [image[round(float(y - 0.15 * width)), round(float(x))] for x, y in lid[2:-2]]
        assert max(seam) < -0.2 and min(above) > SKIN - 0.2, (seam, above)


def drawn(points, closure):
    image = torch.full((1, 3, CROP_SIZE, CROP_SIZE), SKIN)
    lashes = Lashes(torch.full((2, 3), DARK), torch.tensor(0.03))
    draw_lashes(image, torch.ones_like(image[:, :1]), lashes, points[None], torch.tensor([closure]))
    return image


def test_lashes_come_with_the_lid_and_stay_beside_it():
    assert (drawn(POINTS, (0.0, 0.0)) == SKIN).all()
    half, shut = drawn(POINTS, (0.5, 0.0)), drawn(POINTS, (1.0, 0.0))
    assert half.min() > shut.min() > DARK - 1e-6 and half.min() < SKIN - 0.3
    centres = pixel_box(torch.tensor([[0, 0], [CROP_SIZE, CROP_SIZE]]), 0, CROP_SIZE).centres
    width = (LIDS[0][-1] - LIDS[0][0]).norm()
    assert (shut[0][:, line_distance(centres, LIDS[0]) > 0.4 * width] > SKIN - 0.02).all()


def test_both_eyes_have_lashes_alike():
    mirrored = POINTS * torch.tensor([-1.0, 1, 1]) + torch.tensor([CROP_SIZE, 0, 0])
    swapped = mirrored.clone()
    for here, there in zip(EYE_LANDMARKS.values(), list(EYE_LANDMARKS.values())[::-1], strict=True):
        swapped[here.upper_lid] = mirrored[there.upper_lid]
    assert torch.allclose(drawn(swapped, (0.0, 1.0)).flip(-1), drawn(POINTS, (1.0, 0.0)), atol=1e-3)


def test_an_eye_seen_from_the_side_is_drawn_without_harm():
    flat = POINTS.clone()
    flat[:, 0] = flat[0, 0]
    assert drawn(flat, (1.0, 1.0)).isfinite().all()
