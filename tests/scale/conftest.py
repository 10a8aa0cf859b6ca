"""Fixtures of the tests of batches: a folder with small files, toy graphs and workers, and the command."""

import json
import wave
from pathlib import Path

import pytest
from PIL import Image
from support.films import greys, write
from support.toys import CLASSES, START_WITH_TOYS, make, node

from mimaface.cli import main as cli
from mimaface.headless import node_classes
from mimaface.scale import local


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A working folder with a.png, b.png, clip.mp4 and voice.wav, none of which shows a face."""
    monkeypatch.chdir(tmp_path)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{name}.png")
    write(tmp_path / "clip.mp4", greys(3))
    with wave.open(str(tmp_path / "voice.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))
    return tmp_path


@pytest.fixture
def toys(files, monkeypatch):
    """The folder, with toy nodes, here and in workers, and the graphs copy.json and trap.json, which save an image."""
    monkeypatch.setattr(node_classes, "node_classes", lambda: CLASSES)
    monkeypatch.setattr(local, "START", START_WITH_TOYS)
    graph = {
        "1": node("LoadImage", "source", image="a.png"),
        "2": node("SaveImage", "save", images=["1", 0], filename_prefix="x"),
        "3": make(),
        "4": node("ToySave", thing=["3", 0], name="y.txt"),
    }
    (files / "copy.json").write_text(json.dumps(graph))
    graph["2"]["inputs"]["images"] = ["5", 0]
    graph["5"] = node("ToyTrap", "trap", image=["1", 0], mode="pass", mark="", seed=0)
    (files / "trap.json").write_text(json.dumps(graph))
    return files


@pytest.fixture
def batch(capsys):
    """`batch(*arguments)` runs the command; gives exit status, the JSON line (None without one) and what was said."""

    def go(*arguments):
        status = cli.main(["batch", *map(str, arguments)])
        said = capsys.readouterr()
        return status, json.loads(said.out.splitlines()[-1]) if said.out else None, said.err

    return go


@pytest.fixture
def pairs(toys):
    """`pairs(*rows)` writes a list; each row is (source, output, mode of the trap)."""

    def write(*rows, graph="trap.json"):
        lines = [
            json.dumps(
                {"source": source, "output": output, "graph": graph}
                | ({"set.trap.mode": mode, "set.trap.mark": str(toys / f"{Path(output).name}.mark")} if mode else {})
            )
            for source, output, mode in rows
        ]
        (toys / "pairs.jsonl").write_text("\n".join(lines))
        return "pairs.jsonl"

    return write
