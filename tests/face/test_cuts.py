"""Scene cuts: found where the scene changes, not at flashes, fades and movements."""

import numpy as np
import pytest
import torch
from support.scenes import moved, needs_faces, nodding, noise

from mimaface.mimaface_core.face.cuts import AHEAD, with_shots


def shots(images):
    """Shot numbers of images [H, W, 3]."""
    given = list(with_shots(torch.from_numpy(np.ascontiguousarray(image)) for image in images))
    assert all(torch.equal(frame, torch.from_numpy(image)) for (frame, _), image in zip(given, images, strict=True))
    return [shot for _, shot in given]


def scenes(seed, count=12):
    """Frames of one scene that moves a little."""
    wide = np.kron(np.random.default_rng(seed).integers(0, 255, (8, 10, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    return [wide[:, i : i + 128] for i in range(count)]


def test_a_cut_begins_a_shot():
    assert shots(scenes(1) + scenes(2) + scenes(3)) == [0] * 12 + [1] * 12 + [2] * 12
    assert shots([]) == [] and shots(scenes(1, 1)) == [0]


@needs_faces
def test_a_cut_to_another_portrait_begins_a_shot():
    assert shots(nodding(10) + [255 - frame[:, ::-1] for frame in nodding(10)]) == [0] * 10 + [1] * 10


@pytest.mark.parametrize("length", range(1, AHEAD + 1))
def test_a_flash_begins_none(length):
    for flash in (255, 0):
        frames = scenes(1)
        frames[5 : 5 + length] = [np.full_like(frames[0], flash)] * length
        assert set(shots(frames)) == {0}
    frames[-1] = np.full_like(frames[0], 255)
    assert set(shots(frames)) == {0}


@pytest.mark.parametrize("length", (3, 6, 12))
def test_a_fade_and_back_begins_none(length):
    shares = np.concatenate([np.linspace(1, 0, length), np.linspace(0, 1, length)])
    assert set(shots([(frame * share).astype(np.uint8) for frame, share in zip(scenes(1, 2 * length), shares)])) == {0}


def test_movement_and_light_begin_none():
    wide = np.concatenate([scenes(seed, 1)[0] for seed in range(6)], 1)
    panned = [wide[:, x : x + 128] for x in (0, 0, 0, 0, 0, 0, 0, 0, 60, 120, 180, 240, 300, 360, 420, 480)]
    assert set(shots(panned)) == {0}
    assert set(shots([(frame * (0.4 if i > 5 else 1)).astype(np.uint8) for i, frame in enumerate(scenes(1))])) == {0}


@needs_faces
def test_a_head_that_moves_begins_none():
    assert set(shots([moved(20 * np.sin(i), 1 + 0.3 * np.sin(i / 2), (20 * np.cos(i), 0)) for i in range(20)])) == {0}
    assert set(shots([noise()] * 10)) == {0}
