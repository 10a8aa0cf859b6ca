"""Rows become pairs: graphs, names, seeds; every bad row is named in one sentence."""

import json
import shutil

import pytest
from support.toys import make, node

from mimaface.mimaface_core.errors import InputError
from mimaface.scale.pairs import PairCheck
from mimaface.scale.rows import Row


def check(files, *rows, settings=None, result=None, out="out"):
    numbered = [Row(f"line {number}", row) for number, row in enumerate(rows, 2)]
    return PairCheck(files, files / out, settings or {}, result).check(numbered)


def pair(files, **row):
    settings = row.pop("settings", None)
    (found,), faults = check(files, {"source": "a.png", **row}, settings=settings)
    assert not faults
    return found


def fault(files, **row):
    pairs, (found,) = check(files, {"source": "a.png", **row})
    assert not pairs and found.pair == "line 2" and "\n" not in found.reason
    return found.reason.removeprefix("line 2: ")


@pytest.mark.parametrize(
    "row, graph",
    [
        ({"driver": "clip.mp4"}, "reenact_video"),
        ({"driver": "b.png"}, "reenact_image"),
        ({"audio": "voice.wav"}, "talk"),
        ({"audio": "voice.wav", "driver": "clip.mp4"}, "talk_with_clip"),
        ({"graph": "edit_face"}, "edit_face"),
    ],
)
def test_the_graph_follows_from_the_files(files, row, graph):
    found = pair(files, **row)
    assert found.recipe.name == graph
    assert found.recipe.graph[found.recipe.result].title == "full"
    assert not any(node.title == "video" for node in found.recipe.graph.values())
    assert found.name == "_".join(["a", *(row[key].split(".")[0] for key in ("driver", "audio") if key in row)])


def test_values_of_a_row_come_before_those_for_all(files):
    found = pair(
        files, driver="clip.mp4", **{"set.sampler.steps": "8"}, settings={"sampler.steps": "4", "retarget.pose": "0.5"}
    )
    nodes = {node.title: node.inputs for node in found.recipe.graph.values()}
    assert nodes["sampler"]["steps"] == 8 and nodes["retarget"]["pose"] == 0.5
    assert found.recipe.settings == {"retarget.pose": "0.5", "sampler.steps": "8"}


def test_the_suffix_of_the_output_chooses_the_format(files):
    found = pair(files, driver="clip.mp4", output="sub/x.webm")
    assert (found.name, found.recipe.suffix) == ("sub/x", ".webm")
    assert pair(files, driver="clip.mp4", output="x.v2").name == "x.v2"
    chosen = pair(files, driver="clip.mp4", output="x.webm", **{"set.full.format": "gif"})
    assert chosen.recipe.suffix == ".gif"


def test_another_node_can_write_the_result(files):
    (found,), _ = check(files, {"source": "a.png", "driver": "clip.mp4"}, result="video")
    assert found.recipe.graph[found.recipe.result].title == "video"
    _, (refused,) = check(files, {"source": "a.png", "driver": "clip.mp4"}, result="vido")
    assert refused.reason == "line 2: --result vido: no node of that title writes a file; did you mean 'video'?"


BAD = [
    ({"source": "gone.png", "driver": "clip.mp4"}, "source .*gone.png was not found; write paths relative"),
    ({}, "names neither driver nor audio nor graph; give one of them"),
    ({"driver": "clip.mp4", "output": "../x"}, r"output '../x' lies outside of .*out; give a path below it"),
    ({"driver": "clip.mp4", "output": "/x"}, "output '/x' lies outside"),
    ({"driver": "clip.mp4", "output": ".mimaface-batch/x"}, "lies outside"),
    ({"driver": "clip.mp4", "output": "a?b"}, "letters that no file name has on Windows"),
    ({"driver": "clip.mp4", "output": "a" * 300}, "too long for the name of a file"),
    (
        {"driver": "clip.mp4", "graph": "renact_video"},
        "There is no graph file 'renact_video'.*did you mean 'reenact_video'",
    ),
    ({"driver": "clip.mp4", "graph": "talk"}, "column driver: no node is titled 'driver'"),
    ({"driver": "clip.mp4", "set.samplr.steps": "1"}, "set.samplr.steps=1: no node is titled 'samplr'; did you mean"),
    (
        {"driver": "clip.mp4", "set.sampler.steps": "many"},
        "node 'sampler' .* input 'steps': 'many' is not a whole number",
    ),
    ({"driver": "clip.mp4", "set.pack.pack": "nobody"}, "There is no model pack 'nobody'|not one of its options"),
    ({"source": "clip.mp4", "driver": "clip.mp4"}, "node 'source' .* is a video, but this node takes an image"),
]


@pytest.mark.parametrize("row, words", BAD, ids=[" ".join(row) or "empty" for row, _ in BAD])
def test_every_bad_row_is_named_in_one_sentence(files, row, words):
    import re

    assert re.search(words, fault(files, **row)), fault(files, **row)


def test_a_row_without_source_and_one_that_could_not_be_read(files):
    rows = [Row("line 2", {"driver": "clip.mp4"}), Row("line 3", {}, "it is no JSON; write one object a line.")]
    _, faults = PairCheck(files, files / "out", {}).check(rows)
    assert [one.reason for one in faults] == [
        "line 2: it names no source; give the photograph.",
        "line 3: it is no JSON; write one object a line.",
    ]


