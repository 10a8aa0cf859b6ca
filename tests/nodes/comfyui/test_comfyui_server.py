"""`mimaface run --server` and plain curl against a real ComfyUI: progress, cancel, several clients, a killed server.

Runs when COMFYUI_DIR names a ComfyUI folder (see test_comfyui.py).
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from support.checkout import COMMAND, ROOT
from support.comfyui_process import running
from support.comfyui_server import COMFYUI, bare
from support.scenes import clip, moved, needs_faces, nodding
from support.tiny_pack import write_tiny_pack

from mimaface.mimaface_core.media.read import Clip

pytestmark = [
    pytest.mark.skipif(not COMFYUI, reason="set COMFYUI_DIR to a ComfyUI folder to test inside it"),
    pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals"),
    needs_faces,
]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    base = bare(tmp_path_factory.mktemp("comfyui"))
    write_tiny_pack(base / "models" / "mimaface" / "tiny")
    write_tiny_pack(base / "models" / "mimaface" / "slow", picture_size=512)
    Image.fromarray(moved(size=(320, 300))).save(base / "me.jpg")
    clip(base / "clip.mp4", nodding(6))
    return base


@pytest.fixture(scope="module")
def server(base):
    with running(base) as comfyui:
        yield comfyui


@pytest.fixture
def client(server, tmp_path):
    """Starts `mimaface run` on the server; ended with the test."""
    started = []

    def client(*values, pack="tiny", server=server):
        out = tmp_path / f"out{len(started)}"
        command = [sys.executable, "-c", COMMAND, "run", "reenact_video", "--server", server.address]
        command += ["--input", f"source={server.base / 'me.jpg'}", "--input", f"driver={server.base / 'clip.mp4'}"]
        command += ["--output-dir", str(out), "--set", f"pack.pack={pack}"]
        command += [part for value in values for part in ("--set", value)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.out = out
        started.append(process)
        return process

    yield client
    for process in started:
        process.kill()
        process.wait()


SLOW = ("sampler.steps=100",)


def queue(server):
    """Ids of the prompts that run and that wait."""
    state = server.ask("/queue")
    return [entry[1] for entry in state["queue_running"]], [entry[1] for entry in state["queue_pending"]]


def until(happened, seconds=120):
    """Wait until `happened()` is true; gives its value."""
    end = time.monotonic() + seconds
    while not (value := happened()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    return value


def lines_until(process, word):
    """Standard error of a client, up to the line with that word."""
    lines = []
    for line in process.stderr:
        lines.append(line.strip())
        if word in line:
            return lines
    raise AssertionError("\n".join(lines))


def test_two_clients_at_once_show_nodes_and_get_their_own_files(client):
    pytest.importorskip("websocket")
    both = [client(f"sampler.seed={seed}", f"video.filename_prefix=two{seed}") for seed in (1, 2)]
    printed = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], printed
    for seed, (out, err) in enumerate(printed, 1):
        result = json.loads(out.splitlines()[-1])
        assert result["frames"] == 6 and f"two{seed}_" in result["outputs"][0]
        assert any(re.fullmatch(r"\[\d+/\d+\] sampler \(MIMAFaceSampleClips\)", line) for line in err.splitlines()), err
    assert sum("nodes are unchanged and not run again" in err for _, err in printed) >= 1


def test_ctrl_c_stops_a_run_and_unqueues_one_that_waits(server, client):
    busy = client(*SLOW, "sampler.seed=3", pack="slow")
    lines_until(busy, "sampler (")
    waiting = client("sampler.seed=4")
    lines_until(waiting, "Waiting in the server's queue: 1 before this one.")
    waiting.send_signal(signal.SIGINT)
    assert waiting.wait(30) == 130
    assert [len(ids) for ids in queue(server)] == [1, 0]
    busy.send_signal(signal.SIGINT)
    assert busy.wait(30) == 130
    until(lambda: queue(server) == ([], []), 30)
    assert not list(server.base.rglob(".unfinished*"))


def test_a_cancel_on_the_server_is_reported(server, client):
    busy = client(*SLOW, "sampler.seed=5", pack="slow")
    lines_until(busy, "sampler (")
    waiting = client("sampler.seed=6")
    lines_until(waiting, "Waiting")
    server.ask("/queue", {"delete": queue(server)[1]})
    server.ask("/interrupt", {})
    for process, words in ((waiting, "while it waited in the queue"), (busy, "at node 'sampler'")):
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "cancelled by somebody on http" in err.splitlines()[-1] and words in err.splitlines()[-1], err


def test_the_run_of_a_killed_client_finishes(server, client):
    gone = client("sampler.seed=7", "video.filename_prefix=left")
    lines_until(gone, "[")
    gone.kill()
    until(lambda: list((server.base / "output").glob("left_*.mp4")))
    until(lambda: queue(server) == ([], []))


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_the_documented_curl_example_works_as_it_stands(server, tmp_path):
    text = (ROOT / "docs" / "command_line.md").read_text(encoding="utf-8")
    example = re.search(r"<!-- tested: curl -->\s*```bash\n(.*?)```", text, re.DOTALL)[1]
    (tmp_path / "workflows").symlink_to(ROOT / "workflows")
    for name in ("me.jpg", "clip.mp4"):
        shutil.copy(server.base / name, tmp_path)
    script = example.replace("http://127.0.0.1:8188", server.address)
    assert script != example
    environment = os.environ | {"NO_PROXY": "*"}
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list(Clip.open(tmp_path / "animated.mp4"))) == 6


def test_a_killed_server_is_one_sentence(base, client):
    with running(base) as dying:
        process = client(*SLOW, pack="slow", server=dying)
        lines_until(process, "sampler (")
        dying.process.kill()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in err
    assert "stopped in the middle of the run, at 'sampler'" in err.splitlines()[-1]
