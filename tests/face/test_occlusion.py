"""What is hidden for a while keeps its last shape."""

import numpy as np
import pytest
import torch
from support.scenes import WITHOUT, moved, needs_faces
from support.tracks import still

from mimaface.mimaface_core.face.occlusion import REGIONS, Visibility, hold_hidden
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.motion.rest import resting_face

OWN = expression_groups("scanned")
JAW, LID = blendshape("jawOpen"), blendshape("eyeBlinkRight")


def speaking(count=60):
    """A mouth that opens and shuts all the time, and lids that do."""
    expression = torch.zeros(count, 64)
    expression[:, JAW] = 0.2 + 0.15 * torch.sin(torch.arange(count) * 0.7)
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


def test_hidden_at_the_beginning_takes_the_first_that_is_seen():
    track = speaking()
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[:10, 0] = False
    after = hold_hidden(track, seen, OWN).coefficients.expression[:, JAW]
    assert (after[:10] == track.coefficients.expression[10, JAW]).all()


def test_what_is_never_seen_rests():
    track = speaking()
    track = track.replace(gaze=torch.randn(60, 4, generator=torch.Generator().manual_seed(0)) * 0.05)
    never = hold_hidden(track, torch.zeros(60, 3, dtype=torch.bool), OWN)
    columns = [*OWN.mouth, *OWN.eyes]
    expression = never.coefficients.expression[:, columns]
    assert torch.equal(expression, expression[:1].expand_as(expression))
    assert (resting_face(never, OWN).expression[:, columns] - expression[:1]).abs().max() < 0.02
    assert not never.gaze.any()


def test_an_eye_that_is_never_seen_does_as_the_other():
    track = speaking()
    seen = torch.ones(60, 3, dtype=torch.bool)
    seen[:, 2] = False
    after = hold_hidden(track, seen, OWN)
    right, left = (after.coefficients.expression[:, side] for side in OWN.lids)
    assert torch.equal(left, right) and torch.equal(right, track.coefficients.expression[:, OWN.lids[0]])
    assert torch.equal(after.gaze[:, 2:], track.gaze[:, :2])


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


@needs_faces
@pytest.mark.parametrize("what", ["nothing", "grey", "dim", "white mask", "blue mask", "dark lenses", "one lens"])
def test_what_is_covered_throughout_is_noticed(what):
    import cv2

    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.face.follow import still_landmarks

    clear = moved(size=(320, 320))
    points = still_landmarks(torch.from_numpy(clear), face_tracker())
    image = clear.copy()
    outline = points[[234, 132, 172, 152, 397, 361, 454, 280, 197, 50], :2].int().numpy()
    if what.endswith("mask"):
        cv2.fillPoly(image, [cv2.convexHull(outline)], (215, 215, 212) if "white" in what else (120, 165, 200))
    elif what.endswith(("lens", "lenses")):
        for eye in (468, 473)[: 1 if "one" in what else 2]:
            cv2.circle(image, tuple(points[eye, :2].int().tolist()), 22, (18, 18, 18), -1)
    elif what == "grey":
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    elif what == "dim":
        image = (image * 0.2).astype(np.uint8)
    watch = Visibility()
    for i in range(12):
        watch.add(torch.from_numpy((image * (1 - 0.01 * i)).astype(np.uint8)), points)
    hidden = {"white mask": [0], "blue mask": [0], "dark lenses": [1, 2], "one lens": [1]}.get(what, [])
    assert watch.seen().all(0).tolist() == [region not in hidden for region in range(3)]


@needs_faces
def test_a_mask_that_is_put_on_hides_the_mouth_alone():
    """It covers the cheeks as well, which tell the light."""
    import cv2

    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.face.follow import still_landmarks

    points = still_landmarks(torch.from_numpy(moved(size=(320, 320))), face_tracker())
    outline = cv2.convexHull(points[[234, 132, 172, 152, 397, 361, 454, 280, 197, 50], :2].int().numpy())
    watch = Visibility()
    for i in range(40):
        image = moved(size=(320, 320)).copy()
        if i >= 25:
            cv2.fillPoly(image, [outline], (120, 165, 200))
        watch.add(torch.from_numpy((image * (0.7 + 0.3 * (i % 5) / 4)).astype(np.uint8)), points)
    seen = watch.seen()
    assert seen[:22].all() and not seen[28:, 0].any() and seen[:, 1:].all()


@pytest.mark.skipif("cv2" in WITHOUT, reason="needs cv2")
def test_a_clip_of_a_few_frames_tells_nothing():
    watch = Visibility()
    watch.add(torch.zeros(32, 32, 3, dtype=torch.uint8), torch.rand(478, 3) * 30)
    assert watch.seen() is None
