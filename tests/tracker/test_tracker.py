"""The bundled face tracker: faces found any way up, landmarks in their places, doubts where something hides them."""

import numpy as np
import pytest
from PIL import Image
from support.pretend_gpu import pretend_gpu
from support.scenes import moved, needs_faces, nodding, noise, portrait

from mimaface.mimaface_core.face.bundled_tracker import BundledTracker
from mimaface.mimaface_core.morphable.bundled.face_mesh import (
    FACE_POINTS,
    LEFT_EYE_OUTER,
    LOWER_LIP_POINTS,
    RIGHT_EYE_OUTER,
    RIGHT_LOWER_LID,
    RIGHT_UPPER_LID,
    UPPER_LIP_POINTS,
)
from mimaface.mimaface_core.tracker.regions import Square, standing_roll

LIPS = UPPER_LIP_POINTS + LOWER_LIP_POINTS
LIDS = RIGHT_UPPER_LID + RIGHT_LOWER_LID


def eyes(landmarks):
    return np.linalg.norm(landmarks[RIGHT_EYE_OUTER, :2] - landmarks[LEFT_EYE_OUTER, :2])


def apart(a, b, points=range(FACE_POINTS)):
    """Mean distance of landmarks, over that of the eyes."""
    return np.linalg.norm((a - b)[list(points), :2], axis=1).mean() / eyes(b)


def largest(image):
    return BundledTracker().still(np.ascontiguousarray(image))[0]


def test_squares_stand_upright_and_turn_back():
    square = Square(30.0, 40.0, 20.0, 90.0)
    matrix = square.matrix(10)
    centre = matrix[:, :2] @ [30, 40] + matrix[:, 2]
    assert np.allclose(centre, 5)
    above = matrix[:, :2] @ [20, 40] + matrix[:, 2]  # a face turned anticlockwise by 90° has its top on the left
    assert np.allclose(above, [5, 0])


@needs_faces
@pytest.mark.parametrize("angle", [0, 37, 90, 145, 180, 250, 315])
def test_faces_are_found_any_way_up(angle):
    upright, turned = largest(moved(size=(320, 320))), largest(moved(angle, size=(320, 320)))
    around = np.radians(angle)
    matrix = np.array([[np.cos(around), np.sin(around)], [-np.sin(around), np.cos(around)]])
    centre = np.array([160, 0.45 * 320])
    wanted = (upright.landmarks[:, :2] - centre) @ matrix.T + centre
    off = np.linalg.norm(turned.landmarks[:FACE_POINTS, :2] - wanted[:FACE_POINTS], axis=1).mean()
    assert off < 0.05 * eyes(upright.landmarks)
    assert abs((standing_roll(turned.landmarks) - standing_roll(upright.landmarks) - angle + 180) % 360 - 180) < 4


@needs_faces
@pytest.mark.parametrize("size", [28, 60, 200])
def test_faces_are_found_in_any_size(size):
    head = portrait()[20:220, 120:320]  # its face is about half as high
    side = round(size * 200 / 105)
    picture = np.full((360, 480, 3), 90, np.uint8)
    top, left = (20, 30) if side < 340 else (0, 0)
    small = np.array(Image.fromarray(head).resize((side, side), Image.Resampling.LANCZOS))[: 360 - top, : 480 - left]
    picture[top : top + small.shape[0], left : left + small.shape[1]] = small
    found = largest(picture).landmarks
    wanted = (largest(head).landmarks[:, :2] * side / 200) + [left, top]
    assert apart(found, np.hstack([wanted, wanted[:, :1]])) < 0.09


@needs_faces
def test_several_faces_are_found_each_once():
    head = np.array(Image.fromarray(moved()).resize((120, 120)))
    faces = BundledTracker().still(np.tile(head, (2, 3, 1)))
    assert len(faces) == 6
    assert BundledTracker().still(noise((400, 300))) == []


@needs_faces
def test_landmarks_lie_where_mediapipe_has_them():
    pytest.importorskip("mediapipe")
    from mimaface.mimaface_core.face.detect import face_tracker

    for picture in (portrait(), moved(12, 0.9), moved(-20, 1.1, (8, -5))):
        (other, *_), own = face_tracker("mediapipe").still(picture), largest(picture)
        assert apart(own.landmarks, other.landmarks) < 0.035
        assert apart(own.landmarks, other.landmarks, LIPS) < 0.035
        assert apart(own.landmarks, other.landmarks, LIDS) < 0.025
        assert apart(own.landmarks, other.landmarks, [468, 473]) < 0.03
        depth = np.corrcoef(own.landmarks[:FACE_POINTS, 2], other.landmarks[:FACE_POINTS, 2])[0, 1]
        assert depth > 0.95


