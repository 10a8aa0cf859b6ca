"""Queueing in a real ComfyUI: refusals, and the nodes that run again after a change.

Runs when COMFYUI_DIR names a ComfyUI folder, see support/comfyui_server.py.
"""

import copy
import json
import shutil
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image
from support.checkout import ROOT
from support.comfyui_server import COMFYUI, fetched
from support.scenes import clip, moved, needs_faces, nodding
from support.tiny_pack import write_tiny_pack
from support.tracks import track

GRAPH = json.loads((ROOT / "workflows" / "api" / "reenact_video.json").read_text())
TITLES = {node["_meta"]["title"]: key for key, node in GRAPH.items()}
TRACKED = {"source_face", "driver_motion"}

pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it"),
    needs_faces,
]


def changed(**inputs):
    """The graph with inputs changed: title__input=value."""
    graph = copy.deepcopy(GRAPH)
    for name, value in {
        "source__image": "face.png",
        "driver__file": "clip.mp4",
        "pack__pack": "tiny",
        **inputs,
    }.items():
        title, _, key = name.partition("__")
        graph[TITLES[title]]["inputs"][key] = value
    return graph


def queued(address, graph):
    """Queue a graph; gives the status and the server's answer."""
    request = urllib.request.Request(f"{address}/prompt", json.dumps({"prompt": graph}).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def ended(address, graph):
    """Run a graph; gives its history."""
    status, answer = queued(address, graph)
    assert status == 200, answer
    until = time.monotonic() + 300
    while time.monotonic() < until:
        history = fetched(address, f"/history/{answer['prompt_id']}").get(answer["prompt_id"])
        if history:
            return history
        time.sleep(0.2)
    pytest.fail("the graph did not end")


def finished(address, graph):
    """Run a graph; gives the messages about it, by event."""
    status = ended(address, graph)["status"]
    assert status["status_str"] == "success", status
    return dict(status["messages"])


def executed(address, graph):
    """Run a graph; gives the titles of the nodes that ran: all but those that ComfyUI took from its cache."""
    cached = finished(address, graph)["execution_cached"]["nodes"]
    return {title for title, key in TITLES.items() if key not in cached}


@pytest.fixture
def inputs(base):
    """The input folder, with a portrait and a clip."""
    shutil.copy(base / "face.png", base / "input" / "face.png")
    shutil.copy(base / "clip.mp4", base / "input" / "clip.mp4")
    return base / "input"


def test_a_change_runs_only_what_depends_on_it(server, base, inputs):
    address, _ = server
    graph = changed(sampler__steps=1)
    assert executed(address, graph) == set(TITLES)
    assert executed(address, graph) == set()

    slider = executed(address, changed(sampler__steps=1, retarget__expression=0.5))
    assert {"retarget", "appearance", "sampler", "paste", "video", "full"} == slider

    clip(inputs / "clip.mp4", nodding(16))  # another clip of the same name
    replaced = executed(address, changed(sampler__steps=1, retarget__expression=0.5))
    assert {"driver", "driver_motion", "smooth", "retarget"} <= replaced
    assert not {"source", "source_face", "pack"} & replaced

    write_tiny_pack(base / "models" / "mimaface" / "tiny", picture_size=512)  # new weights under the same manifest
    assert {"pack", "sampler", *TRACKED} <= executed(address, changed(sampler__steps=1, retarget__expression=0.5))


def motion_graph(motion):
    return {
        "1": {"class_type": "MIMAFaceLoadMotion", "inputs": {"motion": motion}},
        "2": {"class_type": "MIMAFacePlotMotion", "inputs": {"motion": ["1", 0], "width": 320, "height": 320}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    }


def test_a_rewritten_motion_file_is_read_again(server, inputs):
    address, _ = server
    for frames in (5, 9):
        track(frames).save(inputs / "own.safetensors")
        assert finished(address, motion_graph("own.safetensors"))["execution_cached"]["nodes"] == []
    again = finished(address, motion_graph("own.safetensors"))
    assert set(again["execution_cached"]["nodes"]) == {"1", "2", "3"}


REFUSED = {
    "an option of a newer version":
        ({"driver_motion__lost": "guess"}, "driver_motion", "choose rest or interpolate"),
    "a mode of a newer version": ({"retarget__mode": "physical"}, "retarget", "choose relative or absolute"),
    "an overlap too long":
        ({"sampler__clip_frames": 4, "sampler__overlap": 4}, "sampler", "an overlap below clip_frames"),
    "too many steps": ({"sampler__scheduler": "lcm", "sampler__steps": 60}, "sampler", "at most 50 steps"),
    "a range that the node checks itself": ({"sampler__steps": 101}, "sampler", "at least 0 and at most 100"),
    "a file outside": ({"video__filename_prefix": "../../x"}, "video", "leaves the output folder"),
    "a format of a newer version": ({"full__format": "avif"}, "full", "choose mp4 or webm"),
    "no such pack": ({"pack__pack": "other"}, "pack", "There is no model pack 'other'"),
    "half a pack": ({"pack__pack": "half"}, "pack", "unet.safetensors is not there"),
    "a file of a pack cut short": ({"pack__pack": "short"}, "pack", "vae.safetensors cannot be read: it is cut short"),
    "a pack without its manifest": ({"pack__pack": "bare"}, "pack", "manifest.json is missing"),
    "a pack of a newer version": ({"pack__pack": "newer"}, "pack", "a newer version of this project reads"),
}  # fmt: skip


@pytest.fixture(scope="module")
def broken(base):
    """Packs that cannot be used, in the models folder."""
    models = base / "models" / "mimaface"
    for name in ("half", "short", "bare", "newer"):
        write_tiny_pack(models / name)
    (models / "half" / "unet.safetensors").unlink()
    whole = (models / "short" / "vae.safetensors").read_bytes()
    (models / "short" / "vae.safetensors").write_bytes(whole[:-40])
    (models / "bare" / "manifest.json").unlink()
    manifest = json.loads((models / "newer" / "manifest.json").read_text())
    (models / "newer" / "manifest.json").write_text(json.dumps(manifest | {"format": 2, "vae": "elsewhere"}))


@pytest.mark.parametrize("what", REFUSED)
def test_a_graph_that_cannot_run_is_refused_when_queued(server, inputs, broken, what):
    inputs_changed, title, words = REFUSED[what]
    graph = changed(**inputs_changed)
    del graph[TITLES["full" if title == "video" else "video"]]  # so that no output is sound
    status, answer = queued(server[0], graph)
    assert status == 400, answer
    details = {error["details"].partition(" - ")[2] for error in answer["node_errors"][TITLES[title]]["errors"]}
    assert len(details) == 1 and words in details.pop(), answer
    assert set(answer["node_errors"]) == {TITLES[title]}


@pytest.mark.parametrize(
    ("name", "words"), [("gone", "no motion file"), ("broken", "cannot be read"), ("newer", "update")]
)
def test_an_unreadable_motion_file_is_refused_when_queued(server, inputs, name, words):
    from safetensors.torch import save_file

    (inputs / "broken.safetensors").write_bytes(b"no motion")
    save_file({"x": track(1).gaze}, inputs / "newer.safetensors", {"format": "mimaface.motion.2"})
    status, answer = queued(server[0], motion_graph(f"{name}.safetensors"))
    assert status == 400 and words in json.dumps(answer["node_errors"]["1"]), answer


def test_images_made_into_a_video_are_written_without_loss(server, base, inputs):
    """ComfyUI would encode them, which loses detail and fails for odd sizes."""
    Image.fromarray(moved(size=(63, 49))).save(inputs / "odd.png")
    video = {"frames": ["3", 0], "filename_prefix": "odd", "format": "png", "fps": 0, "watermark": False}
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "odd.png"}},
        "2": {"class_type": "RepeatImageBatch", "inputs": {"image": ["1", 0], "amount": 2}},
        "3": {"class_type": "CreateVideo", "inputs": {"images": ["2", 0], "fps": 25}},
        "4": {"class_type": "MIMAFaceCombineVideo", "inputs": video},
    }
    finished(server[0], graph)
    written = sorted((base / "output").glob("odd_*/*.png"))
    assert len(written) == 2
    for path in written:
        assert np.array_equal(np.array(Image.open(path)), np.array(Image.open(inputs / "odd.png")))


def test_an_unknown_input_with_a_link_is_named(server, inputs):
    track(5).save(inputs / "own.safetensors")
    graph = motion_graph("own.safetensors")
    graph["2"]["inputs"]["like"] = ["1", 0]
    history = ended(server[0], graph)
    (failure,) = [details for event, details in history["status"]["messages"] if event == "execution_error"]
    assert failure["node_id"] == "2" and "has no input like; update this extension" in failure["exception_message"]


def test_an_unknown_node_is_named(server, inputs):
    graph = motion_graph("own.safetensors") | {"4": {"class_type": "MIMAFaceRelight", "inputs": {}}}
    status, answer = queued(server[0], graph)
    assert status == 400 and "MIMAFaceRelight" in answer["error"]["message"]
