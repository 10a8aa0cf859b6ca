"""Keyframes: easing, loops, validation, a thousand frames in time, and a motion turned into keys and back."""

import math
import time

import pytest
import torch
from support.machine import slower
from support.tracks import still

from mimaface.mimaface_core.editing import RANGES, keyframe, keyframes_of
from mimaface.mimaface_core.errors import InputError
from mimaface.mimaface_core.face.live_link import load_live_link, save_live_link
from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.motion.keyframes import EASINGS, Keyframes, easing_of_curve, simplified

WAY = {"length": 4, "curves": {"yaw": [[1, 0, "linear"], [3, 20]]}}


def yaw(value, *times):
    positions = Keyframes.read(value, RANGES).at(torch.tensor(times, dtype=torch.float64))["yaw"]
    return [round(float(position), 4) for position in positions]


@pytest.mark.parametrize(
    ("easing", "middle"), [("linear", 5), ("smooth", 3.125), ("ease_in", 1.25), ("ease_out", 8.75), ("hold", 0)]
)
def test_an_easing_rules_the_way_to_the_next_key(easing, middle):
    value = {"length": 4, "curves": {"yaw": [[1, 0, easing], [3, 20]]}}
    assert yaw(value, 0, 1, 1.5, 3, 4) == [0, 0, middle, 20, 20]
    assert easing in EASINGS


def test_keys_hold_before_the_first_and_behind_the_last_and_loops_go_on():
    assert yaw(WAY, 2, 9) == [10, 20]
    assert yaw(WAY | {"loop": "repeat"}, 2, 6, 10) == [10, 10, 10]
    assert yaw(WAY | {"loop": "ping_pong"}, 2, 4.5, 6, 8, 10) == [10, 20, 10, 0, 10]


