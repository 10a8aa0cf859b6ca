"""What controls do to the face that is drawn: each its own movement, monotonically, and little to the rest."""

import pytest
import torch
from support.checkout import ROOT
from support.scenes import needs_faces, portrait_source
from support.signals import FACE, signals

from mimaface.mimaface_core import load_pack, measure
from mimaface.mimaface_core.editing import edit
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.morphable.bundled.control_curves import positions_of
from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.morphable.bundled.face_mesh import FACE_POINTS
from mimaface.mimaface_core.morphable.bundled.lip_contact import lip_gap
from mimaface.mimaface_core.reprojection.renderer import ReprojectionRenderer

pytestmark = needs_faces
STRENGTHS = (0.33, 0.67, 1.0)
SHARE = 0.15  # of a signal's range that unrelated controls may take


def rendering(source):
    return ReprojectionRenderer(FACE, source.crop, source.landmarks, source.track)


@pytest.fixture(scope="module")
def renderer():
    return rendering(portrait_source())


def shapes(renderer, name, positions):
    """The shapes [len(positions), V, 3] that are drawn of a control at some positions, and the tracks' poses."""
    tracks = [edit(renderer.photo.source, controls={name: position}) for position in positions]
    track = tracks[0].concatenate(tracks)
    c = track.coefficients
    return renderer.shapes(track), torch.cat([c.angles, c.translation], 1)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_moves_the_face_the_farther_the_more(renderer, name):
    """At three strengths each way: along the way of the full strength, and never back."""
    control = CONTROLS[name]
    for end in {control.low, control.high} - {control.rest}:
        way = [control.rest + share * (end - control.rest) for share in (0.0, *STRENGTHS)]
        shape, pose = shapes(renderer, name, way)
        moved = torch.cat([(shape - shape[:1]).flatten(1), pose - pose[:1]], 1)
        along = moved @ moved[-1] / moved[-1].norm()
        assert (along[1:] > along[:-1] + 1e-4).all(), (name, end, along.tolist())
        if control.group != "head":
            largest = (shape[-1, :, :2] - shape[0, :, :2]).norm(dim=-1).amax()
            assert largest > 0.015, f"{name} at {end} moves nothing by more than 1.5 mm"


RELATED = {  # groups of signals that the controls of a group are meant to move, or cannot but move
    "head": {"head"},
    "eyes": {"eyes"},
    "lids": {"lids"},
    "brows": {"brows"},
    "mouth": {"mouth"},
    "jaw_cheeks_nose": {"mouth", "lids", "brows"},  # cheeks raise the lower lid, a wrinkled nose lowers the brow
}


STRICT = {("lids", "eyes"): 0.05, ("eyes", "lids"): 0, ("brows", "mouth"): 0.01}  # of a control's group, of a signal's


@pytest.mark.parametrize("photograph", ["portrait", "laugh"])
def test_unrelated_signals_stay(photograph):
    """Gaze under lids, lids under gaze, mouth under brows, pose under expression, …: less than 15 % of their range."""
    source = measure(load_pack(), ROOT / "assets" / f"{photograph}.jpg")[0]
    renderer, changes = rendering(source), {}
    for name, control in CONTROLS.items():
        shape, pose = shapes(renderer, name, [control.rest, control.low, control.high])
        changes[name] = {
            (group, signal): float((values[1:] - values[0]).abs().max())
            for group, of in signals(shape, pose).items()
            for signal, values in of.items()
        }
    keys = next(iter(changes.values()))
    ranges = {key: max(change[key] for change in changes.values()) for key in keys}
    too_far = [
        f"{name} moves {signal} of {group} by {changes[name][group, signal] / ranges[group, signal]:.0%}"
        for name, control in CONTROLS.items()
        if control.group in RELATED
        for group, signal in keys
        if group not in RELATED[control.group]
        and changes[name][group, signal] > STRICT.get((control.group, group), SHARE) * ranges[group, signal]
    ]
    assert not too_far, "\n".join(too_far)


def test_each_side_moves_its_own_side(renderer):
    for name, control in CONTROLS.items():
        if control.pair is None or not name.endswith("_right") or not control.blendshapes:
            continue
        shape, _ = shapes(renderer, name, [control.rest, control.high])
        moved = (shape[1] - shape[0])[:FACE_POINTS].norm(dim=-1)
        right = FACE.model.mean_shape[:FACE_POINTS, 0] < -0.05
        left = FACE.model.mean_shape[:FACE_POINTS, 0] > 0.05
        assert moved[right].square().sum() > 4 * moved[left].square().sum(), name


def test_each_eye_looks_by_itself():
    source = portrait_source()
    gaze = edit(source, controls={"gaze_x_right": 1, "gaze_y_left": -0.5}).gaze - source.track.gaze
    assert torch.allclose(gaze, torch.tensor([[0.2, 0, 0, -0.06]]), atol=1e-6)


def test_lips_come_together_as_far_as_they_are_apart():
    source = portrait_source()
    gaps = []
    for controls in ({"jaw_open": 0.6}, {"jaw_open": 0.6, "mouth_close": 1}, {"jaw_open": 0.2, "mouth_close": 1}):
        c = edit(source, controls=controls).coefficients
        gaps.append(float(lip_gap(FACE, c.identity, c.expression)))
    assert gaps[0] > 0.1 and gaps[1:] == pytest.approx([0, 0], abs=1e-4)
    closed = edit(source, controls={"jaw_open": 0.6, "mouth_close": 1})
    again = edit(closed, controls={"mouth_close": 1})  # there is nothing left to close
    assert torch.allclose(again.coefficients.values, closed.coefficients.values, atol=1e-4)
    assert float(positions_of(closed, source.track)["mouth_close"]) == pytest.approx(1, abs=1e-3)


def test_nothing_is_the_photograph_itself_and_neutral_takes_its_expression_away(renderer):
    source = portrait_source()
    rest = {name: control.rest for name, control in CONTROLS.items()}
    assert torch.equal(edit(source, controls=rest).coefficients.values, source.track.coefficients.values)
    assert torch.equal(renderer.draw(edit(source, controls=rest))[0, :3], source.crop)
    neutral = edit(source, neutral_first=True)
    measured = signals(renderer.shapes(neutral), neutral.coefficients.angles.repeat(1, 2))["mouth"]
    smiling = signals(renderer.shapes(source.track), neutral.coefficients.angles.repeat(1, 2))["mouth"]
    assert measured["width"] < smiling["width"] - 0.03 and measured["opening"] < smiling["opening"]


WRONG = {
    "unknown": ({"smlie": 1}, "There is no control 'smlie'; the nearest is 'smile'"),
    "NaN": ({"yaw": float("nan")}, "must be a number"),
    "out of range": ({"yaw": 90}, "yaw 90 is out of range; use at least -45 and at most 45"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_control_is_refused(name):
    controls, sentence = WRONG[name]
    with pytest.raises(InputError, match=sentence):
        edit(portrait_source(), controls=controls)
