"""Checking graphs: every problem is reported at once, values are converted, nodes are put in order."""

import pytest
from PIL import Image
from support.toys import CLASSES, check, make, node

from mimaface.headless.files import kinds
from mimaface.headless.node_classes import node_classes, object_info
from mimaface.headless.order import run_order
from mimaface.headless.validate import validate


def test_all_problems_are_reported_at_once_with_node_input_and_remedy(load):
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
            "node 'join' (ToyJoin, id b), input 'either': it is linked to output 5 of node 'maker' (ToyMake, id a),"
            " which has 2; link it to a node that gives FLOAT or TOY_THING or INT (here: maker, join)."
        ),
        (
            "node 'join' (ToyJoin, id b), input 'other': it needs TOY_THING, but output 1 of node 'maker' (ToyMake, id"
            " a) is INT; link it to a node that gives TOY_THING (here: maker, join)."
        ),
        "node 'save' (ToySave, id c), input 'name': 'thing.png' is no text file; end it with .txt.",
        (
            "node 'lost' (ToySave, id d), input 'thing': it is linked to node zz, which is not in the graph; link it to"
            " a node that gives TOY_THING (here: maker, join)."
        ),
        (
            "node 'lost' (ToySave, id d), input 'name': it needs STRING, but output 0 of node 'maker' (ToyMake, id a)"
            " is TOY_THING; link it to a node that gives STRING."
        ),
        (
            "node 'source' (LoadImage, id f), input 'image': there is no file 'missing.png'; name one with --input"
            " source=PATH."
        ),
        "node 'bare' (ToySave, id g), input 'thing': it takes TOY_THING over a link, not the value 3; connect a node.",
        "node 'bare' (ToySave, id g), input 'name': it is missing; its default is 'thing.txt'.",
    }
    assert set(found) == expected and len(found) == len(expected)


def test_nodes_and_inputs_of_a_newer_version_are_reported_as_such(load):
    graph = load(
        a=node("MIMAFaceLoadMotion", "motion", motion="own.safetensors", unit="degrees"),
        b=node("MIMAFaceRelight", "light", motion=["a", 0], hair=1.0),
        c=node("MIMAFaceSaveMotion", "save", motion=["b", 0], filename_prefix="x"),
        d=node("MIMAFacePlotMotion", "plot", motion=["a", 3], width=320, height=320),
        e=node("PreviewImage", images=["d", 0]),
    )
    infos = object_info(node_classes())
    motion, light, plot = (str(problem) for problem in validate(graph, infos, folders=[]))
    assert "'light' (MIMAFaceRelight, id b): no node class" in motion and motion.endswith(
        "a newer MIMAFace, update this one."
    )
    assert "input 'unit': there is no such input" in light and light.endswith("a newer MIMAFace, update this one.")
    assert "linked to output 3 of node 'motion' (MIMAFaceLoadMotion, id a), which has 1" in plot


def test_inputs_that_a_node_checks_itself_are_converted_and_reported_with_the_rest(load):
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
    assert run_order(graph, object_info(CLASSES)) == ["a", "k", "j", "s"]


@pytest.mark.parametrize(
    ("literal", "converted"),
    [
        ({"steps": "7"}, 7),
        ({"steps": 7.0}, 7),
        ({"scale": "1.5"}, 1.5),
        ({"loud": "no"}, False),
        ({"loud": 1}, True),
    ],
)
def test_values_are_converted_to_the_type_of_their_widget(load, literal, converted):
    graph = load(a=make(**literal), b=node("ToySave", thing=["a", 0], name="x.txt"))
    assert check(graph) == []
    (name,) = literal
    assert graph["a"].inputs[name] == converted and type(graph["a"].inputs[name]) is type(converted)


@pytest.mark.parametrize("literal", [{"steps": 1.5}, {"steps": True}, {"scale": float("nan")}, {"loud": "maybe"}])
def test_values_of_another_type_are_refused(load, literal):
    assert len(check(load(a=make(**literal), b=node("ToySave", thing=["a", 0], name="x.txt")))) == 1


def test_a_video_for_an_image_node_and_the_reverse_are_refused(load, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "face.dat", "PNG")
    (tmp_path / "clip.mp4").write_bytes(b"not looked into")
    graph = load(
        a=node("LoadImage", image="clip.mp4"),
        b=node("LoadVideo", "driver", file="face.dat"),
        c=node("PreviewImage", images=["a", 0]),
        d=node("SaveVideo", video=["b", 0], filename_prefix="x", format="auto", codec="auto"),
    )
    image, video = check(graph, [tmp_path])
    assert "clip.mp4' is a video, but this node takes an image; give an image" in image
    assert "face.dat' is an image, but this node takes a video; give a video" in video
    assert kinds(tmp_path / "unknown.bin") == set()


def test_a_number_that_no_computer_holds_is_refused(load):
    graph = load(a=make(scale=10**400), c=node("ToySave", "save", thing=["a", 0], name="thing.txt"))
    (problem,) = check(graph)
    assert "input 'scale'" in problem and problem.endswith("is not a number; write one.") and len(problem) < 300
