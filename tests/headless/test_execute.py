"""Running graphs of toy nodes: merging, freeing of outputs, refusals, cancelling."""

import json
import weakref

import pytest
from support import toys
from support.toys import CLASSES, make, node, run

from mimaface.headless.execute import run_graph
from mimaface.headless.problems import GraphRefused
from mimaface.mimaface_core.errors import Cancelled
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.nodes.comfyui.schema import io


def test_equal_nodes_run_once_and_hidden_values_are_passed(load, tmp_path):
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


def test_outputs_are_freed_after_their_last_reader(load, tmp_path, monkeypatch):
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


def test_a_refusing_node_is_named_and_a_cancelled_run_stops(load, tmp_path):
    graph = load(a=node("ToyFail", "source"), b=node("ToySave", thing=["a", 0], name="x.txt"))
    with pytest.raises(GraphRefused, match="node 'source' .*There is no face"):
        run(graph, tmp_path)
    stopped = TerminalHost(outputs=tmp_path)
    stopped.cancel()
    with pytest.raises(Cancelled):
        run_graph(load(a=make(), b=node("ToySave", thing=["a", 0], name="x.txt")), CLASSES, stopped)
    assert not (tmp_path / "x.txt").exists()
