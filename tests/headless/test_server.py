"""`mimaface run --server` against a stand-in server: steps are shown, files fetched, and every way a run can end is told."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from support.fake_comfyui import PROMPT, FakeComfyUI
from support.toys import make, node

from mimaface.cli import main as cli
from mimaface.headless import follow

COMMAND = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r}); from support import checkout\n"
    "from mimaface.mimaface_core import cli\nsys.exit(cli.main(sys.argv[1:]))"
)
FILE = {"filename": "p_1.png", "subfolder": "", "type": "output"}
needs_websocket = pytest.mark.skipif(importlib.util.find_spec("websocket") is None, reason="needs websocket-client")


@pytest.fixture
def server():
    fake = FakeComfyUI()
    yield fake
    fake.stop()


@pytest.fixture
def run(server, tmp_path, monkeypatch, capsys):
    """Runs a graph on the server: exit status, JSON of the last line, and what was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(follow, "ASK", 0.05)
    monkeypatch.setattr(follow, "ASK_BESIDE", 0.3)

    def run(graph=None, *arguments, address=server.address):
        graph = graph or {"a": make(), "b": node("ToySave", "save", thing=["a", 0], name="x.txt")}
        (tmp_path / "graph.json").write_text(json.dumps(graph))
        status = cli.main(["run", "graph.json", "--server", address, "--output-dir", "out", *arguments])
        said = capsys.readouterr()
        return status, json.loads(said.out.splitlines()[-1]) if said.out else None, said.err

    return run


def posts(server):
    return [where for where, _ in server.posted]


# --- a run that ends well


@needs_websocket
def test_nodes_and_their_steps_are_shown_and_files_fetched_once(server, run, tmp_path):
    def tell():
        server.watched.wait(5)
        server.tell("execution_start")
        server.tell("execution_cached", nodes=["c", "elsewhere"])
        server.tell("executing", node="a", prompt_id="somebody else's")
        server.tell("executing", node="a")
        server.tell("progress", node="a", value=1, max=3)
        server.outbox.put(b"\0\0\0\1a preview")
        server.tell("progress", node="a", value=3, max=3)
        server.tell("executing", node="b")
        server.tell("executed", node="b", output={"images": [FILE]})
        server.end({"b": {"images": [FILE]}})

    server.on_prompt = tell
    graph = {"a": make(note="x"), "b": node("ToyJoin", either=["a", 0], other=["c", 0]), "c": make()}
    status, result, said = run(graph | {"d": node("ToySave", "save", thing=["b", 0], name="x.txt")})
    assert status == 0 and result["outputs"] == [str(tmp_path / "out/p_1.png")]
    assert server.viewed == ["p_1.png"]
    lines = [line.strip() for line in said.splitlines()]
    assert lines[:2] == ["1 of 4 nodes are unchanged and not run again.", "[1/3] maker (ToyMake)"]
    assert "maker: 3/3" in lines and lines[-1] == "[2/3] ToyJoin (ToyJoin)"


@pytest.mark.parametrize("library", ["missing", "present"])
def test_without_a_websocket_the_server_is_asked(server, run, tmp_path, monkeypatch, library):
    if library == "missing":
        monkeypatch.setitem(sys.modules, "websocket", None)
    else:
        server.outbox.put(None)  # the connection ends at once, as behind a proxy
    server.pending = ["other", PROMPT]

    def tell():
        for state in (["other"], [PROMPT], []), ([PROMPT], [], []):
            server.asked.clear()
            server.running, server.pending, _ = state
            server.asked.wait(5)
        server.end({"b": {"images": [FILE], "animated": [True]}})

    server.on_prompt = tell
    status, result, said = run()
    assert status == 0 and result["outputs"] == [str(tmp_path / "out/p_1.png")], said
    assert "Waiting in the server's queue: 1 before this one." in said
    assert library == "present" or "its nodes are shown where websocket-client is installed" in said