def test_outputs_are_not_shared_and_do_not_lie_in_each_other(files):
    row = {"source": "a.png", "driver": "clip.mp4"}
    pairs, faults = check(files, *({**row, "output": name} for name in ("x", "X.mp4", "y", "y/z", "x/")))
    assert [pair.name for pair in pairs] == ["x", "y"]
    assert [one.reason.partition(";")[0] for one in faults] == [
        "line 3: output 'X' is that of line 2, too",
        "line 6: output 'x' is that of line 2, too",
        "line 5: output 'y/z' lies in 'y', the output of another row",
    ]


def test_a_result_never_replaces_its_own_input(files):
    _, (refused,) = check(files, {"source": "a.png", "driver": "clip.mp4", "output": "clip"}, out=".")
    assert "would replace its own input" in refused.reason


def test_the_same_files_are_checked_once(files, monkeypatch):
    from mimaface.scale import recipe

    calls = []
    validate = recipe.validate
    monkeypatch.setattr(recipe, "validate", lambda *args, **more: calls.append(1) or validate(*args, **more))
    rows = [{"source": f"{s}.png", "driver": "clip.mp4", "output": f"{s}{i}"} for s in "ab" for i in range(20)]
    pairs, faults = check(files, *rows)
    assert len(pairs) == 40 and not faults and len(calls) == 1
    prompts = {pair.name: pair.prompt() for pair in pairs}
    assert prompts["a0"]["1"]["inputs"]["image"].endswith("a.png")
    assert prompts["b0"]["1"]["inputs"]["image"].endswith("b.png")


def test_a_fault_of_all_rows_is_found_once_and_named_for_each(files, monkeypatch):
    from mimaface.scale import recipe

    calls = []
    validate = recipe.validate
    monkeypatch.setattr(recipe, "validate", lambda *args, **more: calls.append(1) or validate(*args, **more))
    rows = [{"source": "a.png", "driver": "clip.mp4", "output": f"x{i}", "set.sampler.stepz": "1"} for i in range(9)]
    pairs, faults = check(files, *rows)
    assert not pairs and [fault.pair for fault in faults] == [f"line {i}" for i in range(2, 11)] and len(calls) == 1
    rows = [{"source": "clip.mp4", "driver": name, "output": name} for name in ("clip.mp4", "a.png")]
    assert all("is a video, but this node takes an image" in fault.reason for fault in check(files, *rows)[1])


# --- seeds


def test_seeds_depend_on_files_and_name_alone(files, tmp_path_factory):
    first = pair(files, driver="clip.mp4")
    other = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(files, other / "copy")
    moved = pair(other / "copy", driver="clip.mp4")
    assert first.seeds == moved.seeds and list(first.seeds) == ["sampler.seed"]
    assert first.fingerprint == moved.fingerprint
    assert first.prompt()["9"]["inputs"]["seed"] == first.seeds["sampler.seed"]
    assert pair(files, driver="clip.mp4", output="x").seeds != first.seeds
    assert pair(files, source="b.png", driver="clip.mp4", output="a_clip").seeds != first.seeds
    assert list(pair(files, audio="voice.wav").seeds) == ["speech.seed", "sampler.seed"]


def test_seeds_that_are_set_stay(files):
    assert pair(files, driver="clip.mp4", **{"set.sampler.seed": "0"}).seeds == {}
    assert pair(files, driver="clip.mp4", settings={"sampler.seed": "7"}).seeds == {}


def test_a_seed_that_the_graph_chose_stays(files):
    from mimaface.headless.graph import SHIPPED

    graph = json.loads((SHIPPED / "reenact_video.json").read_text())
    graph["9"]["inputs"]["seed"] = 5
    (files / "own.json").write_text(json.dumps(graph))
    found = pair(files, driver="clip.mp4", graph="own.json")
    assert found.seeds == {} and found.recipe.name == "own.json"


def test_the_fingerprint_changes_with_files_and_settings(files):
    before = pair(files, driver="clip.mp4").fingerprint
    assert pair(files, driver="clip.mp4").fingerprint == before
    assert pair(files, driver="clip.mp4", **{"set.retarget.pose": "0.5"}).fingerprint != before
    (files / "a.png").write_bytes((files / "b.png").read_bytes())
    assert pair(files, driver="clip.mp4").fingerprint != before


def test_a_graph_that_writes_nothing_is_refused(toys):
    graph = {"1": node("LoadImage", "source", image="a.png"), "2": node("PreviewImage", images=["1", 0]), "3": make()}
    (toys / "none.json").write_text(json.dumps(graph))
    assert "no node of the graph writes a file; add Combine Video" in fault(toys, graph="none.json")


def test_an_input_that_changes_meanwhile_is_noticed(files):
    from mimaface.scale.hashes import FileHashes

    found = pair(files, driver="clip.mp4")
    found.require_unchanged(FileHashes())
    (files / "clip.mp4").write_bytes(b"other")
    with pytest.raises(InputError, match="changed while the batch ran; run the same command again"):
        found.require_unchanged(FileHashes())
