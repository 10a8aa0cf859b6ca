"""ComfyUI's page with this extension, in a real browser: search, templates, dropped files, help, Chinese, and a run.

The page is served twice: by browser/serve.py, with the front end of `comfyui-frontend-package` and no ComfyUI behind
it, and by ComfyUI itself where COMFYUI_DIR names one. Screenshots are left in the folder BROWSER_SCREENSHOTS,
if there is one.
"""

import json
import re
import urllib.request
from itertools import pairwise
from urllib.parse import urlencode

import numpy as np
import pytest
from PIL import Image
from support.comfyui_server import COMFYUI, ROOT
from support.page import BLUEPRINTS, needs_browser
from support.scenes import SIDE, needs_faces

from mimaface.headless.validate import FRONT_END_ONLY
from mimaface.nodes import NODES

TEMPLATES = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
SCHEMAS = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in NODES}
CHINESE = json.loads((ROOT / "locales" / "zh" / "nodeDefs.json").read_text(encoding="utf-8"))

pytestmark = [needs_browser, needs_faces]


def test_the_page_loads_without_an_error(browser):
    assert browser("faults") == []


def test_a_search_finds_every_node(page):
    count = len(SCHEMAS) + len(page.blueprints())
    found = page("search", text="MIMAFace", count=count)
    assert len(found) == count
    for schema in SCHEMAS.values():
        assert [text for text in found if schema.display_name in text], schema.display_name


@pytest.mark.long
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_node_is_added_by_its_name_and_opens_its_help(page, name):
    schema = SCHEMAS[name]
    added = page("add", name=schema.display_name)
    assert (added["type"], added["title"]) == (name, schema.display_name)
    assert {slot.display_name or slot.id for slot in schema.inputs} <= set(added["shown"])
    text = (ROOT / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
    title, _, what = text.replace("**", "").splitlines()[:3]
    shown = page("help", heading=title.removeprefix("# "))
    assert what in shown["text"]
    assert len(shown["pictures"]) == text.count("![") and all(width > 0 for width in shown["pictures"])


def sent(graph):
    """The graph that *Run* would send, in the API format: without the inputs of the page.

    A camera's picture is taken as the graph is sent; here the graph's own stands for it, and its size.
    """
    camera = {"image": "mimaface_portrait.jpg", "width": 0, "height": 0}
    return {
        key: {
            "inputs": {
                name: camera.get(name, value) if node["class_type"] == "WebcamCapture" else value
                for name, value in node["inputs"].items()
                if name not in FRONT_END_ONLY
            },
            "class_type": node["class_type"],
            "_meta": {"title": node["_meta"]["title"]},
        }
        for key, node in graph["sends"].items()
    }


def api(name):
    return json.loads((ROOT / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("way", ["template", "drop"])
def test_a_workflow_opens_without_faults_and_sends_its_api_graph(page, name, way):
    file = ROOT / "workflows" / f"{name}.json"
    page(way, **({"name": name} if way == "template" else {"file": str(file)}))
    graph = page("graph")
    assert graph["wrong"] == []
    assert sorted(graph["titles"]) == sorted(node["title"] for node in json.loads(file.read_text())["nodes"])
    assert sent(graph) == api(name)


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_blueprint_is_added_by_its_name_as_one_node(page, name):
    if name not in page.blueprints():
        assert page.place == "comfyui"
        pytest.skip("this ComfyUI is too old to list blueprints")
    page("add", name=name)
    inside = page("inside")
    assert inside["missing"] == []
    (box,) = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    assert sorted(inside["types"]) == sorted(node["type"] for node in box["nodes"])
    assert {slot["name"] for slot in box["inputs"]} <= set(inside["inputs"])


def test_chinese_names_are_shown_in_chinese(page, shots):
    try:
        page("open", settings={"Comfy.Locale": "zh"})
        page("blank")
        names = [entry["display_name"] for entry in CHINESE.values()]
        found = page("search", text="MIMAFace", count=len(names))
        page("shot", path=str(shots / f"chinese_search_{page.place}.png"))
        assert [name for name in names if not any(name in text for text in found)] == []
        page("blank")
        entry = CHINESE["MIMAFaceEditMotion"]
        added = page("add", name=entry["display_name"])
        page("shot", path=str(shots / f"chinese_node_{page.place}.png"))
        assert added["title"] == entry["display_name"]
        assert {slot["name"] for slot in entry["inputs"].values()} <= set(added["shown"])
    finally:
        page("open", settings={"Comfy.Locale": "en"})


@pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to run a graph from its page")
@pytest.mark.parametrize("browser", ["comfyui"], indirect=True)
@pytest.mark.parametrize("name", ["reenact_video", "talk"])
def test_a_run_shows_its_progress_and_then_the_video_plays(page, shots, name):
    page("template", name=name)
    page("set", title="pack", widget="pack", value="tiny")
    page("set", title="sampler", widget="steps", value=4)
    page("set", title="video", widget="filename_prefix", value=f"page_{name}")
    page("set", title="full", widget="filename_prefix", value=f"page_{name}_full")
    run = page("run", shot=str(shots / f"running_{name}.png"))
    assert run["end"] == "success"
    assert {"sampler", "paste", "video", "full"} <= set(run["executed"])
    assert run["steps"] >= 4 and run["previews"] >= 1 and "sampler" in run["lit"]
    videos = {re.sub(r"_\d+_?\.mp4$", "", video["name"]): video for video in page("videos", count=2)}
    assert videos.keys() >= {f"page_{name}", f"page_{name}_full"}
    assert all(video["duration"] > 0.3 for video in videos.values())
    sizes = {name: video["size"] for name, video in videos.items()}
    assert sizes[f"page_{name}"] == [SIDE, SIDE] and sizes[f"page_{name}_full"] == [320, 300]
    # the outputs shown by now must not add inputs to the exported graph
    inputs = {key: node["inputs"].keys() for key, node in sent(page("graph")).items()}
    assert inputs == {key: node["inputs"].keys() for key, node in api(name).items()}


@pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to run a graph from its page")
@pytest.mark.parametrize("browser", ["comfyui"], indirect=True)
def test_a_stream_moves_with_the_camera_from_run_to_run(page, shots):
    page("template", name="stream")
    shown = []
    for number in range(4):
        assert page("run", shot=str(shots / f"stream_{number}.png"))["end"] == "success"
        shown.append(previewed(page.address))
    page("shot", path=str(shots / "stream.png"))
    assert {picture.shape for picture in shown} == {shown[0].shape}
    assert min(np.abs(a - b).mean() for a, b in pairwise(shown)) > 0.3  # of 255: the head has turned meanwhile


def previewed(address):
    """The image that the last run's Preview Image shows, float [H, W, 3]."""
    with urllib.request.urlopen(f"{address}/history?max_items=1", timeout=60) as answer:
        (run,) = json.load(answer).values()
    (image,) = (image for output in run["outputs"].values() for image in output["images"] if image["type"] == "temp")
    with urllib.request.urlopen(f"{address}/view?{urlencode(image)}", timeout=60) as answer:
        return np.array(Image.open(answer).convert("RGB"), float)
