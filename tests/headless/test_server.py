"""`mimaface run --server` against a fake server: progress, downloads, and every way in which a run can end."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import pytest
from PIL import Image
from support.checkout import COMMAND
from support.fake_comfyui import PROMPT, FakeComfyUI
from support.machine import slower
from support.toys import make, node

from mimaface.cli import main as cli
from mimaface.headless import follow

FILE = {"filename": "p_1.png", "subfolder": "", "type": "output"}
needs_websocket = pytest.mark.skipif(importlib.util.find_spec("websocket") is None, reason="needs websocket-client")


@pytest.fixture
def server():
    fake = FakeComfyUI()
    yield fake
    fake.stop()


@pytest.fixture
def run(server, tmp_path, monkeypatch, capsys):
    """Runs a graph on the server; gives exit status, JSON of the last line, and standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(follow, "WATCHED_POLL_SECONDS", 0.3)

    def run(graph=None, *arguments, address=server.address):
        graph = graph or {"a": make(), "b": node("ToySave", "save", thing=["a", 0], name="x.txt")}
        (tmp_path / "graph.json").write_text(json.dumps(graph))
        status = cli.main(["run", "graph.json", "--server", address, "--output-dir", "out", *arguments])
        printed = capsys.readouterr()
        return status, json.loads(printed.out.splitlines()[-1]) if printed.out else None, printed.err

    return run


def posts(server):
    return [where for where, _ in server.posted]


# --- runs that succeed


@needs_websocket
def test_nodes_and_their_steps_are_shown_and_files_downloaded_once(server, run, tmp_path):
    def play():
        server.watched.wait(60)
        server.send("execution_start")
        server.send("execution_cached", nodes=["c", "elsewhere"])
        server.send("executing", node="a", prompt_id="somebody else's")
        server.send("executing", node="a")
        server.send("progress", node="a", value=1, max=3)
        server.outbox.put(b"\0\0\0\1a preview")
        server.send("progress", node="a", value=3, max=3)
        server.send("executing", node="b")
        server.send("executed", node="b", output={"images": [FILE]})
        server.end({"b": {"images": [FILE]}})

    server.on_prompt = play
    graph = {"a": make(note="x"), "b": node("ToyJoin", either=["a", 0], other=["c", 0]), "c": make()}
    status, result, err = run(graph | {"d": node("ToySave", "save", thing=["b", 0], name="x.txt")})
    assert status == 0 and result["outputs"] == [str(tmp_path / "out/p_1.png")]
    assert server.viewed == ["p_1.png"]
    lines = [line.strip() for line in err.splitlines()]
    assert lines[:2] == ["1 of 4 nodes are unchanged and not run again.", "[1/3] maker (ToyMake)"]
    assert "maker: 3/3" in lines and lines[-1] == "[2/3] ToyJoin (ToyJoin)"


@pytest.mark.parametrize("library", ["missing", "present"])
def test_without_a_websocket_the_server_is_polled(server, run, tmp_path, monkeypatch, library):
    if library == "missing":
        monkeypatch.setitem(sys.modules, "websocket", None)
    else:
        server.outbox.put(None)  # the connection ends at once, as behind a proxy
    server.pending = ["other", PROMPT]

    def play():
        for state in (["other"], [PROMPT], []), ([PROMPT], [], []):
            server.polled.clear()
            server.running, server.pending, _ = state
            server.polled.wait(60)
        server.end({"b": {"images": [FILE], "animated": [True]}})

    server.on_prompt = play
    status, result, err = run()
    assert status == 0 and result["outputs"] == [str(tmp_path / "out/p_1.png")], err
    assert "Waiting in the server's queue: 1 before this one." in err
    assert library == "present" or "its nodes are shown where websocket-client is installed" in err


