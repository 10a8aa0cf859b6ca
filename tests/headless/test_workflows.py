"""The shipped graphs: both formats and the blueprints agree, boxes do not overlap, and each runs to the end."""

import json
import runpy
import socket as network
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from support.scenes import SIDE, clip, moved, needs_faces, nodding, noise, tone, voice

from mimaface.headless.graph import load_graph
from mimaface.headless.node_classes import node_classes, object_info
from mimaface.headless.object_info import input_slots
from mimaface.headless.validate import validate
from mimaface.mimaface_core.media.audio import Audio, read_audio
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.motion.track import MotionTrack
from mimaface.nodes.comfyui.examples import EXAMPLES, offer_examples

ROOT = Path(__file__).resolve().parents[2]
REALTIME = ["reenact_realtime", "talk_realtime"]
BY_HAND = ["edit_face", "keyframes"]
NAMES = sorted(
    ["reenact_image", "reenact_video", "reenact_video_released", "mix_driver_and_hand", "edit_video"]
    + ["talk", "talk_with_clip", "stream", *BY_HAND, *REALTIME]
)
NOTES = ("Note", "MarkdownNote")
TITLE = 30  # height of a node's title bar, which lies above its position
PICTURE = 220  # height that the front end keeps for a picture; a square clip takes its width
PICTURES = ("LoadImage", "MIMAFaceSampleClips", "MIMAFaceRenderImplicit", "MIMAFaceCombineVideo")  # nodes that show one


@pytest.fixture(scope="module")
def known():
    return object_info(node_classes())


def read(name):
    return json.loads((ROOT / "workflows" / name).read_text())


def to_api(ui, known, outer=None):
    """The graph that the front end queues: links and widget values by input name; `outer`: links from outside a box."""
    origin = {link[0]: [str(link[1]), link[2]] for link in ui["links"]} | (outer or {})
    api = {}
    for node in ui["nodes"]:
        if node["type"] in NOTES:
            continue
        inputs, values = {}, iter(node["widgets_values"])
        for name, slot in input_slots(known[node["type"]]).items():
            if slot.widget:
                inputs[name] = next(values)
                if slot.options.get("control_after_generate"):
                    assert next(values) in ("fixed", "increment", "decrement", "randomize")
                if slot.options.get("image_upload") or slot.options.get("video_upload"):
                    assert next(values) == "image"
                if slot.options.get("audio_upload"):  # the player and the button
                    assert (next(values), next(values)) == (None, None)
        assert next(values, None) is None, node["title"]
        for socket in node["inputs"]:
            if socket.get("link") is not None:
                inputs[socket["name"]] = origin[socket["link"]]
        api[str(node["id"])] = {
            "inputs": inputs,
            "class_type": node["type"],
            "_meta": {"title": node["title"]},
        }
    return api


