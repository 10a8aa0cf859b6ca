"""What the camera does is none of the head's movement."""

import numpy as np
import pytest
import torch
from support.scenes import WITHOUT

from mimaface.mimaface_core.face.camera import CameraMotion
from mimaface.mimaface_core.face.crop import transform_points

pytestmark = pytest.mark.skipif("cv2" in WITHOUT, reason="needs cv2")
SIDE = 320


def scene(zoom=1.0, pan=(0.0, 0.0), head=(0.0, 0.0), plain=False):
    """A picture uint8 [S, S, 3] of a textured room, zoomed and panned, with a head; and the head's points [478, 3]."""
    import cv2

    random = np.random.default_rng(1)
    room = cv2.resize(
        random.integers(0, 255, (40, 40, 3)).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC
    )
    if plain:
        room[:] = 180
    cv2.ellipse(room, (int(160 + head[0]), int(150 + head[1])), (38, 50), 0, 0, 360, (190, 140, 120), -1)
    matrix = np.array([[zoom, 0, (1 - zoom) * 160 + pan[0]], [0, zoom, (1 - zoom) * 160 + pan[1]]])
    angle = torch.linspace(0, 6.28, 478)
    points = torch.stack([160 + head[0] + 36 * angle.cos(), 150 + head[1] + 48 * angle.sin(), 0 * angle], 1)
    return cv2.warpAffine(room, matrix, (SIDE, SIDE)), transform_points(torch.from_numpy(matrix).float(), points)


def steadied(scenes):
    camera = CameraMotion()
    return [transform_points(camera.add(torch.from_numpy(image), points), points) for image, points in scenes]


def test_a_zoom_and_a_pan_move_no_head():
    first, *others = steadied([scene(1 + 0.02 * i, (2.0 * i, -1.0 * i)) for i in range(12)])
    for points in others:
        assert (points - first)[:, :2].norm(dim=1).max() < 1.5


def test_a_head_that_moves_before_a_standing_camera_does():
    scenes = [scene(head=(2.0 * i, 0.5 * i)) for i in range(10)]
    assert all(torch.allclose(a, b[1], atol=0.3) for a, b in zip(steadied(scenes), scenes, strict=True))


def test_before_a_plain_wall_the_camera_counts_as_standing():
    scenes = [scene(1 + 0.02 * i, plain=True) for i in range(6)]
    assert all(torch.equal(a, b[1]) for a, b in zip(steadied(scenes), scenes, strict=True))
