"""Outputs that are kept from run to run: used while nothing changes, forgotten when unused."""

import weakref

import pytest
from PIL import Image
from support.toys import CLASSES, node

from mimaface.headless.builtin_nodes import LoadImage
from mimaface.headless.execute import run_graph
from mimaface.headless.kept import KeptOutputs
from mimaface.mimaface_core.terminal import TerminalHost


@pytest.fixture
def loaded(monkeypatch):
    """The images that were loaded, in order: names and weak references."""
    names, outputs = [], []
    execute = LoadImage.execute.__func__

    def watched(cls, image):
        names.append(image.rpartition("/")[2])
        result = execute(cls, image)
        outputs.append(weakref.ref(result.result[0]))
        return result

    monkeypatch.setattr(LoadImage, "execute", classmethod(watched))
    return names, outputs


@pytest.fixture
def run(load, tmp_path):
    kept = KeptOutputs()

    def go(name):
        graph = load(
            a=node("LoadImage", image=str(tmp_path / name)),
            b=node("SaveImage", images=["a", 0], filename_prefix=name),
        )
        return run_graph(graph, CLASSES, TerminalHost(outputs=tmp_path / "out", temp=tmp_path / "temp"), kept)

    return go


def test_an_equal_node_is_not_run_again_until_its_file_changes(run, loaded, tmp_path):
    names, _ = loaded
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    first, second = run("a.png"), run("a.png")
    assert names == ["a.png"] and first[0].read_bytes() == second[0].read_bytes()
    Image.new("RGB", (5, 4), "blue").save(tmp_path / "a.png")
    (third,) = run("a.png")
    assert names == ["a.png"] * 2
    with Image.open(third) as image:
        assert image.size == (5, 4)


def test_what_a_run_does_not_use_is_forgotten(run, loaded, tmp_path):
    names, outputs = loaded
    for name in ("a.png", "b.png"):
        Image.new("RGB", (4, 4), "red").save(tmp_path / name)
    run("a.png")
    run("b.png")
    assert outputs[0]() is not None  # until the next run begins
    run("b.png")
    assert outputs[0]() is None and outputs[1]() is not None and names == ["a.png", "b.png"]


def test_nothing_is_kept_without_being_asked(load, loaded, tmp_path):
    names, _ = loaded
    Image.new("RGB", (4, 4), "red").save(tmp_path / "a.png")
    graph = load(a=node("LoadImage", image=str(tmp_path / "a.png")), b=node("PreviewImage", images=["a", 0]))
    for _ in range(2):
        run_graph(graph, CLASSES, TerminalHost(outputs=tmp_path / "out", temp=tmp_path / "temp"))
    assert len(names) == 2
