"""Loading, checking and running of graphs, and the stand-in schema they are run with."""

import json
import weakref
from fractions import Fraction

import pytest
import torch
from PIL import Image
from support import toys
from support.toys import make, node

from mimaface.headless import builtin_nodes as stock
from mimaface.headless.execute import infos, run_graph
from mimaface.headless.files import find_input, free_path, kinds, require_writable
from mimaface.headless.graph import GraphRefused, find_graph, load_graph, override
from mimaface.headless.validate import run_order, validate
from mimaface.mimaface_core.errors import Cancelled, InputError
from mimaface.mimaface_core.media.output_path import next_output_path
from mimaface.mimaface_core.media.read import Clip
from mimaface.mimaface_core.media.write import VideoWriter
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.nodes.comfyui.schema import io

CLASSES = {cls.GET_SCHEMA().node_id: cls for cls in [*stock.STOCK, *toys.TOYS]}


@pytest.fixture
def load(tmp_path):
    def from_entries(**entries):
        path = tmp_path / "graph.json"
        path.write_text(json.dumps(entries))
        return load_graph(path)

    return from_entries


def check(graph, folders=()):
    found = validate(graph, infos(CLASSES), folders=list(folders), classes=CLASSES)
    return [str(problem) for problem in found]


def run(graph, tmp_path):
    assert check(graph, [tmp_path]) == []
    with_temp = TerminalHost(outputs=tmp_path / "out", temp=tmp_path / "temp", inputs=tmp_path)
    return run_graph(graph, CLASSES, with_temp)


# --- loading


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON: Expecting property name enclosed in double quotes in line 1"),
        ("[]", "not an API-format graph"),
        ('{"nodes": [], "links": []}', "UI format"),
        ('{"1": {"inputs": {}}, "2": 5}', "node 1: it has no class_type"),
    ],
)
def test_a_file_that_is_no_graph_is_refused(tmp_path, text, words):
    (tmp_path / "graph.json").write_text(text)
    with pytest.raises(InputError, match=words):
        load_graph(tmp_path / "graph.json")


def test_binary_and_missing_graphs_are_refused(tmp_path):
    (tmp_path / "graph.json").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match="not a text file"):
        load_graph(tmp_path / "graph.json")
    with pytest.raises(InputError, match="no graph file 'nowhere.json'"):
        find_graph("nowhere.json")


def test_overrides_find_nodes_by_title_or_id_and_tell_every_mistake(load, tmp_path):
    graph = load(a=make(), b=node("LoadImage", "source"), c=make("twin"), d=make("twin"))
    known = infos(CLASSES)
    assert override(graph, known, [f"source={tmp_path}/x.png"], ["maker.steps=9", "c.mode=absolute"]) == []
    assert graph["b"].inputs["image"] == f"{tmp_path}/x.png"
    assert (graph["a"].inputs["steps"], graph["c"].inputs["mode"]) == ("9", "absolute")
    wrong = override(
        graph, known, ["sorce=x.png", "maker=x.png", "source"], ["twin.steps=1", "maker=1", "makr.steps=1"]
    )
    assert [str(problem).split(": ", 1)[1] for problem in wrong] == [
        "no node is titled 'sorce'; did you mean 'source'?",
        "node 'maker' (ToyMake, id a) takes no file; use --set for its values. File inputs: 'source'.",
        "write it TITLE=PATH.",
        "several nodes are titled 'twin'; name one by its id: c, d.",
        "write it TITLE.INPUT=VALUE.",
        "no node is titled 'makr'; did you mean 'maker'?",
    ]


# --- checking


