"""Reading graphs: files that are no graph are refused."""

import pytest

from mimaface.headless.graph import find_graph, load_graph
from mimaface.mimaface_core.errors import InputError


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


GRAPH = '{"1": {"class_type": "LoadImage", "inputs": {"image": "ä.png"}}}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_graph_is_read_in_every_encoding_that_editors_save(tmp_path, encoding):
    (tmp_path / "graph.json").write_bytes(GRAPH.encode(encoding))
    assert load_graph(tmp_path / "graph.json")["1"].inputs == {"image": "ä.png"}


def test_the_body_of_a_prompt_request_is_read(tmp_path):
    (tmp_path / "graph.json").write_text('{"client_id": "x", "prompt": ' + GRAPH + "}")
    assert list(load_graph(tmp_path / "graph.json")) == ["1"]


@pytest.mark.parametrize("depth", [200, 5000, 100000])
def test_nested_brackets_are_refused(tmp_path, depth):
    (tmp_path / "graph.json").write_text("[" * depth + "]" * depth)
    with pytest.raises(InputError, match="nested too deeply; give another file"):
        load_graph(tmp_path / "graph.json")


def test_a_name_that_no_file_can_have_is_not_found_and_shown_short():
    with pytest.raises(InputError, match="no graph file 'a{40}…a{35}.json'"):
        find_graph("a" * 260 + ".json")


def test_the_graph_in_an_image_is_read(tmp_path):
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    notes = PngInfo()
    notes.add_text("prompt", GRAPH)
    Image.new("RGB", (8, 8)).save(tmp_path / "saved.png", pnginfo=notes)
    assert list(load_graph(tmp_path / "saved.png")) == ["1"]
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("x")
    for name in ("plain.png", "text.png"):
        with pytest.raises(InputError, match="holds no graph"):
            load_graph(tmp_path / name)