def test_every_workflow_is_there_in_both_formats():
    assert sorted(path.stem for path in (ROOT / "workflows").glob("*.json")) == NAMES
    assert sorted(path.stem for path in (ROOT / "workflows" / "api").glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_workflow_has_a_thumbnail_that_one_command_draws(name):
    path = ROOT / "workflows" / f"{name}.jpg"
    with Image.open(path) as picture:
        assert picture.format == "JPEG" and picture.height >= 200 and picture.width % picture.height == 0
    assert path.stat().st_size <= 40_000
    assert f'"workflows" / "{name}.jpg"' in (ROOT / "tools" / "draw_pictures.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_both_formats_say_the_same(name, known):
    assert to_api(read(f"{name}.json"), known) == read(f"api/{name}.json")


@pytest.mark.parametrize("name", NAMES)
def test_sockets_and_links_fit_the_nodes(name, known):
    ui = read(f"{name}.json")
    nodes = {node["id"]: node for node in ui["nodes"]}
    assert len(nodes) == len(ui["nodes"]) and ui["last_node_id"] == max(nodes)
    for number, giver, out, taker, socket, kind in ui["links"]:
        given, taken = nodes[giver]["outputs"][out], nodes[taker]["inputs"][socket]
        assert number in given["links"] and taken["link"] == number and kind == given["type"]
        assert set(kind.split(",")) & set(taken["type"].split(","))
    for node in nodes.values():
        if node["type"] in NOTES:
            continue
        info, entries = known[node["type"]], input_slots(known[node["type"]])
        shown = {name for name, entry in entries.items() if not entry.options.get("socketless")}
        assert {socket["name"] for socket in node["inputs"]} == shown
        assert [out["type"] for out in node["outputs"]] == info["output"]
        for socket in node["inputs"]:
            widget = entries[socket["name"]].widget
            assert ("widget" in socket) == bool(widget)
            assert widget or socket["type"] == ",".join(entries[socket["name"]].types)


# --- blueprints

SCRIPT = runpy.run_path(str(ROOT / "tools" / "write_blueprints.py"))
BLUEPRINTS = SCRIPT["BLUEPRINTS"]
every_blueprint = pytest.mark.parametrize("name", BLUEPRINTS)


def box_of(name):
    """A blueprint's file, the node that it shows and the graph inside."""
    file = json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))
    (node,), (inside,) = file["nodes"], file["definitions"]["subgraphs"]
    return file, node, inside


def test_blueprints_are_those_of_the_workflows():
    written = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "subgraphs").iterdir()}
    assert written == {name: SCRIPT["text"](name) for name in BLUEPRINTS}, "run `python tools/write_blueprints.py`"


@every_blueprint
def test_a_box_with_loaders_before_it_is_the_workflow(name, known):
    _, node, inside = box_of(name)
    api = read(f"api/{BLUEPRINTS[name].workflow}.json")
    assert node["type"] == inside["id"] and [slot["name"] for slot in node["outputs"]] == ["full", "video"]
    # what reaches the box: links of loaders, values of its widgets
    loaders = {
        entry["_meta"]["title"]: [key, 0] for key, entry in api.items() if entry["class_type"].startswith("Load")
    }
    values, reaching = iter(node["widgets_values"]), {}
    for slot, (shown, own) in enumerate(zip(node["inputs"], inside["inputs"], strict=True)):
        assert (shown["name"], shown["type"]) == (own["name"], own["type"])
        reaching[slot] = next(values) if "widget" in shown else loaders.pop(shown["name"])
    assert next(values, None) is None and not loaders
    # inside, as the front end would queue it
    flat = {"links": [], "nodes": inside["nodes"]}
    for link in inside["links"]:
        if link["origin_id"] != -10 and link["target_id"] != -20:
            ends = (link["origin_id"], link["origin_slot"], link["target_id"], link["target_slot"], link["type"])
            flat["links"].append([link["id"], *ends])
    outer = {link["id"]: reaching[link["origin_slot"]] for link in inside["links"] if link["origin_id"] == -10}
    queued = to_api(flat, known, outer)
    assert queued == {key: entry for key, entry in api.items() if not entry["class_type"].startswith("Load")}


@every_blueprint
def test_links_of_a_box_fit_their_sockets(name):
    file, _, inside = box_of(name)
    nodes = {inner["id"]: inner for inner in inside["nodes"]}
    assert file["links"] == [] and len({link["id"] for link in inside["links"]}) == len(inside["links"])
    for link in inside["links"]:
        before, after = link["origin_id"] == -10, link["target_id"] == -20
        given = (inside if before else nodes[link["origin_id"]])["inputs" if before else "outputs"][link["origin_slot"]]
        taken = (inside if after else nodes[link["target_id"]])["outputs" if after else "inputs"][link["target_slot"]]
        assert link["id"] in (given["linkIds"] if before else given["links"])
        assert link["id"] in taken["linkIds"] if after else link["id"] == taken["link"]
        assert link["type"] == given["type"]
        assert set(link["type"].split(",")) & set(taken["type"].split(","))
    ends = {link["id"] for link in inside["links"]}
    assert {entry["link"] for inner in nodes.values() for entry in inner["inputs"]} - {None} <= ends
    for socket in (*inside["inputs"], *inside["outputs"]):
        assert socket["linkIds"], f"{socket['name']} leads nowhere"
    assert inside["category"] == "MIMAFace" and inside["description"] == file["extra"]["BlueprintDescription"]


