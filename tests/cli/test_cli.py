"""The `mimaface` command: its JSON line, refusals, cancelling, packs; and that the package lists its rooms."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support import toys
from support.toys import make, node

from mimaface.cli import main as cli
from mimaface.headless import builtin_nodes as stock

ROOT = Path(__file__).resolve().parents[2]
CLASSES = {cls.GET_SCHEMA().node_id: cls for cls in [*stock.STOCK, *toys.TOYS]}

# the command in a process of its own, with the toy nodes
COMMAND = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from support import checkout, toys
from mimaface.cli import main as cli
from mimaface.headless import builtin_nodes as stock
stock.node_classes = lambda: {{cls.GET_SCHEMA().node_id: cls for cls in [*stock.STOCK, *toys.TOYS]}}
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def only_toys(monkeypatch, tmp_path):
    monkeypatch.setattr(stock, "node_classes", lambda: CLASSES)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def graph(tmp_path):
    def write(**entries):
        path = tmp_path / "graph.json"
        path.write_text(json.dumps(entries))
        return str(path)

    return write


def test_run_ends_with_a_json_line(graph, tmp_path, capsys):
    Image.new("RGB", (8, 8), "red").save(tmp_path / "face.png")
    path = graph(
        a=make(),
        b=node("ToySave", "save", thing=["a", 0], name="x.txt"),
        c=node("LoadImage", "source", image="nothing.png"),
        d=node("SaveImage", "picture", images=["c", 0], filename_prefix="p"),
    )
    changes = ["--input", "source=face.png", "--set", "maker.steps=9", "--output-dir", "out"]
    assert cli.main(["run", path, *changes]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out.splitlines()[-1])
    assert result["outputs"] == [str(tmp_path / "out/x.txt"), str(tmp_path / "out/p_00001_.png")]
    assert result["frames"] == 1 and result["seconds"] >= 0
    assert json.loads((tmp_path / "out/x.txt").read_text())["thing"]["steps"] == 9
    assert "[1/4] maker (ToyMake)" in captured.err and "save: saved" in captured.err


def test_every_problem_is_one_line_and_nothing_is_made(graph, tmp_path, capsys):
    (tmp_path / "file").touch()
    path = graph(a=make(steps=0), b=node("ToySave", thing=["a", 0], name="x.txt"), c=node("LoadVideo", "driver"))
    bad = ["--input", "drivr=x.mp4", "--set", "maker.stepz=1", "--output-dir", "file/out"]
    assert cli.main(["run", path, *bad]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 4
    assert lines[0] == "--input drivr=x.mp4: no node is titled 'drivr'; did you mean 'driver'?"
    assert "input 'stepz': there is no such input; did you mean 'steps'?" in lines[1]
    assert "input 'steps': 0 is out of range" in lines[2]
    assert "cannot be written" in lines[3]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "graph.json"]


def test_a_missing_file_names_the_node_and_the_option(graph, capsys):
    path = graph(a=node("LoadImage", "source"), b=node("PreviewImage", images=["a", 0]))
    assert cli.main(["run", path, "--input", "source=gone.jpg"]) == 2
    error = capsys.readouterr().err
    assert re.search(r"node 'source' \(LoadImage, id a\), input 'image': there is no file '.*gone.jpg'", error)
    assert cli.main(["run", "no_such_graph"]) == 2


def test_a_node_that_refuses_its_input_ends_with_status_2(graph, capsys):
    path = graph(a=node("ToyFail", "source"), b=node("ToySave", thing=["a", 0], name="x.txt"))
    assert cli.main(["run", path]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("node 'source' (ToyFail, id a): There is no face")


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
def test_ctrl_c_ends_with_130_and_leaves_nothing(graph, tmp_path):
    path = graph(a=node("ToySlow"), b=node("ToySave", thing=["a", 0], name="x.txt"))
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "run", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        assert process.stdout.readline() == b"slow\n"
        process.send_signal(signal.SIGINT)
        asked = time.monotonic()
        output, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and output == b"" and time.monotonic() - asked < 5
    assert b"Cancelled" in errors and b"Traceback" not in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["graph.json"]


def test_packs_are_listed_and_a_missing_one_refused(capsys):
    assert cli.main(["pack", "list"]) == 0
    capsys.readouterr()
    assert cli.main(["pack", "verify", "no such pack"]) == 2
    assert "no model pack 'no such pack'" in capsys.readouterr().err


# --- packaging


def test_the_package_lists_every_room():
    listed = set(re.findall(r'^  "(mimaface[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    rooms = {
        path.parent for top in ("mimaface_core", "nodes", "headless", "cli") for path in (ROOT / top).rglob("*.py")
    }
    found = {".".join(["mimaface", *room.relative_to(ROOT).parts]) for room in rooms}
    assert listed == found | {"mimaface"}
