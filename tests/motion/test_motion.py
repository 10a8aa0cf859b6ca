"""Smoothing, editing and plots of motion, and the sign conventions of angles and gaze."""

import math

import numpy as np
import pytest
import torch
from support.scenes import moved, needs_faces, nodding, portrait
from support.tracks import same, still, track

from mimaface.mimaface_core import load_pack, measure
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.media.frames import Frames
from mimaface.mimaface_core.morphable.bundled.blendshapes import blendshape, blendshapes
from mimaface.mimaface_core.morphable.bundled.controls import EXPRESSION_SLIDERS
from mimaface.mimaface_core.morphable.bundled.face import bundled_face
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.morphable.bundled.sliders import (
    mirrored,
    slider_expression,
)
from mimaface.mimaface_core.motion.edit import edit
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.plot import plot
from mimaface.mimaface_core.motion.smooth import smooth
from mimaface.mimaface_core.motion.track import FaceCoefficients
from mimaface.mimaface_core.plotting import plot_over
from mimaface.mimaface_core.tensors import to_float

LID = blendshape("eyeBlinkRight")
OWN, ANY = expression_groups("scanned"), ExpressionGroups()


# --- smoothing


def test_a_resting_face_rests():
    same(smooth(still(), OWN, 1, 1, 1), still())


def test_nothing_is_delayed():
    forwards = track(size=0.02)
    backwards = smooth(forwards[list(range(19, -1, -1))], OWN, 1, 1, 1)
    same(backwards[list(range(19, -1, -1))], smooth(forwards, OWN, 1, 1, 1))


def test_a_blink_of_three_frames_keeps_its_depth():
    expression = still().coefficients.expression.clone()
    rest = expression[0, LID].clone()
    expression[19:22, LID] += torch.tensor([0.5, 1.0, 0.5])
    after = smooth(still(expression=expression), OWN, 1, 1, 1).coefficients.expression[:, LID]
    assert after[20] - rest >= 0.9 and after[[18, 22]].sub(rest).abs().max() < 0.05


def test_a_quick_turn_keeps_its_size_and_its_moment():
    angles = torch.zeros(40, 3)
    angles[20:, 1] = 0.3
    turned = smooth(still(angles=angles), ANY, 1, 1, 1).coefficients.angles[:, 1]
    assert turned[19] < 0.02 and turned[20] > 0.28


def test_trembling_falls_and_strength_0_does_nothing():
    generator = torch.Generator().manual_seed(0)
    noise = {
        "angles": 0.006 * torch.randn(200, 3, generator=generator),
        "expression": 0.03 * torch.randn(200, 64, generator=generator),
    }
    shaken = still(200, **noise)
    shaken = shaken.replace(gaze=shaken.gaze + 0.008 * torch.randn(200, 4, generator=generator))
    same(smooth(shaken, OWN, 0, 0, 0), shaken, 1e-7)
    steady = smooth(shaken, OWN, 1, 1, 1)

    def jitter(values):
        return values.diff(dim=0).std(0).mean()

    assert jitter(steady.coefficients.angles) < 0.4 * jitter(shaken.coefficients.angles)
    assert jitter(steady.coefficients.expression) < 0.7 * jitter(shaken.coefficients.expression)
    assert jitter(steady.gaze) < 0.5 * jitter(shaken.gaze)


def test_a_track_of_one_frame_can_be_smoothed():
    same(smooth(track(1), ANY), track(1))


# --- editing


def drawn(motion):
    """Where the camera sees the model: [V, 2], pixels of the 256 plane, y down, and depth [V]."""
    face, c = bundled_face(), motion.coefficients
    shape = face.turn_eyes(face.model.shape(c.identity, c.expression), motion.gaze)
    points = face.model.project(face.model.transform(shape, c.angles, c.translation))[0]
    return points


NOSE, CHIN, FOREHEAD, RIGHT_EYE, LEFT_EYE = 1, 152, 10, 33, 263
REST = still(1).replace(coefficients=FaceCoefficients.zeros(1), gaze=torch.zeros(1, 4))


