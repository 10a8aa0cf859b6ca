"""`mimaface batch --ray` with toy nodes: the same bytes, workers and drivers that are killed, cancelling, refusals."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.batches import gone, results, start, worker_that_waits
from support.checkout import ROOT

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or os.name == "nt",
    reason='needs Ray on Linux or macOS; install it with: pip install ".[ray]"',
)


@pytest.fixture(scope="module")
def ray_cluster(tmp_path_factory):
    """The address of a cluster of one machine with two CPUs."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_AUTH_MODE", "token")
    patch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)
    from ray.util import get_node_ip_address  # Ray knows a machine by this address alone

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("ray") / "log"
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--num-cpus=2"]
    command += [f"--port={port}", "--include-dashboard=false"]
    command += ["--object-store-memory=80000000", "--disable-usage-stats"]
    with open(log, "w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    until = time.monotonic() + 240
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None and time.monotonic() < until, log.read_text()
        time.sleep(0.2)
    yield f"{get_node_ip_address()}:{port}"
    process.terminate()
    process.wait(60)
    patch.undo()


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@needs_ray
def test_two_ray_workers_write_the_same_bytes_though_one_is_killed(toys, pairs, batch, ray_cluster):
    rows = [("a.png", "r0", "kill once"), ("b.png", "r1", "wait once")]
    rows += [(f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(2, 6)]
    for name in ("r0", "r1"):
        (toys / f"{name}.mark").touch()
    assert batch(pairs(*rows), "--output-dir", "out", "--threads", 1)[0] == 0
    alone = results(toys)
    os.rename(toys / "out", toys / "before")
    for name in ("r0", "r1"):
        (toys / f"{name}.mark").unlink()
    killer = threading.Thread(target=lambda: os.kill(parent(worker_that_waits(toys, "r1")), signal.SIGKILL))
    killer.start()
    status, told, said = batch(pairs(*rows), "--output-dir", "out", "--ray", ray_cluster, "--threads", 1)
    killer.join()
    assert status == 0 and told["done"] == 6, said
    assert "r0: The worker process was ended by signal 9" in said and "r1: The Ray worker was lost" in said
    assert results(toys) == alone
    assert (toys / "out/.mimaface-batch/worker-2.log").exists()


@needs_ray
def test_a_driver_that_is_killed_or_cancelled_leaves_no_worker_and_the_next_one_goes_on(
    toys, pairs, batch, ray_cluster
):
    listed = pairs(("a.png", "x", "pass"), ("a.png", "y", "wait once"), ("b.png", "z", "wait once"))
    arguments = ("--ray", ray_cluster, "--workers", "1", "--threads", "1")
    process = start(toys, listed, *arguments)
    worker = worker_that_waits(toys, "y")
    process.kill()
    process.communicate()
    assert gone(worker, 60)
    process = start(toys, listed, *arguments)
    worker = worker_that_waits(toys, "z")
    process.send_signal(signal.SIGINT)
    output, said = process.communicate(timeout=120)
    assert process.returncode == 130 and gone(worker, 60), said
    assert json.loads(output.splitlines()[-1])["done"] == 1
    status, told, _ = batch(listed, "--output-dir", "out", *arguments)
    assert status == 0 and (told["done"], told["skipped"]) == (1, 2)


def test_without_ray_it_says_what_to_install(toys, pairs, batch, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, told, said = batch(pairs(("a.png", "x", "pass")), "--output-dir", "out", "--ray", "auto")
    assert status == 2 and told is None and '--ray needs Ray; install it with: pip install "mimaface[ray]"' in said


@needs_ray
def test_the_example_of_a_cluster_fits_rays_schema():
    import yaml
    from ray.autoscaler._private.util import fillout_defaults, validate_config

    validate_config(fillout_defaults(yaml.safe_load((ROOT / "deploy/cluster.yaml").read_text())))


def test_a_cluster_of_another_version_is_refused(toys, pairs, batch, monkeypatch):
    def init(**_):
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9.1")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init))
    status, told, said = batch(pairs(("a.png", "x", "pass")), "--output-dir", "out", "--ray", "auto")
    assert status == 2 and told is None and "Traceback" not in said
    assert "Ray: 2.9.0 Python: 3.9.1; install the cluster's versions here." in said


@needs_ray
def test_an_address_without_a_cluster_is_refused(toys, pairs, batch):
    status, _, said = batch(pairs(("a.png", "x", "pass")), "--output-dir", "out", "--ray", "127.0.0.1:1")
    assert status == 2 and "--ray 127.0.0.1:1: no cluster answers" in said and "Traceback" not in said
