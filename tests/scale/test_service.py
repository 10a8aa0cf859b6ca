"""`mimaface serve` over HTTP with toy nodes: jobs, keys, events, limits, clients, expiry, restarts."""

import asyncio
import io
import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from PIL import Image
from support.machine import slower
from support.page import CHROMIUM, FOLDER, NEEDED

from mimaface.cli import main as cli
from mimaface.headless import graph
from mimaface.mimaface_core.terminal import TerminalHost
from mimaface.scale import jobs as jobs_module
from mimaface.scale.jobs import Jobs
from mimaface.scale.members import CrewOptions
from mimaface.scale.service import Limits, Service


@pytest.fixture
def serving(toys, monkeypatch):
    """A context with a client of the service, which runs in a thread with the workflows copy and trap."""
    monkeypatch.setattr(jobs_module, "SHIPPED", toys)
    monkeypatch.setattr(graph, "SHIPPED", toys)

    @contextmanager
    def serve(**changes):
        jobs = Jobs(toys / "data", CrewOptions(workers=1, threads=1), TerminalHost())
        limits = Limits(**{"tokens": {}, "upload": 1 << 20, "quota": 4, "keep": 3600.0, **changes})
        loop = asyncio.new_event_loop()
        runner = web.AppRunner(Service(jobs, limits).application())
        loop.run_until_complete(runner.setup())
        loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        thread = threading.Thread(target=loop.run_forever)
        with jobs.opened():
            thread.start()
            address = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
                    yield client
            finally:
                asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
                loop.call_soon_threadsafe(loop.stop)
                thread.join()

    return serve


def send(client, toys, workflow="trap", key="", token="", file="a.png", **settings):
    headers = {"Idempotency-Key": key} | ({"Authorization": f"Bearer {token}"} if token else {})
    files = {"source": (file, (toys / file).read_bytes())}
    return client.post(f"/v1/workflows/{workflow}", files=files, data=settings, headers=headers)


def states(client, job):
    """The states of a job, as they are sent to its end."""
    with client.stream("GET", f"/v1/jobs/{job}/events") as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def preset(toys, mode):
    """The workflow trap with a mode and a mark, which a request cannot set."""
    content = json.loads((toys / "trap.json").read_text())
    content["5"]["inputs"].update(mode=mode, mark=str(toys / "mark"))
    (toys / "trap.json").write_text(json.dumps(content))


def test_a_job_from_upload_to_result(serving, toys):
    with serving() as client:
        assert client.get("/v1/workflows").json() == {"copy": ["source"], "trap": ["source"]}
        sent = send(client, toys, key="one", **{"set.trap.seed": "7"})
        assert sent.status_code == 202, sent.text
        job = sent.json()["id"]
        told = states(client, job)
        assert told[-1] == {"id": job, "workflow": "trap", "state": "done", "result": f"/v1/jobs/{job}/result"}
        result = client.get(told[-1]["result"])
        assert Image.open(io.BytesIO(result.content)).getpixel((0, 0)) == (7, 7, 7)
        # the same request under the same key is the same job, another one is refused
        again = send(client, toys, key="one", **{"set.trap.seed": "7"})
        assert (again.status_code, again.json()["id"]) == (200, job)
        other = send(client, toys, key="one", **{"set.trap.seed": "8"})
        assert other.status_code == 409 and "belongs to another request" in other.json()["error"]
        assert len(list((toys / "data/uploads").iterdir())) == 1
        assert client.delete(f"/v1/jobs/{job}").status_code == 204
        assert client.get(f"/v1/jobs/{job}").status_code == 404
        assert not [path for path in (toys / "data").rglob("*") if path.is_file() and job in path.name]
        paths = client.get("/openapi.json").json()["paths"]
        assert {"/v1/workflows/trap", "/v1/jobs/{job}/events"} <= set(paths)
        assert "<title>MIMAFace</title>" in client.get("/").text


