"""A real ComfyUI with this extension: it loads, lists every node, and draws the same frames as the runner.

Runs when COMFYUI_DIR names a ComfyUI folder, see support/comfyui_server.py.
"""

import json
import os
import re
import subprocess
import urllib.error

import numpy as np
import pytest
import torch
from PIL import Image
from support.checkout import COMMAND, ROOT
from support.comfyui_server import COMFYUI, PYTHON, fetched
from support.scenes import needs_faces

from mimaface.mimaface_core.media.audio import read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.nodes import NODES

REALTIME = ["talk_realtime", "reenact_realtime"]
pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it"),
    needs_faces,
]


def test_the_extension_loads_without_warnings_and_lists_every_node(server):
    address, log = server
    text = log.read_text()
    loaded = [line for line in text.splitlines() if "ComfyUI-MIMAFace" in line]
    assert any(re.search(r"\d seconds: ", line) for line in loaded), text[-3000:]
    bad = re.compile(r"warn|error|fail|traceback|exception|skip", re.IGNORECASE)
    assert not [line for line in text.splitlines() if "mimaface" in line.lower() and bad.search(line)]
    infos = fetched(address, "/object_info")
    for node in NODES:
        name = node.GET_SCHEMA().node_id
        ours, theirs = node.GET_NODE_INFO_V1(), infos[name]
        assert theirs["category"] == "MIMAFace" and theirs["input_order"] == ours["input_order"]
        assert theirs["output"] == ours["output"] and theirs["output_name"] == ours["output_name"]
    assert "tiny" in infos["MIMAFaceLoadPack"]["input"]["required"]["pack"][1]["options"]


def test_blueprints_are_listed_and_served(server):
    address, _ = server
    try:
        listed = fetched(address, "/global_subgraphs")
    except urllib.error.HTTPError:
        pytest.skip("this ComfyUI is older than blueprints")
    ours = {entry["name"]: key for key, entry in listed.items() if "ComfyUI-MIMAFace" in entry["info"]["node_pack"]}
    files = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "subgraphs").glob("*.json")}
    assert ours.keys() == files.keys()
    for name, key in ours.items():
        assert fetched(address, f"/global_subgraphs/{key}")["data"] == files[name]


def drawn_in_both(server, base, *arguments):
    """Frames of a graph as PNG files, from the runner and from ComfyUI: {"here": {name: pixels}, "there": …}."""
    address, log = server
    if arguments[0] in REALTIME:
        arguments = [*arguments, "--set", "pack.pack=tiny-implicit"]
    else:
        arguments = [*arguments, "--set", "pack.pack=tiny", "--set", "sampler.steps=2", "--set", "sampler.seed=5"]
    arguments += ["--set", "video.format=png", "--set", "full.format=png"]
    environment = os.environ | {"MIMAFACE_MODELS": str(base / "models" / "mimaface")}
    drawn = {}
    for place, extra in (("here", []), ("there", ["--server", address])):
        folder = base / arguments[0] / place
        done = subprocess.run(
            [PYTHON, "-c", COMMAND, "run", *arguments, *extra, "--output-dir", str(folder)],
            check=False,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-2000:] + log.read_text()[-3000:]
        files = sorted(folder.rglob("*.png"))
        drawn[place] = {file.name: np.array(Image.open(file)).astype(int) for file in files}
    assert "Traceback" not in log.read_text()
    return drawn


def test_reenact_video_draws_the_same_frames_as_the_runner(server, base):
    given = ["--input", f"source={base / 'face.png'}", "--input", f"driver={base / 'clip.mp4'}"]
    drawn = drawn_in_both(server, base, "reenact_video", *given)
    assert len(drawn["here"]) == 28 and drawn["here"].keys() == drawn["there"].keys()
    for name, frame in drawn["here"].items():
        assert np.abs(frame - drawn["there"][name]).max() <= 1, name


@pytest.mark.parametrize("name", ["talk", "talk_with_clip"])
def test_talk_draws_the_same_frames_as_the_runner(server, base, name):
    given = ["--input", f"source={base / 'face.png'}", "--input", f"audio={base / 'voice.wav'}"]
    if name == "talk_with_clip":
        given += ["--input", f"driver={base / 'clip.mp4'}", "--set", "speech.borrow=all but the mouth"]
    given += ["--set", f"video.filename_prefix={name}", "--set", f"full.filename_prefix={name}_full"]
    drawn = drawn_in_both(server, base, name, *given)
    assert len(drawn["here"]) == 20 and drawn["here"].keys() == drawn["there"].keys()
    for file, frame in drawn["here"].items():
        assert np.abs(frame - drawn["there"][file]).max() <= 1, file


@pytest.mark.parametrize("name", REALTIME)
def test_implicit_motion_draws_the_same_frames_as_the_runner(server, base, name):
    given = ["--input", f"source={base / 'face.png'}"]
    if name == "talk_realtime":
        given += ["--input", f"audio={base / 'voice.wav'}", "--set", "speech.steps=2", "--set", "speech.head=0.5"]
    else:
        given += ["--input", f"driver={base / 'clip.mp4'}"]
    given += ["--set", f"video.filename_prefix={name}", "--set", f"full.filename_prefix={name}_full"]
    drawn = drawn_in_both(server, base, name, *given)
    assert len(drawn["here"]) in (20, 28) and drawn["here"].keys() == drawn["there"].keys()
    for file, frame in drawn["here"].items():
        assert np.abs(frame - drawn["there"][file]).max() <= 1, file


def test_a_video_of_comfyui_has_the_whole_voice(server, base):
    address, log = server
    arguments = ["run", "talk", "--input", f"source={base / 'face.png'}", "--input", f"audio={base / 'voice.wav'}"]
    arguments += ["--set", "pack.pack=tiny", "--server", address, "--output-dir", str(base / "films")]
    done = subprocess.run([PYTHON, "-c", COMMAND, *arguments], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:] + log.read_text()[-3000:]
    for file in json.loads(done.stdout.splitlines()[-1])["outputs"]:
        audio = read_audio(file)
        assert len(list(Clip.open(file))) == 10 and audio.waveform.shape == (2, 17640)
        assert torch.nonzero(audio.waveform.abs().amax(0) > 0.2)[0].item() == pytest.approx(4410, abs=90)


def test_sadtalker_without_weights_is_refused_before_anything_runs(server, base):
    address, _ = server
    arguments = ["run", "talk", "--input", f"source={base / 'face.png'}", "--input", f"audio={base / 'voice.wav'}"]
    arguments += ["--set", "pack.pack=tiny", "--set", "speech.driver=sadtalker", "--server", address]
    done = subprocess.run(
        [PYTHON, "-c", COMMAND, *arguments, "--output-dir", str(base / "none")],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 2 and "node 'speech'" in done.stderr and "SadTalker" in done.stderr, done.stderr