@needs_faces
def test_what_is_covered_is_called_hidden_and_doubted():
    picture = moved(size=(320, 320))
    clear = largest(picture)
    x, y = clear.landmarks[LIPS, :2].mean(0).astype(int)
    size = int(eyes(clear.landmarks) * 0.45)
    covered = picture.copy()
    covered[y - size : y + size, x - size : x + size] = [40, 90, 60]
    hidden = largest(covered)
    assert clear.seen[LIPS].mean() > 0.8 and hidden.seen[LIPS].mean() < 0.4
    assert hidden.deviation[LIPS].mean() > 1.3 * clear.deviation[LIPS].mean()
    assert hidden.seen[LIDS].mean() > 0.6
    assert hidden.trust(0.03)[LIPS].mean() < 0.5 * clear.trust(0.03)[LIPS].mean()
    height = [np.ptp(face.landmarks[:FACE_POINTS, 1]) for face in (clear, hidden)]
    assert abs(height[1] / height[0] - 1) < 0.1


@needs_faces
def test_a_face_is_followed_without_searching_for_it(monkeypatch):
    tracker, heads = BundledTracker(), nodding(24)
    alone = [largest(head).landmarks for head in heads[1:]]
    tracker.start_clip()
    tracker.frame(heads[0])
    searches = []
    monkeypatch.setattr(BundledTracker, "_searched", lambda self, *rest: searches.append(1) or [])
    for head, landmarks in zip(heads[1:], alone, strict=True):
        (face,) = tracker.frame(head)
        assert apart(face.landmarks, landmarks) < 0.03
    assert len(searches) == 2


@needs_faces
def test_frames_that_are_looked_at_at_once_show_the_same():
    heads, one, several = nodding(16), BundledTracker(), BundledTracker()
    heads[9] = noise()
    one.start_clip()
    several.start_clip()
    for i, head in enumerate(heads):
        if i % 8 == 0:
            several.prepare(heads[i : i + 8])
        alone, together = one.frame(head), several.frame(head)
        assert len(alone) == len(together) == (0 if i == 9 else 1)
        if i != 9:
            assert apart(together[0].landmarks, alone[0].landmarks) < 0.02


@needs_faces
def test_a_still_face_keeps_still_and_noise_does_not_shake_it():
    tracker, rng = BundledTracker(), np.random.default_rng(0)
    tracker.start_clip()
    heads = [(moved() + rng.normal(0, 4, (256, 256, 3))).clip(0, 255).astype(np.uint8) for _ in range(16)]
    points = np.stack([tracker.frame(head)[0].landmarks[:, :2] for head in heads])[6:]
    assert np.sqrt(points.var(0).sum(-1)).mean() < 0.004 * eyes(points[0])


@needs_faces
def test_a_face_that_is_gone_is_not_kept():
    tracker = BundledTracker()
    tracker.start_clip()
    assert len(tracker.frame(moved())) == 1
    assert tracker.frame(noise()) == []
    assert len(tracker.frame(moved())) == 1


@needs_faces
def test_faces_are_found_and_followed_on_a_gpu():
    def seen():
        tracker = BundledTracker()
        tracker.start_clip()
        return [*tracker.still(portrait()), *tracker.frame(moved()), *tracker.frame(moved(8))]

    expected = seen()
    with pretend_gpu():
        found = seen()
    assert len(found) == len(expected) == 3
    for one, other in zip(found, expected, strict=True):
        assert apart(one.landmarks, other.landmarks) < 0.004 and abs(one.score - other.score) < 0.01


def test_pictures_of_any_shape_are_searched():
    tracker = BundledTracker()
    for shape in ((1, 1, 3), (1, 900, 3), (900, 3, 3), (7, 9, 3), (2000, 60, 3)):
        assert tracker.still(np.zeros(shape, np.uint8)) == []
        tracker.start_clip()
        assert tracker.frame(np.full(shape, 255, np.uint8)) == []
