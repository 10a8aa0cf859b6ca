"""The editors on nodes in ComfyUI's page, in both of its renderers.

The page is served by browser/serve.py, whose faces are drawn and whose troubles can be set, and by ComfyUI itself where
COMFYUI_DIR names one; there the tests that need those troubles are skipped.
"""

import json
import shutil
import sys
import time
import urllib.request

import numpy as np
import pytest
from PIL import Image
from support.comfyui_process import ComfyUI
from support.comfyui_server import COMFYUI, ROOT, bare, call, launched
from support.page import FOLDER, Page, needs_browser
from support.scenes import noise, tone, voice

from mimaface.mimaface_core.morphable.bundled.controls import CONTROLS
from mimaface.mimaface_core.motion.keyframes import Keyframes

pytestmark = needs_browser

NODES_2 = (1, 37)  # version of the front end from which on Nodes 2.0 draw every widget
SETTLED = (1, 41)  # from which on an undo is no step of its own
THUMBNAIL = 128  # pixels of a preset's
PORTRAIT, LAUGH = "mimaface_portrait.jpg", "mimaface_laugh.jpg"


@pytest.fixture(scope="module", params=["frontend", "comfyui"] if COMFYUI else ["frontend"])
def browser(request, tmp_path_factory):
    """The page with one of the two servers behind it."""
    base = bare(tmp_path_factory.mktemp("editor"))
    for name in ("portrait.jpg", "laugh.jpg"):
        shutil.copy(ROOT / "assets" / name, base / "input" / f"mimaface_{name}")
    voice(base / "input" / "mimaface_voice.wav", tone(1.5, 1.5))
    if request.param == "comfyui":
        serving = launched(**call(base))
    else:
        serving = launched([sys.executable, FOLDER / "serve.py", base], base / "frontend.log")
    with serving as (address, process):
        page = Page(request.param, address)
        page.server = ComfyUI(base, address, process)
        yield page
        page.close()


@pytest.fixture(scope="module", params=["classic", pytest.param("vue", marks=pytest.mark.long)])
def renderer(request, browser):
    """The page in one of its renderers."""
    browser("open", settings={"Comfy.VueNodes.Enabled": request.param == "vue"})
    version = browser("version")
    if request.param == "vue" and tuple(map(int, version.split(".")[:2])) < NODES_2:
        pytest.skip(f"the front end {version} draws no editors in Nodes 2.0")
    return request.param


@pytest.fixture
def fake(browser):
    """Sets how the server fares and tells what it was asked; well again after the test."""
    if browser.place == "comfyui":
        pytest.skip("a real ComfyUI has no troubles that can be set")

    def told(**given):
        data = json.dumps(given).encode() if given else None
        with urllib.request.urlopen(urllib.request.Request(f"{browser.address}/fake", data=data), timeout=60) as answer:
            return None if given else json.load(answer)

    told(mode="well", delay=0, asked=[], most=0, prompts=[])
    yield told
    told(mode="well", delay=0)


@pytest.fixture
def editor(renderer, page):
    """The page with one editor that has its face."""
    page("editors", files=[PORTRAIT])
    page("source", count=1)
    return page


def controls(page, index=0):
    return json.loads(page("value", index=index)["edit"]).get("controls", {})


def pictured(fake):
    """The edit in the editor's picture: the last that was asked for, thumbnails of presets aside."""
    return [one["edit"] for one in fake()["asked"] if one["size"] > THUMBNAIL][-1]


