"""The `mimaface` command: its JSON line, refusals, cancelling, packs, its old address; the list of packages."""

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
from support.checkout import IMPORT, ROOT
from support.machine import slower
from support.toys import CLASSES, make, node

from mimaface.cli import demo
from mimaface.cli import main as cli
from mimaface.headless import node_classes

# the command in a process of its own, with the toy nodes
WITH_TOYS = f"""
{IMPORT}
from support.toys import CLASSES
from mimaface.cli.main import main
from mimaface.headless import node_classes
node_classes.node_classes = lambda: CLASSES
sys.exit(main())
"""
# what pip wrote for the command of version 0.1
OLD_SCRIPT = f"""
{IMPORT}
import re
from mimaface.mimaface_core.cli import main
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit(main())
"""
# which heavy libraries a command has imported
IMPORTED = """
import contextlib
from mimaface.cli.main import main
with contextlib.suppress(SystemExit):
    main()
print(*{"torch", "httpx", "diffusers", "PIL", "av"} & {name.split(".")[0] for name in sys.modules})
"""


@pytest.fixture(autouse=True)
def only_toys(monkeypatch, tmp_path):
    monkeypatch.setattr(node_classes, "node_classes", lambda: CLASSES)
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


def test_every_problem_is_one_line_and_nothing_is_written(graph, tmp_path, capsys):
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
        [sys.executable, "-c", WITH_TOYS, "run", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    try:
        assert process.stdout.readline() == b"slow\n"
        process.send_signal(signal.SIGINT)
        stopped_at = time.monotonic()
        output, errors = process.communicate(timeout=20 * slower())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130 and output == b"" and time.monotonic() - stopped_at < 5 * slower()
    assert b"Cancelled" in errors and b"Traceback" not in errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["graph.json"]


def test_packs_are_listed_and_a_missing_one_refused(capsys):
    assert cli.main(["pack", "list"]) == 0
    capsys.readouterr()
    assert cli.main(["pack", "verify", "no such pack"]) == 2
    assert "no model pack 'no such pack'" in capsys.readouterr().err


# --- the command as it is installed


def python(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120 * slower(), check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_of_an_old_installation_still_runs():
    assert "bundled\t" in python(OLD_SCRIPT, "pack", "list")


def test_help_is_printed_without_heavy_libraries():
    for arguments in ([], ["run"], ["batch"], ["demo"], ["train"], ["pack", "verify"]):
        assert python(IMPORT + IMPORTED, *arguments, "--help").splitlines()[-1] == "", arguments


def test_the_demo_is_a_subcommand(capsys, monkeypatch):
    monkeypatch.setattr(demo, "run_demo", lambda *given: [Path(str(value)) for value in given[:3]])
    assert cli.main(["demo", "--source", "me.jpg", "--output-dir", "out"]) == 0
    assert [line.partition(":")[2].strip() for line in capsys.readouterr().out.splitlines()] == [
        "me.jpg",
        str(demo.DRIVER),
        str(Path("out").absolute()),
    ]


def test_the_project_lists_every_package():
    listed = set(re.findall(r'^  "(mimaface[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
    folders = {
        path.parent
        for top in ("mimaface_core", "nodes", "headless", "scale", "live", "cli")
        for path in (ROOT / top).rglob("*.py")
    }
    packages = {".".join(["mimaface", *folder.relative_to(ROOT).parts]) for folder in folders}
    assert listed == packages | {"mimaface"}


def test_a_name_that_no_file_can_have_is_refused(capsys):
    from mimaface.cli.main import main

    for arguments, sentence in (
        (["pack", "verify", "a" * 300], "too long for the name of a file"),
        (["evaluate", "--output", "a" * 300], "was not found at"),
    ):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert sentence in err and len(err) < 300
