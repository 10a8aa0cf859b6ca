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