def test_what_cannot_run_is_refused_in_a_sentence(serving, toys):
    (toys / "words.png").write_text("no image")
    with serving(upload=5000) as client:
        cases = [
            (send(client, toys, "nothing"), 404, "There is no workflow nothing; there are copy, trap."),
            (send(client, toys, **{"set.trap.mark": "/etc/x"}), 400, "set.trap.mark cannot be set here; leave it out."),
            (send(client, toys, **{"set.trap.seed": "x"}), 400, "input 'seed': 'x' is not a whole number"),
            (send(client, toys, **{"set.source.image": "/etc/passwd"}), 400, "set.source.image"),
            (send(client, toys, other="x"), 400, "The form has a part 'other'"),
            (client.post("/v1/workflows/trap", json={}), 400, "The request is no form with files"),
            (client.get("/v1/jobs/none"), 404, "There is no such job of yours"),
            (client.get("/v1/workflows", headers={"Host": "evil.example"}), 403, "answers to this machine only"),
        ]
        for origin in ("https://evil.example", "null", "http://["):
            asked = client.post("/v1/workflows/trap", headers={"Origin": origin}, files={"source": b""})
            cases.append((asked, 403, "not to other sites' pages"))
        (toys / "big.png").write_bytes(bytes(6000))
        cases.append((send(client, toys, file="big.png"), 413, "The files are larger than this service takes."))
        for answer, status, words in cases:
            assert answer.status_code == status and words in answer.json()["error"], answer.text
        assert not list((toys / "data/uploads").iterdir())
        failed = states(client, send(client, toys, **{"set.trap.mode": "refuse"}).json()["id"])[-1]
        assert failed["state"] == "failed" and "There is no face in the image; choose another." in failed["reason"]


def test_clients_see_their_own_jobs_within_their_quota(serving, toys):
    preset(toys, "wait once")
    with serving(tokens={"secret": "ann", "hidden": "bob"}, quota=1) as client:
        assert client.get("/v1/workflows").status_code == 401 and client.get("/").status_code == 200
        assert send(client, toys, token="wrong").status_code == 401
        first = send(client, toys, token="secret")
        assert first.status_code == 202
        full = send(client, toys, token="secret")
        assert full.status_code == 429 and "1 jobs of yours wait or run" in full.json()["error"]
        own = f"/v1/jobs/{first.json()['id']}"
        bob = {"Authorization": "Bearer hidden"}
        assert client.get(own, headers=bob).status_code == 404
        assert client.delete(own, headers={"Authorization": "Bearer secret"}).status_code == 409
        waiting = send(client, toys, token="hidden").json()
        assert waiting["state"] == "queued"


def test_a_job_survives_the_service_and_expires(serving, toys):
    preset(toys, "wait once")
    with serving() as client:
        job = send(client, toys).json()["id"]
        until = time.monotonic() + 60 * slower()
        while not (toys / "mark").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
    with serving() as client:
        assert states(client, job)[-1]["state"] == "done"
    with serving(keep=0.5) as client:
        until = time.monotonic() + 30 * slower()
        while client.get(f"/v1/jobs/{job}").status_code != 404:
            assert time.monotonic() < until
            time.sleep(0.1)
    assert not [path for path in (toys / "data").rglob("*.png") if path.is_file()]


@pytest.mark.skipif(
    not (CHROMIUM and NEEDED["node"] and NEEDED["playwright-core"]),
    reason="needs Chromium and Node.js: install them, then run `make browser`",
)
def test_the_page_animates_in_a_browser(serving, toys, tmp_path_factory):
    folder = Path(os.environ.get("BROWSER_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    with serving(tokens={"secret": "ann"}) as client:
        command = ["node", FOLDER / "service.mjs", CHROMIUM, str(client.base_url), "secret", "trap", toys / "a.png"]
        done = subprocess.run(
            [*command, folder / "service.png"], check=False, capture_output=True, text=True, timeout=300 * slower()
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"said": "done", "width": 8, "faults": []}


@pytest.mark.parametrize(
    "options, words",
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 lets anybody in; name the clients in a file: --tokens FILE."),
        (["--tokens", "gone"], "--tokens gone cannot be read"),
        (["--tokens", "words.txt"], "--tokens words.txt has to hold a line `NAME TOKEN` for each client"),
        (["--quota", "0"], "--quota 0 is out of range; use at least 1."),
        (["--workers", "0"], "--workers 0 is out of range; use at least 1."),
        (["--ray", "127.0.0.1:1"], "--ray"),
    ],
)
def test_options_that_cannot_be_used_are_refused(toys, capsys, options, words):
    (toys / "words.txt").write_text("one two three\n")
    assert cli.main(["serve", *options]) == 2
    assert words in capsys.readouterr().err