def test_all_problems_are_told_at_once_with_node_input_and_remedy(load):
    graph = load(
        a=make(steps=0, scale="wide", mode="relativ", stepz=3),
        b=node("ToyJoin", "join", either=["a", 5], other=["a", 1]),
        c=node("ToySave", "save", thing=["b", 0], name="thing.png"),
        d=node("ToySave", "lost", thing=["zz", 0], name=["a", 0]),
        e=node("ToySaev", thing=["f", 0]),
        f=node("LoadImage", "source", image="missing.png", upload="image"),
        g=node("ToySave", "bare", thing=3),
    )
    found = check(graph)
    expected = {
        "node 'ToySaev' (ToySaev, id e): no node class of that name is known here; did you mean 'ToySave'?",
        "node 'maker' (ToyMake, id a), input 'stepz': there is no such input; did you mean 'steps'?",
        "node 'maker' (ToyMake, id a), input 'steps': 0 is out of range; use at least 1 and at most 100.",
        "node 'maker' (ToyMake, id a), input 'scale': 'wide' is not a number; write one.",
        "node 'maker' (ToyMake, id a), input 'mode': 'relativ' is not one of its options; did you mean 'relative'?",
        (
            "node 'join' (ToyJoin, id b), input 'either': it is linked to output 5 of node 'maker' (ToyMake, id a), which"
            " has 2; link it to a node that gives FLOAT or TOY_THING or INT (here: maker, join)."
        ),
        (
            "node 'join' (ToyJoin, id b), input 'other': it needs TOY_THING, but output 1 of node 'maker' (ToyMake, id a)"
            " is INT; link it to a node that gives TOY_THING (here: maker, join)."
        ),
        "node 'save' (ToySave, id c), input 'name': 'thing.png' is no text file; end it with .txt.",
        (
            "node 'lost' (ToySave, id d), input 'thing': it is linked to node zz, which is not in the graph; link it to a"
            " node that gives TOY_THING (here: maker, join)."
        ),
        (
            "node 'lost' (ToySave, id d), input 'name': it needs STRING, but output 0 of node 'maker' (ToyMake, id a) is"
            " TOY_THING; link it to a node that gives STRING."
        ),
        (
            "node 'source' (LoadImage, id f), input 'image': there is no file 'missing.png'; name one with --input"
            " source=PATH."
        ),
        "node 'bare' (ToySave, id g), input 'thing': it takes TOY_THING over a link, not the value 3; connect a node.",
        "node 'bare' (ToySave, id g), input 'name': it is missing; its default is 'thing.txt'.",
    }
    assert set(found) == expected and len(found) == len(expected)


def test_what_only_a_newer_version_knows_is_said_to_be_that(load):
    graph = load(
        a=node("MIMAFaceLoadMotion", "motion", motion="own.safetensors", unit="degrees"),
        b=node("MIMAFaceRelight", "light", motion=["a", 0], hair=1.0),
        c=node("MIMAFaceSaveMotion", "save", motion=["b", 0], filename_prefix="x"),
        d=node("MIMAFacePlotMotion", "plot", motion=["a", 3], width=320, height=320),
        e=node("PreviewImage", images=["d", 0]),
    )
    ours = stock.node_classes()
    motion, light, plot = (str(problem) for problem in validate(graph, infos(ours), folders=[]))
    assert "'light' (MIMAFaceRelight, id b): no node class" in motion and motion.endswith(
        "a newer MIMAFace, update this one."
    )
    assert "input 'unit': there is no such input" in light and light.endswith("a newer MIMAFace, update this one.")
    assert "linked to output 3 of node 'motion' (MIMAFaceLoadMotion, id a), which has 1" in plot


def test_what_a_node_judges_itself_is_converted_and_told_with_the_rest(load):
    graph = load(
        a=node("ToyWhole", "judge", first="4", second="9", third=11),
        b=node("ToySave", thing=["a", 0], name="x.txt"),
    )
    assert check(graph) == [
        "node 'judge' (ToyWhole, id a), input 'third': 11 is out of range; use at least 0 and at most 10.",
        "node 'judge' (ToyWhole, id a): 4 and 9 are more than 10; lower one.",
    ]
    assert graph["a"].inputs == {"first": 4, "second": 9, "third": 11}


def test_a_circle_and_a_graph_without_output_are_refused(load):
    circle = load(
        a=node("ToyJoin", either=["b", 0]),
        b=node("ToyJoin", either=["a", 0]),
        c=node("ToySave", thing=["a", 0]),
    )
    assert "depends on itself" in check(circle)[0]
    assert "no output node" in check(load(a=make()))[0]


def test_order_puts_each_node_once_after_what_it_needs(load):
    graph = load(
        s=node("ToySave", thing=["j", 0], name="x.txt"),
        j=node("ToyJoin", either=["a", 0], other=["k", 0]),
        k=node("ToyJoin", either=["a", 0]),
        a=make(),
        unused=make(),
    )
    assert run_order(graph, infos(CLASSES)) == ["a", "k", "j", "s"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"steps": "7"}, 7),
        ({"steps": 7.0}, 7),
        ({"scale": "1.5"}, 1.5),
        ({"loud": "no"}, False),
        ({"loud": 1}, True),
    ],
)
def test_values_are_converted_to_the_type_of_their_widget(load, given, kept):
    graph = load(a=make(**given), b=node("ToySave", thing=["a", 0], name="x.txt"))
    assert check(graph) == []
    (name,) = given
    assert graph["a"].inputs[name] == kept and type(graph["a"].inputs[name]) is type(kept)