WRONG = {
    "no JSON": ("{", "is no JSON"),
    "a list": ("[]", "must be a JSON object"),
    "another version": ({"version": 2}, "is of version 2"),
    "an unknown entry": ({"speed": 1}, "unknown entry 'speed'"),
    "an unknown control": ({"curves": {"yaww": [[0, 1]]}}, "unknown control 'yaww'"),
    "out of range": ({"curves": {"yaw": [[0, 90]]}}, "position 90 is out of range; use at least -45"),
    "NaN": ('{"curves": {"yaw": [[0, NaN]]}}', "position must be a number, not nan"),
    "doubled": ({"curves": {"yaw": [[1, 0], [1, 2]]}}, "Key 2 of yaw has the same time"),
    "out of order": ({"curves": {"yaw": [[2, 0], [1, 2]]}}, "Key 2 of yaw lies before"),
    "behind the end": ({"length": 1, "curves": {"yaw": [[2, 0]]}}, "time 2 is out of range"),
    "an unknown easing": ({"curves": {"yaw": [[0, 0, "bounce"]]}}, "easing can be linear"),
    "an easing that is a list": ({"curves": {"yaw": [[0, 0, []]]}}, "easing can be linear"),
    "a key of one": ({"curves": {"yaw": [[0]]}}, r"must be \[seconds, position, easing\]"),
    "keys that are text": ({"curves": {"yaw": "0"}}, "must be a list"),
    "no length": ({"length": 0}, "length 0 is out of range"),
    "an hour and more": ({"length": 1e9}, "length 1e.09 is out of range"),
    "a huge rate": ({"fps": 10**400}, "fps must be a number"),
    "an unknown loop": ({"loop": "forever"}, "loop can be none, repeat, ping_pong"),
    "too many keys": ({"length": 3600, "curves": {"yaw": [[i / 50, 0] for i in range(100_001)]}}, "more than 100000"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_timeline_is_refused_in_a_sentence(name):
    value, sentence = WRONG[name]
    with pytest.raises(InputError, match=sentence):
        Keyframes.read(value, RANGES)


def test_an_empty_timeline_leaves_the_face_as_it_is():
    for empty in ("", "{}", {"curves": {}}, {"curves": {"yaw": []}}):
        assert torch.equal(keyframe(still(), empty).coefficients.values, still().coefficients.values)


def test_a_thousand_frames_of_every_control_take_a_second_at_most():
    curves = {name: [[0, one.rest], [20, one.high, "ease_in"], [40, one.rest]] for name, one in CONTROLS.items()}
    track, value = still(1000), {"length": 40, "curves": curves}
    keyframe(track, value)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        moved = keyframe(track, value)
        taken.append(time.perf_counter() - start)
    assert len(moved) == 1000 and min(taken) < slower(), taken


def test_a_motion_becomes_keys_that_make_the_same_motion():
    curves = {
        "yaw": [[0, 0], [1, 20], [1.5, -5]],
        "zoom": [[0, 1], [1.5, 1.2]],
        "shift_x": [[0, 0], [1.5, 6]],
        "blink_left": [[0.5, 0], [0.6, 1], [0.8, 0]],
        "gaze_y_right": [[0, 0], [1.5, 0.8]],
        "mouth_smile_left": [[0, 0], [1.5, 0.6]],
        "jaw_shift": [[0, 0], [1.5, -0.5]],
    }
    rest = still()
    moved = keyframe(rest, {"length": 1.6, "curves": curves})
    keys = keyframes_of(moved, rest)
    assert set(keys.curves) == set(curves), "no control moves that was not moved"
    assert sum(map(len, keys.curves.values())) < len(moved) * len(curves) / 3, "few keys"
    again = keyframe(rest, Keyframes.read(keys.as_json(), RANGES))
    assert (again.coefficients.angles - moved.coefficients.angles).abs().max() < math.radians(1)
    assert (again.gaze - moved.gaze).abs().max() < 0.01
    assert (again.coefficients.expression - moved.coefficients.expression).abs().max() < 0.06
    assert (again.coefficients.translation - moved.coefficients.translation).abs().max() < 0.08


def test_an_arkit_table_becomes_keys_and_keys_an_arkit_table(tmp_path):
    curves = {"jaw_open": [[0.4, 0], [0.8, 0.6], [1.2, 0]], "yaw": [[0, 0], [1.3, 15]]}
    rest = still()
    neutral = rest.replace(coefficients=rest.coefficients.replace(expression=torch.zeros(len(rest), 64)))
    save_live_link(keyframe(neutral, {"length": 1.6, "curves": curves}), tmp_path / "made.csv")
    keys = keyframes_of(load_live_link(tmp_path / "made.csv"))
    peak = max(key.value for key in keys.curves["jaw_open"])
    assert 0.4 < peak < 0.8, "the jaw of the table opens as far"
    turned = [key.value for key in keys.curves["yaw"]]
    assert 12 < max(turned) - min(turned) < 18


def test_lines_stay_within_the_tolerance():
    times = torch.linspace(0, 2, 200)
    wave = (4 * times).sin()
    keys = simplified(times, wave, 0.05)
    again = Keyframes(curves={"yaw": keys}).at(times)["yaw"]
    assert len(keys) < 20 and (again - wave).abs().max() <= 0.0501


class Core:
    """A CURVE as ComfyUI's core has it."""

    def interp(self, x):
        return x**3


@pytest.mark.parametrize("curve", [Core(), {"points": [[i / 50, (i / 50) ** 3] for i in range(51)]}])
def test_a_curve_of_comfyui_is_an_easing(curve):
    ease = easing_of_curve(curve)
    at = Keyframes.read(WAY, RANGES).at(torch.tensor([2.0]), ease)["yaw"]
    assert float(at) == pytest.approx(20 / 8, abs=0.02)
    held = Keyframes.read({"curves": {"yaw": [[0, 5, "hold"], [2, 9]]}}, RANGES).at(torch.tensor([1.0]), ease)["yaw"]
    assert float(held) == 5


@pytest.mark.parametrize("curve", ["a", 5, {"points": 3}, [[0, 0], [1, math.nan]], []])
def test_a_curve_that_is_none_is_refused(curve):
    with pytest.raises(InputError, match="curve cannot be used as an easing"):
        easing_of_curve(curve)
