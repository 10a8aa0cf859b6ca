"""The chosen face is followed by its likeness where others are near, after it was hidden, and after cuts."""

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from support.machine import slower
from support.scenes import moved, needs_faces, nodding, noise, portrait

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.comfy_landmarks import ConnectedTracker
from mimaface.mimaface_core.face.follow import follow
from mimaface.mimaface_core.face.likeness import signature, unlikeness

ASSETS = Path(__file__).resolve().parents[2] / "assets"
SIDE = 256  # of a head


@lru_cache
def other():
    """Somebody else, uint8 [SIDE, SIDE, 3]."""
    return np.array(Image.open(ASSETS / "laugh.jpg").convert("RGB").resize((SIDE, SIDE)))


def scene(chosen=None, stranger=None, size=(600, 300), wall=110):
    """A wall with up to two people, the stranger in front, at x each."""
    image = np.full((size[1], size[0], 3), wall, np.uint8)
    for head, x in ((moved(), chosen), (other(), stranger)):
        if x is not None:
            x = round(x)
            left, right = max(0, x), min(size[0], x + SIDE)
            image[20 : 20 + SIDE, left:right] = head[:, left - x : right - x]
    return image


def followed(images, tracker=None, index=0):
    from mimaface.mimaface_core.face.detect import face_tracker

    frames = [torch.from_numpy(np.ascontiguousarray(image)) for image in images]
    return list(follow(frames, tracker or face_tracker("bundled"), index))


def middles(images, **options):
    """Middle, in x, of the followed face in each image; None where it is lost."""
    return [
        None if landmarks is None else float(landmarks[:, 0].min() + landmarks[:, 0].max()) / 2
        for _, landmarks, *_ in followed(images, **options)
    ]


def at(x, middle):
    """Whether a face is that of a head at x."""
    return middle is not None and abs(middle - x - SIDE / 2) < SIDE / 4


@needs_faces
def test_people_who_change_places_while_hidden_are_told_apart():
    seen = middles([scene(20, 320)] * 8 + [scene()] * 8 + [scene(320, 20)] * 8)
    assert all(at(20, middle) for middle in seen[:8])
    assert seen[8:16] == [None] * 8
    assert all(at(320, middle) for middle in seen[16:])


@needs_faces
def test_who_passes_in_front_is_not_followed():
    path = np.linspace(0, 1, 30)
    images = [scene(20 + 300 * share, 320 - 300 * share) for share in path]
    for share, middle in zip(path, middles(images), strict=True):
        assert middle is None or at(20 + 300 * share, middle)
    assert middle is not None and at(320, middle)


@needs_faces
def test_a_stranger_in_the_same_place_is_somebody_else():
    seen = middles([scene(20)] * 6 + [scene()] * 6 + [scene(None, 20)] * 6 + [scene(320, 20)] * 6)
    assert seen[6:18] == [None] * 12 and all(at(320, middle) for middle in seen[18:])


@needs_faces
def test_the_face_is_chosen_anew_by_likeness_after_a_cut():
    walls = scene(20, 320), 255 - scene(), scene(320, 20, wall=230)
    images = [walls[0]] * 8 + [np.roll(noise((600, 300)), 70, 1)] * 8 + [walls[2]] * 8
    result = followed(images)
    assert [one.shot for one in result] == [0] * 8 + [1] * 8 + [2] * 8
    assert all(at(320, middle) for middle in middles(images)[16:])


@needs_faces
def test_the_only_face_is_not_lost_by_turning_or_light():
    images = []
    for i in range(24):
        light = np.linspace(0.4 + 0.6 * np.cos(i / 4) ** 2, 1, SIDE)[None, :, None] * [1, 0.9, 0.8 + 0.2 * np.sin(i)]
        images.append((moved(25 * np.sin(i / 3), 1 + 0.2 * np.sin(i / 5)) * light).astype(np.uint8))
    assert None not in middles(images)


@needs_faces
def test_likeness_tells_people_and_not_pictures():
    from mimaface.mimaface_core.face.detect import face_tracker

    tracker = face_tracker("bundled")
    views = [moved(), moved(15, 0.7, (10, 5)), (moved() * [0.5, 0.45, 0.4]).astype(np.uint8), portrait(), other()]
    seen = [signature(np.ascontiguousarray(view), tracker.still(view)[0].landmarks) for view in views]
    assert max(unlikeness(seen[0], same) for same in seen[:4]) < 0.4
    assert unlikeness(seen[0], seen[4]) > 0.8


@needs_faces
@pytest.mark.parametrize("index", (0, 1))
def test_a_mirror_does_not_take_the_face_over(index):
    images = [np.concatenate([head, head[:, ::-1]], 1) for head in nodding(10)]
    assert all(at(index * SIDE, middle) for middle in middles(images, index=index))


@needs_faces
@pytest.mark.parametrize("index", (-1, 0, 3, 7))
def test_one_of_fifty_faces_stays_chosen(index):
    head = np.array(Image.fromarray(moved()).resize((100, 100)))
    images = [np.tile(np.roll(head, i // 2, 1), (5, 10, 1)) for i in range(10)]
    started = time.monotonic()
    seen = middles(images, index=index)
    assert time.monotonic() - started < 20 * slower()
    assert None not in seen and max(seen) - min(seen) < 25
    with pytest.raises(InputError, match="Face 99 was asked for, but only 50 were found; choose"):
        middles(images, index=99)


@needs_faces
def test_a_photograph_in_a_photograph_is_a_face_among_others():
    images = []
    for head in nodding(8):
        image = scene(20)
        image[20 : 20 + SIDE, 20 : 20 + SIDE] = head
        image[60:210, 400:550] = np.array(Image.fromarray(other()).resize((150, 150)))
        images.append(image)
    assert all(at(20, middle) for middle in middles(images, index=-1))
    assert all(middle > 400 for middle in middles(images, index=1))


@needs_faces
@pytest.mark.long
def test_searches_in_a_clip_of_nobody_become_rarer(monkeypatch):
    from mimaface.mimaface_core.face.bundled_tracker import BundledTracker

    tracker, searches = BundledTracker(), []
    monkeypatch.setattr(BundledTracker, "still", lambda self, image: searches.append(1) or [])
    for name in ("prepare", "frame"):  # which find nobody, and take long
        monkeypatch.setattr(BundledTracker, name, lambda self, image: [])
    assert middles([noise()] * 400, tracker=tracker) == [None] * 400
    assert len(searches) == 7  # frames 0, 12, 36, 84, 180, 276, 372


def test_connected_landmarks_go_on_after_a_cut():
    rng = np.random.default_rng(0)
    face = rng.uniform(20, 100, (478, 3))
    face[:, 2] /= 4
    values = [[{"landmarks_xy": face[:, :2] + i, "landmarks_3d": face + [i, i, 0]}] for i in range(24)]
    pictures = [np.kron(rng.integers(0, 255, (8, 8, 3), np.uint8), np.ones((16, 16, 1), np.uint8)) for _ in range(2)]
    result = followed([pictures[0]] * 12 + [pictures[1]] * 12, tracker=ConnectedTracker({"frames": values}), index=-1)
    assert [one.shot for one in result] == [0] * 12 + [1] * 12
    assert all(
        one.landmarks is None or np.allclose(one.landmarks[:, :2], face[:, :2] + i) for i, one in enumerate(result)
    )