def test_inputs_are_uploaded_and_the_names_of_the_server_stay_in_the_folder(server, run, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    outside = {"filename": "../../p_1.png", "subfolder": "../sub", "type": "output"}
    preview = {"filename": "t.png", "subfolder": "", "type": "temp"}
    server.on_prompt = lambda: server.end({"b": {"images": [preview, outside], "animated": [True]}})
    graph = {"a": node("LoadImage", "source"), "b": node("PreviewImage", images=["a", 0])}
    status, result, said = run(graph, "--input", "source=face.png")
    assert status == 0, said
    assert result["outputs"] == [str(tmp_path / "out/sub/p_1.png"), str(tmp_path / "out/preview/t.png")]
    assert posts(server) == ["/upload/image", "/prompt"]
    (_, upload), (_, prompt) = server.posted
    assert (tmp_path / "face.png").read_bytes() in upload
    assert json.loads(prompt)["prompt"]["a"]["inputs"] == {"image": "face (1).png"}


# --- what is refused


def test_what_the_server_refuses_is_told(server, run):
    error = {"message": "Value not in list", "details": "name", "extra_info": {"input_name": "name"}}
    errors = {"b": {"errors": [error]}}
    server.verdict = ({"error": {}, "node_errors": errors}, 400)
    status, _, said = run()
    assert status == 2 and "node 'save' (ToySave, id b), input 'name': Value not in list: name" in said
    server.verdict = ({"prompt_id": PROMPT, "node_errors": errors}, 200)
    server.running = [PROMPT]
    assert run()[0] == 2 and posts(server)[-3:] == ["/prompt", "/queue", "/interrupt"]
    server.verdict = ({"error": {"message": "Cannot execute.", "details": "Node 3"}, "node_errors": {}}, 400)
    status, _, said = run()
    assert status == 2 and said.endswith(
        "refused /prompt with status 400: Cannot execute. Node 3; look into its log.\n"
    )
    server.verdict = (b"<html>", 200)
    assert "is no ComfyUI server" in run()[2]
    assert "does not answer" in run(address="http://127.0.0.1:9")[2]


def test_a_graph_of_a_newer_version_is_refused_before_it_is_queued(server, run):
    ours = json.loads(json.dumps(server.infos["ToyMake"]))
    graph = {"a": node("MIMAFaceMake", "maker", sharpness=1), "b": node("MIMAFaceFuture", thing=["a", 0])}
    graph["c"] = node("ToySave", "save", thing=["b", 0], name="x.txt")
    assert "MIMAFace is not installed on http://127.0.0.1" in run(graph)[2]
    server.infos = server.infos | {"MIMAFaceMake": ours}
    status, _, said = run(graph)
    newer = "If the graph was made with a newer MIMAFace, update this one."
    future, sharpness = (
        next(line for line in said.splitlines() if word in line) for word in ("MIMAFaceFuture,", "'sharpness'")
    )
    assert status == 2 and future.endswith(newer) and sharpness.endswith(newer)
    assert not server.posted


# --- runs that do not end well


def test_a_node_that_fails_is_named_and_what_was_finished_is_fetched(server, run, tmp_path):
    failure = ["execution_error", {"node_id": "b", "exception_message": "no face\n"}]
    server.on_prompt = lambda: server.end({"a": {"images": [FILE]}}, "error", [failure])
    status, _, said = run()
    assert status == 2 and said.splitlines()[-1] == "node 'save' (ToySave, id b): no face"
    assert (tmp_path / "out/p_1.png").is_file()


def test_somebody_elses_cancel_is_told_of_a_run_and_of_one_that_waits(server, run):
    stopped = ["execution_interrupted", {"node_id": "a"}]
    server.on_prompt = lambda: server.end({}, "error", [stopped])
    status, _, said = run()
    assert status == 2 and "cancelled by somebody on http://127.0.0.1" in said and "at node 'maker'" in said

    def take_out():
        server.asked.wait(5)
        server.pending = []

    server.history, server.pending, server.on_prompt = None, [PROMPT], take_out
    server.asked.clear()
    status, _, said = run()
    assert status == 2 and said.splitlines()[-1].startswith("This run was cancelled by somebody on")
    assert "while it waited in the queue" in said


@needs_websocket
def test_a_server_that_stops_is_one_sentence_and_files_before_are_here(run, tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "PATIENCE", 0.3)
    dying = FakeComfyUI()
    dying.running = [PROMPT]

    def tell():
        dying.watched.wait(5)
        dying.tell("executing", node="a")
        dying.tell("executed", node="a", output={"images": [FILE]})
        dying.tell("executing", node="b")
        until = time.monotonic() + 5
        while not dying.viewed and time.monotonic() < until:
            time.sleep(0.02)
        dying.stop()

    dying.on_prompt = tell
    status, _, said = run(address=dying.address)
    assert status == 2 and "stopped in the middle of the run, at 'save'" in said.splitlines()[-1]
    assert (tmp_path / "out/p_1.png").is_file()


@needs_websocket
def test_a_server_that_was_started_again_has_lost_the_run(server, run):
    def restart():
        server.watched.wait(5)
        server.outbox.put(None)

    server.on_prompt = restart
    status, _, said = run()
    assert status == 2 and said.splitlines()[-1].endswith("was started again and has lost this run; run it again.")


def test_a_file_that_breaks_off_is_not_kept(server, run, tmp_path):
    server.cut_short = 5
    server.on_prompt = lambda: server.end({"b": {"images": [FILE]}})
    status, _, said = run()
    assert status == 2 and "its answer broke off" in said
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("state", ["running", "pending"])
def test_ctrl_c_stops_the_server_too(server, tmp_path, state):
    setattr(server, state, [PROMPT])
    graph = {"a": node("LoadImage", "source", image="x.png"), "b": node("PreviewImage", images=["a", 0])}
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    command = [sys.executable, "-c", COMMAND, "run", "graph.json", "--server", server.address]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    try:
        assert server.asked.wait(60)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert posts(server) == ["/prompt", "/queue", *(["/interrupt"] if state == "running" else [])]