def test_inputs_are_uploaded_and_downloads_stay_in_the_output_folder(server, run, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "face.png")
    outside = {"filename": "../../p_1.png", "subfolder": "../sub", "type": "output"}
    preview = {"filename": "t.png", "subfolder": "", "type": "temp"}
    server.on_prompt = lambda: server.end({"b": {"images": [preview, outside], "animated": [True]}})
    graph = {"a": node("LoadImage", "source"), "b": node("PreviewImage", images=["a", 0])}
    status, result, err = run(graph, "--input", "source=face.png")
    assert status == 0, err
    assert result["outputs"] == [str(tmp_path / "out/sub/p_1.png"), str(tmp_path / "out/preview/t.png")]
    assert posts(server) == ["/upload/image", "/prompt"]
    (_, upload), (_, prompt) = server.posted
    assert (tmp_path / "face.png").read_bytes() in upload
    assert json.loads(prompt)["prompt"]["a"]["inputs"] == {"image": "face (1).png"}


def test_a_large_upload_is_streamed_and_its_megabytes_are_counted(server, run, tmp_path):
    size = 48 << 20
    with open(tmp_path / "clip.mp4", "wb") as file:
        file.truncate(size)
    server.on_prompt = lambda: server.end({})
    graph = {"a": node("LoadVideo", "driver"), "b": node("GetVideoComponents", video=["a", 0])}
    graph["c"] = node("PreviewImage", images=["b", 0])
    assert run(graph, "--input", "driver=clip.mp4")[0] == 0  # everything is imported
    tracemalloc.start()
    try:
        status, _, err = run(graph, "--input", "driver=clip.mp4")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == 0 and "uploading clip.mp4, MB: 48/48" in err, err
    assert server.sizes[0] > size and peak < 4e6, peak


def test_a_file_that_the_server_finds_too_large_is_refused(server, run, tmp_path):
    (tmp_path / "clip.mp4").write_bytes(bytes(1000))
    server.upload_status = 413
    graph = {"a": node("LoadVideo", "driver"), "b": node("GetVideoComponents", video=["a", 0])}
    status, _, err = run(graph | {"c": node("PreviewImage", images=["b", 0])}, "--input", "driver=clip.mp4")
    assert status == 2 and "refused /upload/image with status 413: the file is larger than it takes" in err


# --- refusals


def test_refusals_of_the_server_are_reported(server, run):
    error = {"message": "Value not in list", "details": "name", "extra_info": {"input_name": "name"}}
    errors = {"b": {"errors": [error]}}
    server.verdict = ({"error": {}, "node_errors": errors}, 400)
    status, _, err = run()
    assert status == 2 and "node 'save' (ToySave, id b), input 'name': Value not in list: name" in err
    server.verdict = ({"prompt_id": PROMPT, "node_errors": errors}, 200)
    server.running = [PROMPT]
    assert run()[0] == 2 and posts(server)[-3:] == ["/prompt", "/queue", "/interrupt"]
    server.verdict = ({"error": {"message": "Cannot execute.", "details": "Node 3"}, "node_errors": {}}, 400)
    status, _, err = run()
    assert status == 2 and err.endswith("refused /prompt with status 400: Cannot execute. Node 3; look into its log.\n")
    server.verdict = (b"<html>", 200)
    assert "is no ComfyUI server" in run()[2]
    assert "does not answer" in run(address="http://127.0.0.1:9")[2]


def test_a_graph_of_a_newer_version_is_refused_before_it_is_queued(server, run):
    ours = json.loads(json.dumps(server.infos["ToyMake"]))
    graph = {"a": node("MIMAFaceMake", "maker", sharpness=1), "b": node("MIMAFaceFuture", thing=["a", 0])}
    graph["c"] = node("ToySave", "save", thing=["b", 0], name="x.txt")
    assert "MIMAFace is not installed on http://127.0.0.1" in run(graph)[2]
    server.infos = server.infos | {"MIMAFaceMake": ours}
    status, _, err = run(graph)
    newer = "If the graph was made with a newer MIMAFace, update this one."
    future, sharpness = (
        next(line for line in err.splitlines() if word in line) for word in ("MIMAFaceFuture,", "'sharpness'")
    )
    assert status == 2 and future.endswith(newer) and sharpness.endswith(newer)
    assert not server.posted


# --- runs that fail


def test_a_failing_node_is_named_and_finished_files_are_downloaded(server, run, tmp_path):
    failure = ["execution_error", {"node_id": "b", "exception_message": "no face\n"}]
    server.on_prompt = lambda: server.end({"a": {"images": [FILE]}}, "error", [failure])
    status, _, err = run()
    assert status == 2 and err.splitlines()[-1] == "node 'save' (ToySave, id b): no face"
    assert (tmp_path / "out/p_1.png").is_file()


