"""Landmarks that a tracker lets slide over the skin are brought back to it."""

import math

import numpy as np
import pytest
import torch
from support.scenes import WITHOUT

from mimaface.mimaface_core.face import slip as module
from mimaface.mimaface_core.face.crop import transform_points
from mimaface.mimaface_core.face.slip import Slip
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.face_mesh import EYE_CORNERS, FACE_POINTS, IRIS_CENTRES

pytestmark = pytest.mark.skipif("cv2" in WITHOUT, reason="needs cv2")
SIDE = 400


def face():
    """Landmarks [478, 3] of the mean face in the middle of a picture of SIDE pixels, the eyes 110 apart."""
    points = bundled_face().model.mean_shape[:FACE_POINTS].clone()
    points = torch.cat([points, *(points[corners].mean(0).expand(5, 3) for corners in EYE_CORNERS)])
    points = points * torch.tensor([1.0, -1.0, -1.0]) * (110 / (points[33] - points[263]).norm())
    return points - points.mean(0) + torch.tensor([SIDE / 2, SIDE / 2, 0.0])


def skin():
    """A picture float [SIDE, SIDE, 3] with pores."""
    import cv2

    grain = np.random.default_rng(3).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    return np.repeat((0.6 + 0.5 * cv2.GaussianBlur(grain, (0, 0), 3))[..., None], 3, 2)


def moved(picture, turn=0.0, zoom=1.0, shift=(0.0, 0.0)):
    """The picture and the face in it, turned in degrees about the middle, zoomed and shifted."""
    import cv2

    matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), turn, zoom)
    matrix[:, 2] += shift
    frame = cv2.warpAffine(picture, matrix, (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT)
    return torch.from_numpy(frame), transform_points(torch.from_numpy(matrix).float(), face())


def clip(frames=12):
    """Frames of a head that sways, with the points of its skin."""
    picture = skin()
    return [moved(picture, 6 * math.sin(i / 3), 1 + 0.004 * i, (2.0 * i, 4 * math.sin(i / 2))) for i in range(frames)]


def slid(points, i):
    """What a tracker makes of it: the nose and all around it are taken along by a glance."""
    away = torch.tensor([4 * math.sin(i / 2), 3 * math.sin(i / 4), 0.0])
    near = torch.exp(-((points[:, :2] - points[4, :2]).norm(dim=1) / 150).square())
    return points + near[:, None] * away


def distances(found, truth):
    """Mean distance of the face's points over all frames, pixels."""
    return float(torch.stack([(a - b)[:FACE_POINTS, :2].norm(dim=1) for a, b in zip(found, truth, strict=True)]).mean())


def held(frames, points):
    slip = Slip()
    return [slip.add(frame, landmarks) for frame, landmarks in zip(frames, points, strict=True)]


@pytest.mark.parametrize("form", ["float", "uint8", "dimmer", "larger"])
def test_slip_is_taken_back(form):
    frames, truth = zip(*clip(), strict=True)
    tracked = [slid(points, i) for i, points in enumerate(truth)]
    scale = 1
    if form == "uint8":
        frames = [(frame.clamp(0, 1) * 255).byte() for frame in frames]
    if form == "dimmer":
        frames = [frame * (1 - 0.04 * i) for i, frame in enumerate(frames)]
    if form == "larger":
        scale = 3
        frames = [frame.repeat_interleave(scale, 0).repeat_interleave(scale, 1) for frame in frames]
        truth, tracked = ([points * scale for points in each] for each in (truth, tracked))
    before, after = distances(tracked, truth), distances(held(frames, tracked), truth)
    assert before > 1.5 * scale and after < 0.35 * before


def test_points_that_lie_on_the_skin_stay_there():
    frames, truth = zip(*clip(), strict=True)
    assert distances(held(frames, truth), truth) < 0.3


def test_irises_go_with_their_eyes():
    frames, truth = zip(*clip(6), strict=True)
    for found, points, i in zip(held(frames, [slid(p, i) for i, p in enumerate(truth)]), truth, range(6), strict=True):
        tracked = slid(points, i)
        for iris, corners in zip(IRIS_CENTRES, EYE_CORNERS, strict=True):
            look, seen = (landmarks[iris] - landmarks[corners].mean(0) for landmarks in (found, tracked))
            assert torch.allclose(look, seen, atol=1e-3)
        assert torch.equal(found[:, 2], tracked[:, 2])


def test_what_passes_before_the_face_takes_no_point_along():
    frames, truth = zip(*clip(), strict=True)
    frames = [frame.clone() for frame in frames]
    for i in range(4, 9):
        frames[i][150:330, 40 * (i - 4) : 40 * (i - 4) + 120] = 0.2
    assert distances(held(frames, truth), truth) < 0.6


@pytest.mark.parametrize("picture", ["noise", "plain"])
def test_where_nothing_can_be_followed_the_tracker_is_believed(picture):
    random = np.random.default_rng(5)
    frames = [random.random((SIDE, SIDE, 3), np.float32) * (picture == "noise") + 0.5 for _ in range(6)]
    tracked = [slid(face(), i) for i in range(6)]
    found = held([torch.from_numpy(frame).float() for frame in frames], tracked)
    assert distances(found, tracked) < 0.5


def test_without_opencv_landmarks_stay(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda _: None)
    frames, truth = zip(*clip(3), strict=True)
    assert all(found is points for found, points in zip(held(frames, truth), truth, strict=True))