def test_head_sliders_go_where_their_names_say():
    rest = drawn(REST)
    middle = rest[[RIGHT_EYE, LEFT_EYE], 0].mean()
    yaw, pitch, roll = (drawn(edit(REST, **{name: math.radians(15)})) for name in ("yaw", "pitch", "roll"))
    assert yaw[NOSE, 0] - yaw[[RIGHT_EYE, LEFT_EYE], 0].mean() > rest[NOSE, 0] - middle + 5
    assert pitch[NOSE, 1] - pitch[CHIN, 1] < rest[NOSE, 1] - rest[CHIN, 1]  # nose further above the chin
    assert pitch[FOREHEAD, 2] > rest[FOREHEAD, 2] and pitch[CHIN, 2] < rest[CHIN, 2]
    assert roll[FOREHEAD, 0] > rest[FOREHEAD, 0] + 5 and roll[CHIN, 0] < rest[CHIN, 0] - 5
    # a tenth of the plane, a little more for what is nearer than the head's middle
    moved_right = drawn(edit(REST, shift=(0.1, 0)))
    moved_up = drawn(edit(REST, shift=(0, 0.1)))
    assert (moved_right[:468, 0] - rest[:468, 0]).mean() == pytest.approx(25.6, rel=0.1)
    assert (moved_up[:468, 1] - rest[:468, 1]).mean() == pytest.approx(-25.6, rel=0.1)
    near = drawn(edit(REST, zoom=1.25))
    width = [(p[LEFT_EYE, 0] - p[RIGHT_EYE, 0]) for p in (near, rest)]
    assert width[0] / width[1] == pytest.approx(1.25, abs=0.03)
    assert edit(REST, shift=(0.1, 0), zoom=1.25).coefficients.translation[0, 0] > 0
    with pytest.raises(InputError, match="zoom"):
        edit(REST, zoom=0)


def test_gaze_sliders_turn_both_eyes():
    face, rest = bundled_face(), drawn(REST)
    aside, up = drawn(edit(REST, gaze=(0.15, 0))), drawn(edit(REST, gaze=(0, 0.1)))
    for eye in ("right_eye", "left_eye"):
        pupil = face.parts[eye].start
        assert aside[pupil, 0] > rest[pupil, 0] + 2 and up[pupil, 1] < rest[pupil, 1] - 1


@pytest.mark.parametrize("name", EXPRESSION_SLIDERS)
def test_every_slider_moves_the_face_and_nought_does_not(name):
    c, face = REST.coefficients, bundled_face()
    assert not slider_expression(face, c.identity, c.expression, {name: 0.0}).any()
    change = slider_expression(face, c.identity, c.expression, {name: 1.0})
    assert (drawn(edit(REST, expression=change)) - drawn(REST))[:468].abs().max() > 1


def test_expression_sliders_do_what_they_say():
    c, face = REST.coefficients, bundled_face()

    def shown(**values):
        return drawn(edit(REST, expression=slider_expression(face, c.identity, c.expression, values)))

    rest, wide = drawn(REST), shown(mouth_open=1)
    assert wide[14, 1] - wide[13, 1] > rest[14, 1] - rest[13, 1] + 10  # lower from upper lip
    smile = shown(smile=1)
    assert smile[291, 0] - smile[61, 0] > rest[291, 0] - rest[61, 0] + 2 and smile[61, 1] < rest[61, 1]
    assert shown(pucker=1)[291, 0] - shown(pucker=1)[61, 0] < rest[291, 0] - rest[61, 0] - 2
    assert shown(brows=1)[105, 1] < rest[105, 1] - 1 and shown(mouth_side=0.8)[13, 0] > rest[13, 0] + 1


