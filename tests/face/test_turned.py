"""Faces as they come: lying, upside down, cut by the image's edge, and pictures without any."""

import numpy as np
import pytest
import torch
from support.scenes import moved, needs_faces, noise, portrait

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.crop import crop_matrix, transform_points, warp
from mimaface.mimaface_core.face.follow import clip_landmarks

pytestmark = needs_faces
EYES, NOSE, CHIN = [33, 263], 1, 152


@pytest.fixture(scope="module")
def tracker():
    from mimaface.mimaface_core.face.detect import face_tracker

    return face_tracker("bundled")


def landmarks(picture, tracker):
    from mimaface.mimaface_core.face.follow import still_landmarks

    return still_landmarks(torch.from_numpy(np.ascontiguousarray(picture)), tracker)


def turned_points(points, turns, width, height):
    """Points [V, 2] of a picture, in one that `np.rot90` turned anticlockwise."""
    x, y = points.T
    return np.stack([(x, y), (y, width - x), (width - x, height - y), (height - y, x)][turns], 1)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_lying_or_upside_down_face_is_read_upright(tracker, turns):
    picture = moved(size=(300, 340))
    upright = landmarks(picture, tracker).numpy()
    found = landmarks(np.rot90(picture, turns), tracker).numpy()
    wanted = turned_points(upright[:, :2], turns, 300, 340)
    eye_distance = np.linalg.norm(wanted[33] - wanted[263])
    assert np.linalg.norm(found[:468, :2] - wanted[:468], axis=1).mean() < 0.05 * eye_distance


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_clip_of_a_turned_head_is_tracked(tracker, turns):
    frames = [np.ascontiguousarray(np.rot90(moved(shift=(3 * i, 0)), turns)) for i in range(4)]
    tracker.start_clip()
    for i, frame in enumerate(frames):
        (face,) = tracker.frame(frame)
        wanted = turned_points(landmarks(moved(shift=(3 * i, 0)), tracker).numpy()[:, :2], turns, 256, 256)
        assert np.linalg.norm(face.landmarks[:468, :2] - wanted[:468], axis=1).mean() < 6


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_lying_head_stands_upright_in_its_crop(tracker, turns):
    picture = np.ascontiguousarray(np.rot90(moved(size=(300, 340)), turns))
    points = landmarks(picture, tracker)
    matrix = crop_matrix(points, 0.56)
    placed = transform_points(matrix, points)
    assert (placed[EYES[1], :2] - placed[EYES[0], :2])[0] > 60 and placed[CHIN, 1] > placed[NOSE, 1] + 30
    box = placed[:468, :2].amax(0) - placed[:468, :2].amin(0)
    assert float(box.max()) == pytest.approx(0.56 * 512, rel=0.05)
    crop = warp(torch.from_numpy(picture).permute(2, 0, 1).float() / 255, matrix)
    again = landmarks((crop.permute(1, 2, 0) * 255).round().byte().numpy(), tracker)
    assert (again[:468, :2] - placed[:468, :2]).norm(dim=1).mean() < 8


@pytest.mark.parametrize("side", ["left", "right", "lower"])
def test_half_a_face_is_refused(tracker, side):
    x, y = landmarks(portrait(), tracker)[NOSE, :2].int().tolist()
    half = {"left": portrait()[:, x:], "right": portrait()[:, :x], "lower": portrait()[:y]}[side]
    with pytest.raises(InputError, match="lies outside the image; use one that shows|No face was found"):
        landmarks(half, tracker)


def test_animals_and_textures_are_no_faces(tracker):
    import skimage

    for picture in (skimage.data.chelsea(), skimage.data.rocket(), noise()):
        with pytest.raises(InputError, match="No face"):
            landmarks(picture, tracker)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_clip_of_an_animal_shows_no_face(tracker, turns):
    import skimage

    cat = np.rot90(skimage.data.chelsea(), turns)
    frames = [torch.from_numpy(np.roll(cat, 3 * i, axis=1)) for i in range(24)]
    assert clip_landmarks(frames, tracker) == [None] * 24


def test_an_animal_that_walks_in_from_the_edge_shows_no_face(tracker):
    import skimage

    cat = skimage.data.chelsea()
    wide = np.pad(cat, ((0, 0), (cat.shape[1], 0), (0, 0)), mode="reflect")
    frames = [torch.from_numpy(wide[:, x : x + cat.shape[1]].copy()) for x in range(0, cat.shape[1], 20)]
    assert clip_landmarks(frames, tracker) == [None] * len(frames)


def test_a_face_that_leaves_the_picture_counts_as_lost_and_comes_back(tracker):
    steps = [0, 15, 30, 45, 60, 75, 90, 75, 60, 45, 30, 15, 0]
    wide = moved(size=(512, 256))
    found = clip_landmarks(
        [torch.from_numpy(wide[:, 128 + x : 384 + x].copy()) for x in [3 * s for s in steps]], tracker
    )
    seen = [face is not None for face in found]
    assert seen[:3] == [True] * 3 and seen[-1] and not any(seen[5:8])
    for face in found:
        assert face is None or float((face[:, 0] < 0).float().mean()) <= 0.2


def test_two_of_a_mirrored_picture_are_two(tracker):
    picture = moved()
    faces = tracker.still(np.concatenate([picture, picture[:, ::-1]], 1))
    assert len(faces) == 2
