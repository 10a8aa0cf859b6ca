"""Motion as ARKit's curves: what a round trip through Live Link Face's CSV keeps, and tables that others write."""

import csv
from fractions import Fraction

import pytest
import torch
from support.faces import FACE
from support.tracks import still

from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.live_link import CURVES, HEADER, load_live_link, save_live_link
from mimaface.mimaface_core.morphable.bundled.blendshapes import ARKIT, blendshape, blendshapes
from mimaface.mimaface_core.motion.track import BFM


def acting(**curves):
    """A face that rests for 30 frames, then acts for 10: blendshape → coefficient."""
    expression = torch.zeros(40, 64)
    for name, value in curves.items():
        expression[30:, blendshapes(name)] = value
    track = still(40, expression=expression, identity=torch.zeros(40, 80), angles=torch.zeros(40, 3))
    return track.replace(gaze=torch.zeros(40, 4))


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_is_live_links(tmp_path):
    save_live_link(acting(), tmp_path / "a.csv")
    first = (tmp_path / "a.csv").read_text().splitlines()[0]
    assert first.startswith(
        "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUp"
    )
    assert first.endswith(
        "HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
    )
    assert len(CURVES) == 52 and len(HEADER) == 63 and table(tmp_path / "a.csv")[0]["BlendShapeCount"] == "61"


@pytest.mark.parametrize(
    ("name", "curve"),
    [("jawOpen", "JawOpen"), ("mouthSmileLeft", "MouthSmileLeft"), ("browInnerUp", "BrowInnerUp"),
     ("eyeBlinkRight", "EyeBlinkRight"), ("mouthPucker", "MouthPucker"), ("noseSneerRight", "NoseSneerRight")],
)  # fmt: skip
def test_each_movement_has_its_curve(name, curve, tmp_path):
    save_live_link(acting(**{name: 0.8}), tmp_path / "a.csv")
    rest, acted = table(tmp_path / "a.csv")[0], table(tmp_path / "a.csv")[-1]
    assert float(rest[curve]) == pytest.approx(0, abs=0.02) and float(acted[curve]) == pytest.approx(0.8, abs=0.1)
    others = [float(acted[other]) for other in CURVES if other != curve]
    assert max(others) < 0.3 and sum(others) < 0.6


def test_a_round_trip_keeps_movement_gaze_head_and_time(tmp_path):
    track = acting(jawOpen=0.5, mouthSmile=0.6, browOuterUp=0.4)
    turned = track.coefficients.replace(angles=torch.linspace(-0.3, 0.4, 40)[:, None] * torch.tensor([0.5, 1.0, -0.3]))
    gaze = torch.tensor([0.1, 0.05, 0.12, 0.06]) * torch.linspace(-1, 1, 40)[:, None]
    track = track.replace(coefficients=turned, gaze=gaze, fps=Fraction(30))
    save_live_link(track, tmp_path / "a.csv")
    back = load_live_link(tmp_path / "a.csv")
    assert back.fps == 30 and len(back) == 40
    assert torch.allclose(back.gaze, gaze, atol=1e-4)
    assert torch.allclose(back.coefficients.angles, turned.angles, atol=1e-4)
    shown, kept = (FACE.model.shape(torch.zeros(1, 80), t.coefficients.expression)[:, :468] for t in (track, back))
    moved = (shown[-1] - shown[0]).norm()
    assert (kept[-1] - kept[0] - (shown[-1] - shown[0])).norm() < 0.15 * moved


def test_looks_become_gaze_where_eyes_have_no_turns(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("EyeLookInRight,EyeLookOutLeft,EyeLookUpLeft,EyeLookUpRight\n1,1,0,0\n0,0,0.5,0.5\n")
    across, up = load_live_link(path).gaze[0], load_live_link(path).gaze[1]
    assert across[0] > 0.1 and torch.allclose(across[0], across[2]) and up[1] > 0.05 and up[0] == 0


def test_columns_are_found_by_name_and_shared_curves_move_both_sides(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("tongueOut,browInnerUp,cheekPuff,jawOpen,comment\n1,0.5,0.2,0.25,1\n")
    expression = load_live_link(path).coefficients.expression[0]
    assert torch.allclose(expression[blendshapes("browInnerUp")], torch.tensor([0.5, 0.5]))
    assert expression[blendshape("jawOpen")] == 0.25 and len(expression.nonzero()) == 5
    assert load_live_link(path).fps == 60
    assert all(len(name) > 4 for name in ARKIT)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "none of ARKit's curves"),
        ("a,b\n1,2\n", "none of ARKit's curves"),
        ("JawOpen\n", "no frames"),
        ("JawOpen,MouthClose\n1\n", "row 2: 1 cells where 2"),
        ("JawOpen\nwide\n", "column JawOpen.*no number"),
        ("JawOpen\nnan\n", "column JawOpen.*not finite"),
    ],
)
def test_what_is_no_table_of_curves_is_refused(text, says, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        load_live_link(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_live_link(tmp_path / "absent.csv")


def test_motion_of_another_model_has_no_curves(tmp_path):
    with pytest.raises(InputError, match="bfm09"):
        save_live_link(acting().replace(basis=BFM), tmp_path / "a.csv")