@pytest.mark.parametrize("openness", [0.0, -0.25, 0.4])
def test_a_blink_of_1_closes_the_named_eye_just_so(openness):
    c, face = REST.coefficients, bundled_face()
    lids = c.expression.clone()
    lids[:, blendshapes("eyeBlink")] = openness
    for name, closed in (("blink_right", 0), ("blink_left", 1), ("wink", 0)):
        change = slider_expression(face, c.identity, lids, {name: 1.0})
        left = face.eye_opening(c.identity, lids + change)[0]
        before = face.eye_opening(c.identity, lids)[0]
        assert left[closed] < 0.12 * before[closed] and left[1 - closed] > 0.95 * before[1 - closed], name


def test_mirroring_exchanges_the_sides():
    change, face = torch.randn(64), bundled_face()
    assert torch.equal(mirrored(face, mirrored(face, change)), change)
    assert mirrored(face, change)[LID] == change[blendshape("eyeBlinkLeft")]


# --- seen in a photograph


@needs_faces
def test_gaze_and_turn_of_a_photograph_have_the_signs_they_should():
    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.face.extract_by_fit import FitExtractor
    from mimaface.mimaface_core.face.follow import still_landmarks

    def measured(picture):
        picture = torch.from_numpy(picture.copy()).float() / 255
        landmarks = still_landmarks(picture, face_tracker())
        return FitExtractor(bundled_face(), 0.56).still(picture, landmarks)[1]

    straight, mirror = measured(portrait()), measured(portrait()[:, ::-1])
    # she looks into the camera, her head turned a little to the picture's right and tilted
    assert straight.gaze.abs().max() < 0.2
    aside = straight.gaze[0, [0, 2]].mean()
    assert mirror.gaze[0, [0, 2]].mean() == pytest.approx(-float(aside), abs=0.05)
    angles, other = straight.coefficients.angles[0], mirror.coefficients.angles[0]
    assert torch.allclose(other[1:], -angles[1:], atol=0.05) and torch.allclose(other[:1], angles[:1], atol=0.05)
    # a picture turned by 10° anticlockwise is a roll of the same size
    tilt = measured(moved(10, size=(384, 384))).coefficients.angles[0, 2]
    upright = measured(moved(0, size=(384, 384))).coefficients.angles[0, 2]
    assert float(tilt - upright) == pytest.approx(math.radians(10), abs=0.03)


# --- plots


@pytest.mark.parametrize("count", [1, 2, 300])
def test_a_plot_is_drawn_for_any_length(count):
    lines = {"a": torch.linspace(-1, 1, count), "b": torch.zeros(count)}
    visible = torch.ones(count, dtype=torch.bool)
    visible[-1] = False
    image = plot([("one", lines), ("two", {"c": torch.zeros(count)})], 25, visible, 400, 320)
    assert image.shape == (320, 400, 3) and image.min() < 0.5 and image.max() == 1
    blue = plot([("one", lines)], 25, visible, 400, 320, blinks=torch.arange(count) == 0)
    assert ((blue[..., 2] - blue[..., 0] > 0.05) & (blue.amin(-1) > 0.8)).any()


@needs_faces
def test_landmarks_and_mesh_lie_over_the_driver_beside_the_curves():
    shown = torch.from_numpy(np.stack([*nodding(2), np.full_like(nodding(1)[0], 128)]))
    frames = Frames.of_batch(shown, 25.0)
    motion = measure(load_pack(), frames)[1]
    curves, none = torch.zeros(256, 300, 3), torch.zeros(3, dtype=torch.bool)
    views = [view[0] for view in plot_over(frames, motion, curves, none)]
    assert len(views) == 3 and views[0].shape == (256, 256 + 300, 3)
    change = [(view[:, :256] - to_float(frame)).abs().amax(-1) > 0.2 for view, frame in zip(views, shown, strict=True)]
    assert [bool(one[60:200].any()) for one in change] == [True, True, False]  # below the line of text
    assert all(not view[:, 256:].amin() and view[100, 256:].amax() > 0.5 for view in views)  # the playhead