def _with(server, **changes):
    for name, value in changes.items():
        setattr(server, name, value)


# what a server that is none, or a newer one, may answer
ODD_ANSWERS = {
    "to a prompt: nothing": lambda s: _with(s, verdict=({}, 200)),
    "to a prompt: a list": lambda s: _with(s, verdict=([1], 200)),
    "to a prompt: problems of another form": lambda s: _with(s, verdict=({"node_errors": {"a": {"x": 1}}}, 400)),
    "to a prompt: brackets": lambda s: _with(s, verdict=(b"[" * 3000 + b"]" * 3000, 200)),
    "files of another form": lambda s: _with(s, on_prompt=lambda: s.end({"b": "x"})),
    "a reason of another form": lambda s: _with(s, on_prompt=lambda: s.end({}, "error", [["execution_error", 1]])),
    "messages of another form": lambda s: _with(
        s, on_prompt=lambda: (s.send("progress", node="a"), s.outbox.put('{"type": 1, "data": 5}'), s.end({"b": 1}))
    ),
}


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_an_odd_answer_is_one_sentence(server, run, answer):
    ODD_ANSWERS[answer](server)
    status, _, err = run()
    assert status == 2 and "--server" in err.splitlines()[-1] and "Traceback" not in err


def test_messages_that_cannot_be_read_and_odd_node_classes_are_passed_over(server, run, tmp_path):
    server.infos |= {"Odd": {"input": "x"}, "Odder": {"input": {"required": {"a": ["INT", {"min": "x"}]}}}}

    def play():
        server.outbox.put("{no JSON")
        server.outbox.put("5")
        server.end({"b": {"images": [FILE]}})

    server.on_prompt = play
    assert run()[0] == 0 and (tmp_path / "out/p_1.png").is_file()


def test_a_cancel_by_somebody_else_is_reported_running_and_waiting(server, run):
    stopped = ["execution_interrupted", {"node_id": "a"}]
    server.on_prompt = lambda: server.end({}, "error", [stopped])
    status, _, err = run()
    assert status == 2 and "cancelled by somebody on http://127.0.0.1" in err and "at node 'maker'" in err

    def take_out():
        server.polled.wait(60)
        server.pending = []

    server.history, server.pending, server.on_prompt = None, [PROMPT], take_out
    server.polled.clear()
    status, _, err = run()
    assert status == 2 and err.splitlines()[-1].startswith("This run was cancelled by somebody on")
    assert "while it waited in the queue" in err


@needs_websocket
def test_a_server_that_stops_is_one_sentence_and_earlier_files_are_kept(run, tmp_path, monkeypatch):
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.3)
    dying = FakeComfyUI()
    dying.running = [PROMPT]

    def play():
        dying.watched.wait(60)
        dying.send("executing", node="a")
        dying.send("executed", node="a", output={"images": [FILE]})
        dying.send("executing", node="b")
        until = time.monotonic() + 60
        while not dying.viewed and time.monotonic() < until:
            time.sleep(0.02)
        dying.stop()

    dying.on_prompt = play
    status, _, err = run(address=dying.address)
    assert status == 2 and "stopped in the middle of the run, at 'save'" in err.splitlines()[-1]
    assert (tmp_path / "out/p_1.png").is_file()


@needs_websocket
def test_a_restarted_server_has_lost_the_run(server, run):
    def restart():
        server.watched.wait(60)
        server.outbox.put(None)

    server.on_prompt = restart
    status, _, err = run()
    assert status == 2 and err.splitlines()[-1].endswith("was started again and has lost this run; run it again.")


def test_a_download_that_breaks_off_is_not_kept(server, run, tmp_path):
    server.cut_short = 5
    server.on_prompt = lambda: server.end({"b": {"images": [FILE]}})
    status, _, err = run()
    assert status == 2 and "its answer broke off" in err
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
        assert server.polled.wait(60 * slower())
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20 * slower())
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, err
    assert posts(server) == ["/prompt", "/queue", *(["/interrupt"] if state == "running" else [])]
