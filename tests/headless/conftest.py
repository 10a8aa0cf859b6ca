"""Fixtures of the runner's tests."""

import json

import pytest

from mimaface.headless.graph import load_graph


@pytest.fixture
def load(tmp_path):
    """`load(a=entry, …)` reads a graph of these entries."""

    def from_entries(**entries):
        path = tmp_path / "graph.json"
        path.write_text(json.dumps(entries))
        return load_graph(path)

    return from_entries