def boxes(ui):
    for node in ui["nodes"]:
        (x, y), (w, h) = node["pos"], node["size"]
        yield node["title"], (x, y - TITLE, x + w, y + h)


def apart(a, b):
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("name", NAMES)
def test_boxes_are_clear_of_each_other_and_read_from_left_to_right(name):
    ui = read(f"{name}.json")
    placed = list(boxes(ui))
    for i, (title, box) in enumerate(placed):
        for other, its in placed[:i]:
            assert apart(box, its), (title, other)
    groups = [
        (*g["bounding"][:2], g["bounding"][0] + g["bounding"][2], g["bounding"][1] + g["bounding"][3])
        for g in ui["groups"]
    ]
    for i, group in enumerate(groups):
        assert all(apart(group, other) for other in groups[:i])
    for title, box in placed:
        inside = [g for g in groups if g[0] <= box[0] and g[1] <= box[1] and g[2] >= box[2] and g[3] >= box[3]]
        assert len(inside) == 1 or all(apart(box, group) for group in groups), title
    left = {node["id"]: node["pos"][0] for node in ui["nodes"]}
    assert all(left[link[1]] <= left[link[3]] for link in ui["links"])


@pytest.mark.parametrize("name", NAMES)
def test_no_box_grows_over_its_neighbours_when_it_shows_a_picture(name):
    for node in read(f"{name}.json")["nodes"]:
        if node["type"] not in NOTES:
            width, height = node["size"]
            sockets = max(sum("widget" not in socket for socket in node["inputs"]), len(node["outputs"]))
            needed = 20 * sockets + 24 * len(node["widgets_values"]) + 14
            if node["type"] == "LoadAudio":
                needed += 20  # the player
            if node["type"] == "LoadVideo" or "mp4" in node["widgets_values"]:
                needed += width - 8
            elif node["type"] in PICTURES:
                needed += PICTURE
            assert height >= needed, node["title"]


@pytest.mark.parametrize("name", NAMES)
def test_a_graph_is_sound_and_lists_the_portrait_first(name, known, tmp_path):
    offer_examples(tmp_path)
    graph = load_graph(ROOT / "workflows" / "api" / f"{name}.json")
    for node in graph.values():
        if node.title == "pack":
            node.inputs["pack"] = known["MIMAFaceLoadPack"]["input"]["required"]["pack"][1]["options"][0]
    assert validate(graph, known, folders=[tmp_path]) == []
    titles = [node.title for node in graph.values()]
    drawing = {"edit_video": "edited", "stream": "stream"}.get(name, "render" if name in REALTIME else "sampler")
    given = "shown" if name == "stream" else "video"
    assert {"source", "pack", drawing, given} <= set(titles) and len(set(titles)) == len(titles)
    assert ("driver" in titles) == (name not in ("edit_video", "talk", "talk_realtime", *BY_HAND))
    assert ("audio" in titles) == name.startswith("talk")
    if name not in ("edit_video", "stream"):  # which is whole already, or the face alone
        assert titles.index("video") < titles.index("full")


def test_examples_are_laid_out_once_and_replace_nothing(tmp_path):
    mine = tmp_path / "mimaface_portrait.jpg"
    mine.write_bytes(b"my own")
    offer_examples(tmp_path)
    assert mine.read_bytes() == b"my own"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(EXAMPLES)
    offer_examples(tmp_path / "none")  # no such folder: ComfyUI starts nevertheless