def moved(before, after, grid=64):
    """Places (shares of the picture) whose colour has changed."""
    changed = [
        i
        for i, (a, b) in enumerate(zip(before["pixels"], after["pixels"]))
        if max(abs(x - y) for x, y in zip(a, b)) > 40
    ]
    return [((i % grid + 0.5) / grid, (i // grid + 0.5) / grid) for i in changed]


def test_before_a_run_the_editor_says_what_to_do(renderer, page):
    page("editors", files=[PORTRAIT])
    face = page("face")
    assert face["state"] == "empty" and "run the workflow once" in face["says"]
    value = page("value")
    assert value["edit"] == "{}" and value["top"] < 100, "hidden sliders take no room"


def test_a_run_that_finds_all_in_its_cache_shows_the_face_too(renderer, page, fake):
    fake(mode="cached")
    page("editors", files=[PORTRAIT])
    page("source", count=1)
    assert page("face")["state"] == "live"


DRAGS = {  # handle → its way in shares of the picture, and the controls that it moves, to which side
    "mouth_left": (0.0, -0.08, {"mouth_smile_left": 1, "mouth_smile_right": 1}),
    "right_iris": (0.05, 0.0, {"gaze_x_left": 1, "gaze_x_right": 1}),
    "left_upper_lid": (0.0, 0.06, {"blink_left": 1, "blink_right": 1}),
    "right_brow": (0.0, -0.09, {"brow_outer_up_right": 1, "brow_inner_up_left": 1}),
    "jaw": (0.0, 0.09, {"jaw_open": 1}),
    "head": (0.1, 0.0, {"yaw": 1}),
}


def test_a_drag_changes_the_picture_where_it_acts(editor):
    before = editor("face")
    for handle, (dx, dy, expected) in DRAGS.items():
        editor("drag", handle=handle, dx=dx, dy=dy)
        after = editor("face")
        found = controls(editor)
        assert {name for name, sign in expected.items() if found.get(name, 0) * sign > 0.1} == expected.keys(), handle
        places = moved(before, after)
        assert places, handle
        if handle != "head":
            x, y = before["handles"][handle]
            near = [min(abs(x - px), abs(1 - x - px)) < 0.3 and abs(y - py) < 0.4 for px, py in places]
            assert sum(near) > 0.9 * len(near), handle  # an opened jaw moves the neck of a photograph, too
        editor("click", name="Reset everything")
        assert not moved(before, editor("face")), handle


def test_each_eye_looks_its_own_way(editor):
    editor("drag", handle="right_iris", dx=0.06, keys=["Alt"])
    editor("drag", handle="left_iris", dx=-0.06, keys=["Alt"])
    found = controls(editor)
    assert found["gaze_x_right"] > 0.3 and found["gaze_x_left"] < -0.3
    assert [name for name, _ in editor("sliders")[:2]] == [
        "Look sideways, the person's right",
        "Look sideways, the person's left",
    ]


def test_a_drag_is_one_step_of_undo_and_the_node_stays_in_place(editor):
    before = editor("value")
    editor("drag", handle="mouth_left", dy=-0.08, moves=12)
    first = editor("value")
    editor("drag", handle="jaw", dy=0.08, moves=12)
    second, open_jaw = editor("value"), editor("face")
    assert [first["steps"], second["steps"]] == [before["steps"] + 1, before["steps"] + 2]
    assert before["pos"] == second["pos"]
    editor("history", key="Control+z")
    assert editor("value")["edit"] == first["edit"]
    editor("settle")
    closed = editor("face")
    assert moved(open_jaw, closed)
    editor("history", key="Control+z")
    assert editor("value")["edit"] == "{}"
    if tuple(map(int, editor("version").split(".")[:2])) < SETTLED:
        return  # entries of its own that such a front end adds to a loaded graph may count as a step: nothing to redo
    editor("history", key="Control+y")
    editor("history", key="Control+y")
    assert editor("value")["edit"] == second["edit"]
    editor("settle")
    assert not moved(open_jaw, editor("face"))


def test_undo_works_with_the_focus_in_the_editor(editor):
    editor("keys", focus="handle:jaw", keys=["ArrowDown"])
    assert controls(editor)["jaw_open"] > 0
    editor("keys", keys=["Control+z"])
    assert editor("value")["edit"] == "{}"


def test_escape_takes_a_drag_back(editor):
    editor("drag", handle="jaw", dy=0.09, held=True)
    editor("keys", keys=["Escape"])
    editor("letGo")
    assert editor("value")["edit"] == "{}" and dict(editor("sliders"))["Open the jaw"] == 0


def test_two_editors_show_two_faces(renderer, page):
    page("editors", files=[PORTRAIT, LAUGH])
    page("source", count=2)
    first, second = page("face", index=0), page("face", index=1)
    assert len(moved(first, second)) > 30
    page("drag", index=1, handle="jaw", dy=0.08)
    assert not moved(first, page("face", index=0)) and moved(second, page("face", index=1))
    assert page("value", index=0)["edit"] == "{}"


def test_nothing_is_lost_by_saving_and_reloading(editor):
    editor("drag", handle="mouth_left", dy=-0.08)
    value, face = editor("value"), editor("face")
    editor("reload")
    editor("faults")  # requests that the page has left behind
    editor("settle")
    assert editor("value")["edit"] == value["edit"]
    assert not moved(face, editor("face"))  # the server still has the source


def test_a_copy_has_the_same_value_and_its_own_life(editor):
    editor("drag", handle="jaw", dy=0.08)
    value = editor("value")["edit"]
    editor("duplicate")
    assert editor("value", index=1)["edit"] == value
    editor("tab", index=1, group="head")
    editor("type", index=1, control="yaw", text="12")
    assert editor("value", index=0)["edit"] == value and controls(editor, 1)["yaw"] == 12


def test_it_works_inside_a_subgraph(editor):
    editor("drag", handle="jaw", dy=0.08)
    editor("intoSubgraph")
    assert controls(editor)["jaw_open"] > 0
    editor("source", count=1)
    before = editor("face")
    editor("drag", handle="mouth_left", dy=-0.08)
    assert moved(before, editor("face"))
    value = editor("value")["edit"]
    editor("outOfSubgraph")
    sent = editor("graph")["sends"]
    assert [node["inputs"]["edit"] for node in sent.values() if node["class_type"] == "MIMAFaceEditMotion"] == [value]
    editor("open")  # the front end 1.37 draws no node that is added, of any kind, once a subgraph was left


def test_the_page_and_the_api_send_the_same_value(editor, fake):
    editor("drag", handle="jaw", dy=0.08)
    editor("source", count=1)
    queued = fake()["prompts"][-1]
    (sent,) = [node["inputs"] for node in queued.values() if node["class_type"] == "MIMAFaceEditMotion"]
    assert sent["edit"] == editor("value")["edit"] and "mimaface_editor" not in sent
    exported = editor("graph")["sends"]
    assert {key: node["inputs"] for key, node in exported.items()} == {
        key: node["inputs"] for key, node in queued.items()
    }


def test_one_request_is_under_way_and_the_newest_wins(editor, fake):
    asked = None  # presets' thumbnails are asked for while nothing moves
    while asked != (asked := len(fake()["asked"])):
        time.sleep(0.5)
    fake(delay=0.1, asked=[], most=0)
    editor("drag", handle="jaw", dy=0.1, moves=40)
    editor("face")
    told = fake()
    asked = [one["edit"]["controls"] for one in told["asked"]]
    assert told["most"] == 1 and 2 <= len(asked) < 20
    assert asked[-1] == controls(editor)


def test_a_server_that_goes_while_dragging_loses_nothing(editor):
    editor("drag", handle="jaw", dy=0.04, held=True)
    editor("network", there=False)
    editor("moveOn", dx=0, dy=30)
    face = editor("face")
    assert face["state"] == "away" and "edit is kept" in face["says"]
    value = controls(editor)
    assert value["jaw_open"] > 0
    editor("network", there=True)
    editor("click", name="Try again")
    editor("settle")
    assert controls(editor) == value
    editor("faults")  # the browser tells of the lost requests


def frames(run):
    """The images that a run of ComfyUI shows."""
    shown = [image for output in run["outputs"].values() for image in output.get("images", [])]
    return [(image["type"], image["filename"]) for image in shown]


def test_a_run_from_the_page_and_one_from_the_api_make_the_same_frames(editor, browser, shots):
    if browser.place != "comfyui":
        pytest.skip("needs a real ComfyUI")
    editor("drag", handle="mouth_left", dy=-0.08)
    server = browser.server
    before = set(server.ask("/history"))
    assert editor("run", shot=str(shots / "editor_runs.png"))["end"] == "success"
    (from_page,) = [run for key, run in server.ask("/history").items() if key not in before]
    server.free()  # nothing is left of that run
    from_api = server.run(editor("graph")["sends"]).history
    made = [np.asarray(Image.open(server.base / kind / name)) for kind, name in frames(from_page) + frames(from_api)]
    assert len(made) == 2 and np.array_equal(*made)


def test_a_source_that_has_gone_asks_for_a_run(editor, fake):
    fake(mode="gone")
    editor("drag", handle="jaw", dy=0.08)
    face = editor("face")
    assert face["state"] == "gone" and "queue the workflow again" in face["says"]
    fake(mode="well")
    editor("source", count=1)


def test_sliders_take_exact_values_and_keys(editor):
    editor("tab", group="head")
    editor("type", control="yaw", text="12.5")
    editor("type", control="pitch", text="400")  # beyond its range
    editor("keys", focus="roll", keys=["ArrowRight", "ArrowRight", "PageUp"])
    editor("keys", focus="zoom", keys=["End", "0"])
    assert controls(editor) == {"yaw": 12.5, "pitch": 35, "roll": 6}
    editor("click", name="Reset Head")
    assert editor("value")["edit"] == "{}"


def test_keys_typed_in_the_editor_leave_the_graph_alone(editor):
    editor("keys", focus="stage", keys=["Delete", "Backspace", "ArrowRight"])
    assert controls(editor)["yaw"] > 0


def test_presets_build_up_and_the_users_own_are_kept(editor, renderer):
    editor("click", name="Sad: lay")
    editor("click", name="Wink: lay")
    both = controls(editor)
    assert both["mouth_frown_left"] > 0 and both["wink"] == 1
    editor("click", name="Wink: lay", keys=["Alt"])
    assert controls(editor) == {"wink": 1, "smile": 0.3}


def test_presets_of_another_version_are_not_offered_and_not_lost(editor, browser):
    if browser.place != "comfyui":
        pytest.skip("needs a server that keeps the user's files")
    later = {"label": "Later", "value": {"version": 2, "controls": {"halo": 1}}}
    mine = {"label": "Mine", "value": {"version": 1, "controls": {"smile": 0.5}}}
    file = browser.server.base / "user" / "default" / "mimaface" / "presets.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([later, "damaged", mine]))
    editor("reload")
    editor("faults")  # requests that the page has left behind
    editor("settle")
    assert "Mine" in editor("presets") and "Later" not in editor("presets")
    editor("click", name="Mine: lay")
    editor("click", name="Keep this expression")
    editor("write", text="Again")
    assert "Again" in editor("presets")
    editor("settle")
    again = {"label": "Again", "value": {"version": 1, "controls": {"smile": 0.5}, "neutral_first": False}}
    assert json.loads(file.read_text()) == [later, "damaged", mine, again]


def test_a_run_that_finds_no_face_leaves_the_edit_and_the_face_before(editor, browser):
    if browser.place != "comfyui":
        pytest.skip("needs a server that looks for faces")
    Image.fromarray(noise()).save(browser.server.base / "input" / "noise.png")
    editor("drag", handle="jaw", dy=0.08)
    before = editor("face")
    assert editor("ends", file="noise.png") == "execution_error"
    editor("keys", keys=["Escape"])  # the page's own message
    assert controls(editor)["jaw_open"] > 0 and not moved(before, editor("face"))
    editor("faults")  # the page tells of the run that failed
    assert editor("ends", file=PORTRAIT) == "execution_success"


def test_neutral_first_is_in_the_value_and_in_the_preview(editor, fake):
    editor("click", name="Neutral first")
    editor("face")
    assert json.loads(editor("value")["edit"]) == {"version": 1, "controls": {}, "neutral_first": True}
    assert pictured(fake)["neutral_first"] is True


def test_an_older_workflows_sliders_stay_and_count(editor, fake):
    assert editor("value")["shown"] == ["mimaface_editor"]
    editor("widget", name="yaw", value=10)
    editor("tab", group="head")
    editor("type", control="yaw", text="5")
    editor("face")
    assert "yaw" in editor("value")["shown"]
    assert pictured(fake)["controls"]["yaw"] == 15 and controls(editor) == {"yaw": 5}


def test_a_linked_slider_counts_as_of_the_last_run(editor, fake):
    before = editor("face")
    editor("link", name="yaw")
    editor("source", count=1)
    assert moved(before, editor("face")) and controls(editor) == {}
    assert pictured(fake)["controls"] == {"yaw": 25}


def test_a_value_of_another_version_is_left_as_it_is(editor):
    theirs = '{"version": 2, "controls": {"yaw": 3}}'
    editor("widget", name="edit", value=theirs)
    face = editor("face")
    assert face["state"] == "refused" and "version 2" in face["says"]
    assert editor("value")["edit"] == theirs
    editor("click", name="Reset everything")
    assert editor("value")["edit"] == "{}"
    editor("settle")


def test_a_slider_tells_what_it_does_and_everything_has_its_chinese(editor):
    editor("tab", group="brows")
    assert "Draws the person's right brow down and inwards." in editor("tips")
    assert editor("untranslated") == []


def test_the_switch_for_both_sides_is_remembered(editor):
    assert editor("mirrored")
    editor("click", name="Move both sides")
    try:
        editor("reload")
        editor("faults")  # requests that the page has left behind
        assert not editor("mirrored")
        editor("tab", group="brows")
        assert "Lower the brow, the person's right" in dict(editor("sliders"))
    finally:
        editor("click", name="Move both sides")


def test_every_control_of_a_handle_exists(renderer, page):
    assert set(page("movedByHandles")) <= CONTROLS.keys()


# --- the timeline


@pytest.fixture
def timeline(renderer, page):
    """The page with one timeline that has its face."""
    page("editors", files=[PORTRAIT], type="MIMAFaceKeyframeMotion")
    page("source", count=1)
    return page


def curves(page):
    return json.loads(page("value")["edit"]).get("curves", {})


def test_a_run_gives_the_timeline_its_length_and_the_waveform(timeline):
    assert json.loads(timeline("value")["edit"])["length"] == 3.0
    assert timeline("timeline")["wave"].count("M") >= 300


def test_dragging_the_face_sets_keys_at_the_playhead(timeline):
    timeline("drag", handle="jaw", dy=0.05)
    first = timeline("value")
    timeline("within", part=".mf-ruler", origin=[0.5, 0.5], to=[0.5, 0.5])
    timeline("drag", handle="jaw", dy=0.05)
    (early, *_), (late, *_) = curves(timeline)["jaw_open"]
    assert (early, late) == (0, 1.52)
    assert timeline("value")["steps"] == min(first["steps"] + 1, 50)  # which are kept
    there = timeline("face")
    timeline("within", part=".mf-ruler", origin=[0.5, 0.5], to=[0.0, 0.5])
    assert moved(there, timeline("face"))
    timeline("history", key="Control+z")
    assert timeline("value")["edit"] == first["edit"]
    timeline("settle")


def test_keys_are_made_moved_and_taken_away_on_their_lane(timeline):
    timeline("drag", handle="head", dx=0.1)
    lane = "[data-lane=yaw] .mf-lane-track"
    timeline("within", part=lane, origin=[0.5, 0.8])
    made = curves(timeline)["yaw"]
    assert len(made) == 2 and made[1][1] < -20
    timeline("within", part=lane, origin=[0.5, 0.8], to=[0.75, 0.5])
    (first, second) = curves(timeline)["yaw"]
    assert first == made[0] and second[0] > 2.1 and abs(second[1]) < 3
    assert "frame 56" in timeline("timeline")["told"] or "frame 57" in timeline("timeline")["told"]
    timeline("within", part=lane, origin=[0.4, 0.5], to=[0.4, 0.1])  # the line is not picked: the playhead moves
    assert curves(timeline)["yaw"] == [first, second] and abs(timeline("timeline")["time"] - 1.2) < 0.05
    timeline("keys", focus="key:yaw:1", keys=["ArrowLeft", "ArrowUp"])
    assert curves(timeline)["yaw"][1][:2] == [round(second[0] - 0.04, 5), second[1] + 0.5]
    timeline("keys", focus="key:yaw:1", keys=["Delete"])
    assert curves(timeline)["yaw"] == [first]


def test_the_page_evaluates_keys_as_a_run_does(renderer, page):
    import torch

    keys = [
        [0.2, -1, "smooth"],
        [0.6, 2, "ease_in"],
        [1.0, 0, "hold"],
        [1.4, 3, "ease_out"],
        [1.8, 1, "linear"],
        [2, 0],
    ]
    times = [i / 37 for i in range(150)]
    for loop in ("none", "repeat", "ping_pong"):
        text = json.dumps({"version": 1, "fps": 25, "length": 2, "loop": loop, "curves": {"yaw": keys}})
        there = Keyframes.read(text, {"yaw": (-45, 45)}).at(torch.tensor(times, dtype=torch.float64))["yaw"]
        assert page("positions", text=text, control="yaw", times=times) == pytest.approx(there.tolist(), abs=1e-4)
