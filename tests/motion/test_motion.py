"""Motion tracks: cutting, joining, resampling, files; retargeting, smoothing, editing, and their sign conventions."""

import math
from fractions import Fraction

import pytest
import torch
from support.scenes import moved, needs_faces, portrait
from support.tracks import still, track

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.blendshapes import LID_BLENDSHAPES, blendshape
from mimaface.mimaface_core.morphable.bundled.face import procedural_face
from mimaface.mimaface_core.morphable.bundled.groups import expression_groups
from mimaface.mimaface_core.morphable.bundled.sliders import (
    EXPRESSION_SLIDERS,
    mirrored,
    slider_expression,
)
from mimaface.mimaface_core.motion.edit import edit
from mimaface.mimaface_core.motion.groups import ExpressionGroups
from mimaface.mimaface_core.motion.plot import plot
from mimaface.mimaface_core.motion.retarget import retarget
from mimaface.mimaface_core.motion.smooth import smooth
from mimaface.mimaface_core.motion.track import FaceCoefficients, MotionTrack

LID = blendshape("upper_lid_right")
OWN, ANY = expression_groups("procedural"), ExpressionGroups()


def same(a, b, tolerance=1e-5):
    assert a.fps == b.fps and torch.equal(a.visible, b.visible)
    assert torch.allclose(a.coefficients.values, b.coefficients.values, atol=tolerance)
    assert torch.allclose(a.gaze, b.gaze, atol=tolerance) and torch.allclose(a.alignment, b.alignment)


# --- tracks


def test_cut_and_joined_again():
    whole = track()
    same(MotionTrack.concatenate([whole[:7], whole[7:8], whole[8:]]), whole)
    assert len(whole[3]) == 1 and len(whole[[5, 5, 2]]) == 3
    with pytest.raises(InputError, match="resample"):
        MotionTrack.concatenate([whole, whole.resample(Fraction(25))])


def test_resampling_keeps_duration_and_returns():
    ramp = track(30, Fraction(30))
    ramp = ramp.replace(gaze=torch.arange(30.0)[:, None].expand(30, 4) / 100)
    double = ramp.resample(Fraction(60))
    assert len(double) == 60 and double.fps == 60
    same(double[::2].replace(fps=ramp.fps), ramp)
    assert torch.allclose(double.gaze[1:-2].diff(dim=0), torch.tensor(0.005), atol=1e-6)
    assert len(track(1).resample(Fraction(10))) == 1


def test_saved_and_loaded(tmp_path):
    whole = track()
    whole.save(tmp_path / "m.safetensors")
    same(MotionTrack.load(tmp_path / "m.safetensors"), whole, 0)
    assert MotionTrack.load(tmp_path / "m.safetensors").fps == Fraction(30000, 1001)
    (tmp_path / "other.safetensors").write_bytes(b"no")
    for name in ("other.safetensors", "missing.safetensors"):
        with pytest.raises(InputError, match="cannot be read"):
            MotionTrack.load(tmp_path / name)


def test_shapes_are_checked():
    with pytest.raises(InputError, match="gaze"):
        track().replace(gaze=torch.zeros(3, 4))
    with pytest.raises(InputError, match="257"):
        FaceCoefficients(torch.zeros(2, 256))


# --- retargeting


def test_relative_motion_of_the_source_itself_comes_back():
    own = track(size=0.05)
    moved_again = retarget(own, own[:1], OWN, "relative", 0)
    same(moved_again, own, 2e-4)


def test_absolute_motion_takes_over_what_the_driver_shows():
    driver, source = track(seed=1), track(1, seed=2)
    taken = retarget(driver, source, ANY, "absolute")
    assert torch.allclose(taken.coefficients.expression, driver.coefficients.expression, atol=1e-5)
    assert torch.allclose(taken.coefficients.angles, driver.coefficients.angles, atol=1e-5)
    assert torch.allclose(taken.coefficients.identity, source.coefficients.identity.expand(20, -1))
    assert torch.allclose(taken.gaze, driver.gaze, atol=1e-6)


@pytest.mark.parametrize("mode", ["relative", "absolute"])
def test_strengths_of_nought_leave_the_source_as_it_is(mode):
    source = track(1, seed=2)
    resting = retarget(track(seed=1), source, ANY, mode, -1, pose=0, expression=0, gaze=0)
    same(resting, source[[0] * 20].replace(fps=resting.fps), 1e-5)


def test_strengths_scale_the_movement():
    driver, source = track(seed=1, size=0.05), track(1, seed=2, size=0.05)
    once, twice = (retarget(driver, source, ANY, expression=k, gaze=k).motion[:, 3:] for k in (1, 2))
    rest = source.motion[:, 3:]
    assert torch.allclose(2 * (once - rest), twice - rest, atol=1e-5)


def test_a_neutral_frame_behind_the_end_is_refused():
    with pytest.raises(InputError, match="last frame 19"):
        retarget(track(), track(1), ANY, reference=20)


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
    face, c = procedural_face(), motion.coefficients
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
    face, rest = procedural_face(), drawn(REST)
    aside, up = drawn(edit(REST, gaze=(0.15, 0))), drawn(edit(REST, gaze=(0, 0.1)))
    for eye in ("right_eye", "left_eye"):
        pupil = face.parts[eye].start
        assert aside[pupil, 0] > rest[pupil, 0] + 2 and up[pupil, 1] < rest[pupil, 1] - 1