# --- from end to end


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Nothing is looked up or called while a workflow is checked or runs, also where the failure would be hidden."""
    asked = []

    def refuse(*arguments, **_):
        asked.append(arguments)
        raise OSError("no network here")

    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(network, name, refuse)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(network.socket, name, refuse)
    yield
    assert asked == []


@needs_faces
def test_reenact_video(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    tone = Audio(torch.sin(torch.arange(48000) / 20)[None], 48000)
    clip(Path("clip.mp4"), nodding(14), Fraction(30000, 1001), tone)
    status, files, err = run("reenact_video", "--input", "source=face.png", "--input", "driver=clip.mp4")
    assert status == 0, err
    assert [file.name for file in files] == ["mimaface_00001_.mp4", "mimaface_full_00001_.mp4"]
    for file, size in zip(files, [(SIDE, SIDE), (320, 300)]):
        film = Clip.open(file)
        assert (film.width, film.height) == size and film.fps == Fraction(30000, 1001)
        assert len(list(film)) == 14 and read_audio(file) is not None


@needs_faces
def test_reenact_video_with_a_clip_of_one_frame_gives_a_picture(run):
    Image.fromarray(moved()).save("face.png")
    clip(Path("clip.mp4"), nodding(1))
    status, files, err = run("reenact_video", "--input", "source=face.png", "--input", "driver=clip.mp4")
    assert status == 0 and [file.suffix for file in files] == [".png", ".png"], err


@needs_faces
def test_stream(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    Image.fromarray(moved(8)).save("camera.png")
    given = ["--input", "source=face.png", "--input", "driver=camera.png"]
    status, files, err = run("stream", *given, *REAL_TIME, steps=None)
    assert status == 0, err
    assert [Image.open(file).size for file in files] == [(128, 128)]


@needs_faces
def test_reenact_image(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    Image.fromarray(moved(8)).save("other.png")
    status, files, err = run("reenact_image", "--input", "source=face.png", "--input", "driver=other.png")
    assert status == 0, err
    assert [Image.open(file).size for file in files] == [(SIDE, SIDE), (320, 300)]


@needs_faces
def test_edit_face_and_the_same_seed_gives_the_same_picture(run):
    Image.fromarray(moved()).save("face.png")
    pictures = []
    for seed, yaw in ((1, 0), (1, 0), (2, 0), (1, 20)):
        given = ["--set", f"sampler.seed={seed}", "--set", f"edit.yaw={yaw}"]
        status, files, err = run("edit_face", "--input", "source=face.png", *given)
        assert status == 0, err
        pictures.append(np.array(Image.open(files[0])).astype(int))
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[0], pictures[2])
    assert np.abs(pictures[3] - pictures[0]).mean() > 2


@needs_faces
def test_keyframes(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    keys = {"fps": 4, "length": 1, "curves": {"yaw": [[0, 0], [1, 25]]}}
    given = ["--set", f"keyframes.keyframes={json.dumps(keys)}"]
    status, files, err = run("keyframes", "--input", "source=face.png", *given)
    assert status == 0, err
    for file, size in zip(files, [(SIDE, SIDE), (320, 300)], strict=True):
        film = Clip.open(file)
        assert (film.width, film.height) == size and film.fps == 4 and len(list(film)) == 4
    first, *_, last = (frame.float() for frame in Clip.open(files[0]))
    assert (last - first).abs().mean() > 2
    status, _, err = run(
        "keyframes", "--input", "source=face.png", "--set", 'keyframes.keyframes={"curves": {"x": []}}'
    )
    assert status == 2 and "unknown control 'x'" in err


@needs_faces
def test_mix_driver_and_hand(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    clip(Path("clip.mp4"), nodding(2))
    inputs = ["--input", "source=face.png", "--input", "driver=clip.mp4"]
    drawn = []
    for pitch in (0, 15):
        edit = json.dumps({"controls": {"pitch": pitch}})
        status, files, err = run("mix_driver_and_hand", *inputs, "--set", f"hand.edit={edit}")
        assert status == 0, err
        drawn.append(torch.stack(list(Clip.open(files[0]))).float())
    assert drawn[0].shape == (2, SIDE, SIDE, 3) and (drawn[1] - drawn[0]).abs().mean((1, 2, 3)).min() > 1


@needs_faces
def test_edit_video(run):
    clip(Path("clip.mp4"), [*nodding(1), noise(), *nodding(1)], 25, tone(0.1, 0.1))
    edit = json.dumps({"controls": {"mouth_open": 1}})
    status, files, err = run("edit_video", "--input", "source=clip.mp4", "--set", f"hand.edit={edit}", steps=None)
    assert status == 0 and len(files) == 1, err
    before, after = (torch.stack(list(Clip.open(file))).float() for file in ("clip.mp4", files[0]))
    assert after.shape == before.shape == (3, 256, 256, 3) and read_audio(files[0]) is not None
    change = (after - before).abs()
    face, corner = change[:, 90:190, 80:180].mean((1, 2, 3)), change[:, :20, :20].mean((1, 2, 3))
    assert face[[0, 2]].min() > 2 * corner.max(), "every face opens its mouth, and nothing else moves"
    assert change[1].mean() < 3, "a frame without a face stays"


@needs_faces
def test_a_cut_out_stays_one_and_its_edge_moves_with_the_head(run):
    alpha = Image.new("L", (256, 256))
    ImageDraw.Draw(alpha).ellipse((90, 20, 166, 230), fill=255)
    cut_out = Image.new("RGBA", (256, 256))
    cut_out.paste(Image.fromarray(moved()), mask=alpha)
    cut_out.save("face.png")
    status, files, err = run(
        "edit_face", "--input", "source=face.png", "--set", "edit.shift_x=5", "--set", "edit.yaw=0"
    )
    assert status == 0, err
    for file, side in zip(files, (SIDE, 256), strict=True):
        made = Image.open(file)
        assert made.mode == "RGBA" and made.size == (side, side)
    still, shifted = np.asarray(alpha) > 127, np.asarray(Image.open(files[1]))[..., 3] > 127
    row = slice(90, 110)  # at the height of the eyes
    assert shifted[row].any() and np.argwhere(shifted[row])[:, 1].mean() > np.argwhere(still[row])[:, 1].mean() + 1
    assert (shifted != still).mean() < 0.1
    status, files, err = run("reenact_image", "--input", "source=face.png", "--input", "driver=face.png")
    assert status == 0 and Image.open(files[0]).mode == "RGBA", err


REAL_TIME = ("--set", "pack.pack=tiny-implicit")


@needs_faces
def test_talk_realtime(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    voice("voice.wav", tone(0.4, 0.8))
    given = ["--input", "source=face.png", "--input", "audio=voice.wav", *REAL_TIME, "--set", "speech.steps=2"]
    status, files, err = run("talk_realtime", *given, steps=None)
    assert status == 0, err
    assert [file.name for file in files] == ["mimaface_00001_.mp4", "mimaface_full_00001_.mp4"]
    for file, size in zip(files, [(128, 128), (320, 300)]):
        film = Clip.open(file)
        assert (film.width, film.height) == size and film.fps == 25
        assert len(list(film)) == 30 and read_audio(file) is not None
    status, _, err = run("talk_realtime", *given, "--set", "pack.pack=tiny", steps=None)
    assert status == 2 and "a pack with a face model; give one for implicit motion" in err


@needs_faces
def test_reenact_realtime(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    clip(Path("clip.mp4"), nodding(9), Fraction(30000, 1001))
    given = ["--input", "source=face.png", "--input", "driver=clip.mp4", *REAL_TIME]
    status, files, err = run("reenact_realtime", *given, "--set", "liveliness.head=0.5", steps=None)
    assert status == 0, err
    for file, size in zip(files, [(128, 128), (320, 300)]):
        film = Clip.open(file)
        assert (film.width, film.height) == size and film.fps == Fraction(30000, 1001) and len(list(film)) == 9


def entry(kind, title=None, **inputs):
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": title or kind}}


@needs_faces
def test_nodes_that_the_shipped_graphs_leave_out(run):
    Image.fromarray(moved(size=(320, 300))).save("face.png")
    clip(Path("clip.mp4"), nodding(6))
    measured = {"pack": ["pack", 0], "face": -1, "lost": "interpolate"}
    drawing = {"pack": ["pack", 0], "source": ["source_face", 0], "motion": ["gaze", 0]}
    graph = {
        "pack": entry("MIMAFaceLoadPack", "pack", pack="tiny"),
        "source": entry("LoadImage", "source", image="face.png"),
        "driver": entry("LoadVideo", "driver", file="clip.mp4"),
        "frames": entry("GetVideoComponents", video=["driver", 0]),
        "source_face": entry("MIMAFaceExtract3DMM", picture=["source", 0], **measured),
        "motion": entry("MIMAFaceExtract3DMM", picture=["frames", 0], fps=12.5, **measured),
        "gaze": entry("MIMAFaceDetectGaze", pack=["pack", 0], picture=["driver", 0], motion=["motion", 1]),
        "skin": entry("MIMAFaceRenderMotion", mode="projected", **drawing),
        "model": entry("MIMAFaceRenderMotion", mode="albedo", **drawing),
        "plot": entry("MIMAFacePlotMotion", motion=["gaze", 0], width=640, height=480),
        "save": entry("MIMAFaceSaveMotion", motion=["gaze", 0], filename_prefix="kept"),
        "a": entry("MIMAFaceCombineVideo", frames=["skin", 0], filename_prefix="a", format="png", fps=0.0),
        "b": entry("MIMAFaceCombineVideo", frames=["model", 0], filename_prefix="b", format="mp4", fps=0.0),
        "c": entry("SaveImage", images=["plot", 0], filename_prefix="c"),
    }
    Path("graph.json").write_text(json.dumps(graph))
    status, files, err = run("graph.json", steps=None)
    assert status == 0, err
    names = {file.name for file in files}
    assert {"kept_00001_.safetensors", "b_00001_.mp4", "c_00001_.png"} <= names
    assert len([file for file in files if file.parent.name == "a_00001_"]) == 6
    bare = Clip.open(next(file for file in files if file.suffix == ".mp4"))
    middle = next(iter(bare))[100:150, 100:150].float()
    assert bare.fps == Fraction(25, 2) and middle.mean() > 60 and next(iter(bare))[:10].float().mean() < 12
    kept = MotionTrack.load(next(file for file in files if file.suffix == ".safetensors"))
    assert len(kept) == 6 and kept.fps == Fraction(25, 2)

    # the saved motion is one that any source can be driven with
    again = json.loads((ROOT / "workflows" / "api" / "reenact_video.json").read_text())
    for key in ("2", "5"):
        del again[key]
    again["5"] = entry("MIMAFaceLoadMotion", "driver", motion="")
    again["6"]["inputs"]["motion"] = ["5", 0]
    for key in ("11", "12"):
        del again[key]["inputs"]["sound_of"]
    Path("again.json").write_text(json.dumps(again))
    saved = next(file for file in files if file.suffix == ".safetensors")
    status, files, err = run("again.json", "--input", "source=face.png", "--input", f"driver={saved}")
    assert status == 0 and len(files) == 2, err


@needs_faces
def test_an_appearance_of_another_motion_is_refused(run):
    Image.fromarray(moved()).save("face.png")
    clip(Path("clip.mp4"), nodding(3))
    graph = json.loads((ROOT / "workflows" / "api" / "reenact_video.json").read_text())
    graph["13"] = entry(
        "MIMAFaceEditMotion",
        **{name: value for name, value in read("api/edit_face.json")["7"]["inputs"].items() if name != "face"},
        face=["4", 0],
    )
    graph["8"]["inputs"]["motion"] = ["13", 0]
    Path("graph.json").write_text(json.dumps(graph))
    status, _, err = run("graph.json", "--input", "source=face.png", "--input", "driver=clip.mp4")
    assert status == 2 and "encoded for 1 frames, but the motion has 3" in err