@pytest.mark.parametrize("given", [{"steps": 1.5}, {"steps": True}, {"scale": float("nan")}, {"loud": "maybe"}])
def test_values_of_another_type_are_refused(load, given):
    assert len(check(load(a=make(**given), b=node("ToySave", thing=["a", 0], name="x.txt")))) == 1


def test_a_clip_for_a_picture_node_and_the_reverse_are_refused(load, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "face.dat", "PNG")
    (tmp_path / "clip.mp4").write_bytes(b"not looked into")
    graph = load(
        a=node("LoadImage", image="clip.mp4"),
        b=node("LoadVideo", "driver", file="face.dat"),
        c=node("PreviewImage", images=["a", 0]),
        d=node("SaveVideo", video=["b", 0], filename_prefix="x", format="auto", codec="auto"),
    )
    picture, video = check(graph, [tmp_path])
    assert "clip.mp4' is a video, but this node takes a picture; give a picture" in picture
    assert "face.dat' is a picture, but this node takes a video; give a video" in video
    assert kinds(tmp_path / "unknown.bin") == set()


# --- running


def test_a_run_executes_once_shares_equal_nodes_and_hands_over_hidden_values(load, tmp_path):
    toys.calls.clear()
    graph = load(
        a=make(),
        b=make("same"),
        c=node("ToyJoin", either=["a", 0], other=["b", 0]),
        d=node("ToySave", "save", thing=["c", 0], name="one.txt"),
        e=node("ToySave", thing=["b", 0], name="two.txt"),
    )
    written = run(graph, tmp_path)
    assert toys.calls == ["make", "join"]
    assert written == [tmp_path / "out/one.txt", tmp_path / "out/two.txt"]
    report = json.loads(written[0].read_text())
    assert report["id"] == "d" and report["prompt"]["d"]["_meta"] == {"title": "save"}
    assert report["thing"]["other"] == {"steps": 4, "scale": 1.0, "mode": "relative", "loud": False}


def test_outputs_are_freed_once_nobody_reads_them_any_more(load, tmp_path, monkeypatch):
    class Big:
        pass

    alive = []

    def make_big(cls, **inputs):
        big = Big()
        alive.append(weakref.ref(big))
        return io.NodeOutput(big, 1)

    def join(cls, either, other=None):
        return io.NodeOutput({"before": [reference() is not None for reference in alive]})

    monkeypatch.setattr(toys.ToyMake, "execute", classmethod(make_big))
    monkeypatch.setattr(toys.ToyJoin, "execute", classmethod(join))
    graph = load(
        a=make(),
        b=node("ToyJoin", either=["a", 0]),
        c=node("ToyJoin", either=["b", 0]),
        d=node("ToySave", thing=["c", 0], name="x.txt"),
    )
    (file,) = run(graph, tmp_path)
    assert json.loads(file.read_text())["thing"] == {"before": [False]}


def test_a_node_that_refuses_is_named_and_a_cancelled_run_stops(load, tmp_path):
    graph = load(a=node("ToyFail", "source"), b=node("ToySave", thing=["a", 0], name="x.txt"))
    with pytest.raises(GraphRefused, match="node 'source' .*There is no face"):
        run(graph, tmp_path)
    stopped = TerminalHost(outputs=tmp_path)
    stopped.cancel()
    with pytest.raises(Cancelled):
        run_graph(load(a=make(), b=node("ToySave", thing=["a", 0], name="x.txt")), CLASSES, stopped)
    assert not (tmp_path / "x.txt").exists()


# --- stock nodes


@pytest.fixture
def clip(tmp_path):
    with VideoWriter(tmp_path / "clip.mp4", Fraction(30000, 1001), "mp4", metadata={"comment": "synthetic"}) as film:
        for level in range(5):
            film.write(torch.full((32, 48, 3), 40 * level, dtype=torch.uint8))
    return tmp_path / "clip.mp4"