@pytest.mark.parametrize("name", EXPRESSION_SLIDERS)
def test_every_slider_moves_the_face_and_nought_does_not(name):
    c, face = REST.coefficients, procedural_face()
    assert not slider_expression(face, c.identity, c.expression, {name: 0.0}).any()
    change = slider_expression(face, c.identity, c.expression, {name: 1.0})
    assert (drawn(edit(REST, expression=change)) - drawn(REST))[:468].abs().max() > 1


def test_expression_sliders_do_what_they_say():
    c, face = REST.coefficients, procedural_face()

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
    c, face = REST.coefficients, procedural_face()
    lids = c.expression.clone()
    lids[:, [i for side in LID_BLENDSHAPES for i in side]] = openness
    for name, closed in (("blink_right", 0), ("blink_left", 1), ("wink", 0)):
        change = slider_expression(face, c.identity, lids, {name: 1.0})
        left = face.eye_opening(c.identity, lids + change)[0]
        before = face.eye_opening(c.identity, lids)[0]
        assert left[closed] < 0.12 * before[closed] and left[1 - closed] > 0.95 * before[1 - closed], name


def test_mirroring_exchanges_the_sides():
    change = torch.randn(64)
    assert torch.equal(mirrored(mirrored(change)), change)
    assert mirrored(change)[LID] == change[blendshape("upper_lid_left")]


# --- seen in a photograph


@needs_faces
def test_gaze_and_turn_of_a_photograph_have_the_signs_they_should():
    from mimaface.mimaface_core.face.detect import face_tracker
    from mimaface.mimaface_core.face.extract_by_fit import FitExtractor
    from mimaface.mimaface_core.face.follow import still_landmarks

    def measured(picture):
        picture = torch.from_numpy(picture.copy()).float() / 255
        landmarks = still_landmarks(picture, face_tracker())
        return FitExtractor(procedural_face(), 0.56).still(picture, landmarks)[1]

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


def test_an_expression_on_top_of_another_stays_one_that_a_face_can_make():
    laughing = torch.zeros(1, 64)
    laughing[0, 3] = 0.9
    source = track(1).replace(coefficients=FaceCoefficients.zeros(1).replace(expression=laughing))
    driver = track(3).replace(coefficients=FaceCoefficients.zeros(3))
    louder = torch.zeros(3, 64)
    louder[1, 3], louder[2, 3] = 0.05, 2.0
    driver = driver.replace(coefficients=driver.coefficients.replace(expression=louder))
    moved = retarget(driver, source, OWN, "relative", 0).coefficients.expression[:, 3]
    assert torch.allclose(moved[:2], torch.tensor([0.9, 0.95])) and 1.2 < moved[2] <= 1.4


@pytest.fixture
def saved(tmp_path):
    """`saved(parts, notes)`: a motion file of three frames; parts or notes are replaced, or left out (None)."""
    from safetensors.torch import save_file

    def write(parts=None, notes=None):
        whole = {
            "coefficients": torch.zeros(3, 257),
            "gaze": torch.zeros(3, 4),
            "alignment": torch.zeros(3, 2, 3),
            "visible": torch.ones(3, dtype=torch.bool),
        } | (parts or {})
        texts = {"format": "mimaface.motion.1", "fps": "25"} | (notes or {})
        path = tmp_path / "changed.safetensors"
        save_file(
            {name: part for name, part in whole.items() if part is not None},
            path,
            {name: text for name, text in texts.items() if text is not None},
        )
        return path

    return write


@pytest.mark.parametrize("name", ["coefficients", "gaze", "alignment", "visible", "fps"])
def test_a_motion_file_without_a_part_is_refused_by_the_parts_name(saved, name):
    path = saved(notes={"fps": None}) if name == "fps" else saved({name: None})
    with pytest.raises(InputError, match=f"not whole: {name} is missing; save it again"):
        MotionTrack.load(path)


@pytest.mark.parametrize(
    "rate", ["1/0", "nan", "x", "", "25,5", "1e400", "1e-400", "1e999999999", "0", "-25", "inf", "9" * 5000, "1/1000"]
)
def test_a_motion_file_of_an_impossible_rate_is_refused(saved, rate):
    with pytest.raises(
        InputError, match="its frame rate '.*' is not a number from 0.01 to 1000; save the motion again"
    ):
        MotionTrack.load(saved(notes={"fps": rate}))


def test_parts_of_other_number_types_are_converted(saved):
    doubles = MotionTrack.load(
        saved(
            {
                "coefficients": torch.full((3, 257), 0.5, dtype=torch.float64),
                "gaze": torch.zeros(3, 4, dtype=torch.float16),
                "alignment": torch.ones(3, 2, 3, dtype=torch.int32),
                "visible": torch.tensor([1, 0, 1]),
            },
            {"fps": "29.97"},
        )
    )
    assert {part.dtype for part in (doubles.coefficients.values, doubles.gaze, doubles.alignment)} == {torch.float32}
    assert doubles.visible.tolist() == [True, False, True]
    assert doubles.fps == Fraction(2997, 100)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"coefficients": torch.ones(3, 257, dtype=torch.bool)}, "coefficients are of type bool, not numbers"),
        ({"gaze": torch.full((3, 4), float("nan"))}, "gaze hold values that are no finite numbers"),
        ({"visible": torch.tensor([0.5, 1, 0])}, "visible holds other values than true and false"),
        ({"alignment": torch.zeros(3, 3)}, "needs alignment of shape"),
    ],
)
def test_parts_that_cannot_be_converted_are_refused_as_they_are_read(saved, part, words):
    with pytest.raises(InputError, match=words):
        MotionTrack.load(saved(part))
