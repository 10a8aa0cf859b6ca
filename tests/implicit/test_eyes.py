"""The eyes of a photograph: what lids that shut and irises that look show of it, on a drawn eye."""

import pytest
import torch

from mimaface.mimaface_core.implicit.eyes import EyePoints, Painted, eye_of, with_eyes
from mimaface.mimaface_core.implicit.face_codes import SHUT

SIZE, LEFT, RIGHT, UPPER, LOWER, BROW = 96, 24, 72, 46.0, 60.0, 20.0
SKIN, WHITE, DARK = 0.3, 0.8, -0.8
COLUMNS = slice(38, 58)  # in which the lids are level


def points():
    x = torch.linspace(LEFT, RIGHT, 13)
    flat = ((x - LEFT) / 6).clamp(max=1).minimum(((RIGHT - x) / 6).clamp(max=1))
    line = lambda y: torch.stack([x, 53 + flat * (y - 53)], 1)
    iris = 48 + 5 * torch.tensor([[0.0, 0], [1, 0], [0, -1], [-1, 0], [0, 1]]) + torch.tensor([0.0, -1.0])
    return EyePoints(line(UPPER), line(LOWER), torch.tensor([[30.0, BROW], [66.0, BROW]]), iris)


def photograph(lashes=0, rim=0):
    """Striped skin around white: dark in some rows above the upper lid, and in some below it; [3, S, S]."""
    image = SKIN + 0.06 * torch.sin(torch.arange(SIZE) * 1.5).repeat(3, SIZE, 1)
    image[:, int(UPPER) : int(LOWER), LEFT:RIGHT] = WHITE
    image[:, int(UPPER) - lashes : int(UPPER), LEFT:RIGHT] = DARK
    image[:, int(UPPER) : int(UPPER) + rim, LEFT:RIGHT] = DARK
    return image


def drawn(image, shut=0.0, gaze=(0.0, 0.0)):
    closed = torch.cat([torch.full((3, SIZE, SIZE), SKIN), torch.ones(1, SIZE, SIZE)])
    painted = Painted(
        closed, torch.full((3, SIZE, SIZE), WHITE), torch.zeros(5, 16, 16), torch.full((3,), DARK), torch.tensor(0.03)
    )
    eye = eye_of(image, points(), painted, torch.tensor(SHUT))
    return with_eyes(image[None], (eye,), torch.tensor([[shut * SHUT]]), torch.tensor([gaze]))[0]


def test_an_eye_at_rest_is_the_photographs():
    image = photograph(lashes=3, rim=2)
    assert (drawn(image) - image).abs().max() < 1e-4


def test_a_lid_that_shuts_is_the_photographs_own_skin():
    shut = drawn(photograph(), 1.0)[:, int(UPPER) : int(LOWER) - 4, COLUMNS]
    assert shut.max() < SKIN + 0.15  # nothing of the eye's white
    assert shut.std(-1).mean() > 0.8 * photograph()[:, 30, COLUMNS].std()  # nor a flat patch


@pytest.mark.parametrize("shut", [0.7, 1.0])
def test_lashes_do_not_stretch_with_the_lid(shut):
    image = photograph(lashes=5)
    lid = drawn(image, shut)[:, 25 : int(UPPER), COLUMNS]
    assert lid.min() > SKIN - 0.35 and image[:, 25 : int(UPPER), COLUMNS].min() == DARK


def test_shut_lids_meet_in_a_line_of_lashes():
    meeting = slice(int(LOWER) - 4, int(LOWER) + 1)
    assert drawn(photograph(), 1.0)[:, meeting, COLUMNS].amin(1).max() < SKIN - 0.5
    assert drawn(photograph(), 0.1)[:, meeting, COLUMNS].min() > SKIN - 0.1


def test_eyes_that_look_down_leave_the_lids_shadow_where_it_was():
    image = photograph(rim=3)
    moved = drawn(image, gaze=(0.0, -0.9))[:, :, COLUMNS]
    assert moved[:, int(UPPER) + 4 : int(LOWER) - 3].min() > 0  # where the shadow came along
    assert moved[:, int(UPPER)].max() < 0.3  # the upper lid's
