"""What is hidden for a while keeps its last shape."""

import numpy as np
import pytest
import torch
from support.scenes import WITHOUT, moved, needs_faces
from support.tracks import still

from mimaface.mimaface_core.face.occlusion import REGIONS, Visibility, hold_hidden
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups

OWN = expression_groups("procedural")
JAW, LID = blendshape("jaw_open"), blendshape("upper_lid_right")


def speaking(count=60):
    """A mouth that opens and shuts all the time, and lids that do."""
    expression = torch.zeros(count, 64)
    expression[:, JAW] = 0.4 + 0.3 * torch.sin(torch.arange(count) * 0.7)
    expression[:, LID] = 0.2 + 0.1 * torch.sin(torch.arange(count) * 0.9)
    return still(count, expression=expression)


def test_a_hidden_mouth_holds_and_eases_back_and_the_lids_go_on():
    track = speaking()
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[20:40, 0] = False
    before, after = track.coefficients.expression, hold_hidden(track, seen, OWN).coefficients.expression
    assert torch.equal(after[:20], before[:20]) and torch.equal(after[50:], before[50:])
    assert (after[20:40, JAW] == before[19, JAW]).all()
    assert torch.equal(after[:, LID], before[:, LID])
    assert after[:, JAW].diff().abs().max() <= before[:, JAW].diff().abs().max() + 1e-6


def test_hidden_at_the_beginning_takes_the_first_that_is_seen_and_never_seen_stays():
    track = speaking()
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[:10, 0] = False
    after = hold_hidden(track, seen, OWN).coefficients.expression[:, JAW]
    assert (after[:10] == track.coefficients.expression[10, JAW]).all()
    never = hold_hidden(track, torch.zeros(60, 3, dtype=torch.bool), OWN)
    assert torch.equal(never.coefficients.values, track.coefficients.values)


def test_gaze_behind_a_lens_holds():
    track = speaking()
    track = track.replace(gaze=torch.randn(60, 4, generator=torch.Generator().manual_seed(0)) * 0.05)
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[30:, 2] = False
    after = hold_hidden(track, seen, OWN).gaze
    assert torch.equal(after[:, :2], track.gaze[:, :2]) and (after[30:, 2:] == track.gaze[29, 2:]).all()


@needs_faces
@pytest.mark.parametrize("what", ["nothing", "hand", "box", "lenses"])
def test_covers_are_noticed_and_clear_faces_are_not(what):
    import cv2

    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.face.follow import still_landmarks

    points = still_landmarks(torch.from_numpy(moved(size=(320, 320))), face_tracker())
    watch = Visibility()
    for i in range(30):
        image = (moved(size=(320, 320)) * (1 - 0.01 * i)).astype(np.uint8)
        if 10 <= i < 20:
            x, y = points[13, :2].int().tolist()
            if what == "hand":  # skin of the forehead
                colour = image[int(points[151, 1]), int(points[151, 0])].tolist()
                cv2.ellipse(image, (x, y), (34, 26), 0, 0, 360, colour, -1)
            elif what == "box":
                cv2.rectangle(image, (x - 40, y - 25), (x + 40, y + 30), (90, 90, 90), -1)
            elif what == "lenses":
                for eye in (468, 473):
                    cv2.circle(image, tuple(points[eye, :2].int().tolist()), 20, (15, 15, 15), -1)
        watch.add(torch.from_numpy(image), points)
    seen = watch.seen()
    hidden = {"nothing": [], "hand": [0], "box": [0], "lenses": [1, 2]}[what]
    for region in range(len(REGIONS)):
        assert bool(seen[12:18, region].any()) == (region not in hidden)
        assert seen[:7, region].all() and seen[23:, region].all()


@pytest.mark.skipif("cv2" in WITHOUT, reason="needs cv2")
def test_a_clip_of_a_few_frames_tells_nothing():
    watch = Visibility()
    watch.add(torch.zeros(32, 32, 3, dtype=torch.uint8), torch.rand(478, 3) * 30)
    assert watch.seen() is None