def test_a_clip_taken_apart_and_put_together_keeps_frames_and_rate(load, tmp_path, clip):
    graph = load(
        a=node("LoadVideo", file="clip.mp4"),
        b=node("GetVideoComponents", video=["a", 0]),
        c=node("CreateVideo", images=["b", 0], fps=["b", 2], audio=["b", 1]),
        d=node("SaveVideo", video=["c", 0], filename_prefix="video/made", format="auto", codec="auto"),
        e=node("SaveVideo", video=["a", 0], filename_prefix="video/made", format="mp4", codec="h264"),
    )
    made, copied = run(graph, tmp_path)
    assert (made, copied) == (tmp_path / "out/video/made_00001_.mp4", tmp_path / "out/video/made_00002_.mp4")
    for path in (made, copied):
        again = Clip.open(path)
        assert (again.fps, again.width, again.height, len(list(again))) == (Fraction(30000, 1001), 48, 32, 5)
    frames = zip(Clip.open(clip), Clip.open(copied), strict=True)
    assert all(torch.equal(before, after) for before, after in frames)
    notes = stock.VideoFromFile(copied)._notes()
    assert notes["comment"] == "synthetic" and json.loads(notes["prompt"])["a"]["inputs"] == {"file": "clip.mp4"}


def test_a_lossless_clip_is_encoded_anew_when_saved(tmp_path):
    with VideoWriter(tmp_path / "clip.mov", Fraction(25), "lossless") as film:
        film.write(torch.full((32, 48, 3), 100, dtype=torch.uint8))
    stock.VideoFromFile(tmp_path / "clip.mov").save_to(tmp_path / "clip.mp4")
    import av

    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_pictures_are_loaded_with_their_mask_saved_and_previewed(load, tmp_path):
    pixels = torch.randint(0, 256, (6, 8, 4), dtype=torch.uint8)
    pixels[..., 3] = 255
    pixels[0, 0, 3] = 0
    Image.fromarray(pixels.numpy(), "RGBA").save(tmp_path / "face.png")
    graph = load(
        a=node("LoadImage", image="face.png"),
        b=node("PreviewImage", images=["a", 0]),
        c=node("SaveImage", images=["a", 0], filename_prefix="result"),
    )
    saved, preview = run(graph, tmp_path)
    assert saved == tmp_path / "out/result_00001_.png" and preview.parent == tmp_path / "out/preview"
    with Image.open(saved) as picture:
        assert picture.getpixel((0, 0)) == (255, 255, 255)
        assert picture.getpixel((3, 2)) == tuple(pixels[2, 3, :3].tolist())
        assert "LoadImage" in picture.text["prompt"]
    mask = stock.LoadImage.execute(str(tmp_path / "face.png"))[1]
    assert mask.shape == (1, 6, 8) and mask.sum() == 1


def test_a_file_without_sound_is_refused_by_load_audio(load, tmp_path, clip):
    graph = load(a=node("LoadAudio", "voice", audio="clip.mp4"), b=node("CreateVideo", images=["c", 0], fps=1, audio=["a", 0]),
                 c=node("LoadImage", image="face.png"), d=node("SaveVideo", video=["b", 0], filename_prefix="x", format="auto", codec="auto"))  # fmt: skip
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    with pytest.raises(GraphRefused, match="node 'voice' .* has no sound"):
        run(graph, tmp_path)


# --- files and names


def test_numbers_go_on_from_what_is_there_and_stay_in_the_folder(tmp_path):
    assert next_output_path(tmp_path, "a/b_%width%", 64).file(".mp4") == tmp_path / "a/b_64_00001_.mp4"
    (tmp_path / "a/b_64_00007_.mp4").touch()
    place = next_output_path(tmp_path, "a/b_64")
    assert (place.file(".png", 1).name, place.subfolder) == ("b_64_00009_.png", "a")
    for outside in ("../x", "/x", ""):
        with pytest.raises(InputError, match="leaves the output folder"):
            next_output_path(tmp_path / "a", outside)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        next_output_path(tmp_path, "file/x")
    assert free_path(tmp_path / "file") == tmp_path / "file-1"


def test_files_are_found_in_folders_and_unwritable_folders_refused(tmp_path):
    (tmp_path / "face.png").touch()
    assert find_input("face.png [input]", [tmp_path]) == tmp_path / "face.png"
    assert find_input("", [tmp_path]) is None
    require_writable(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()
    with pytest.raises(InputError, match="choose another"):
        require_writable(tmp_path / "face.png" / "inside")
