"""Batches with inputs and results in an object store: fetched once, record last, resuming, locks, stores that fail."""

import json
import os
import socket
import subprocess
import sys

import fsspec
import pytest
from support.toys import CLASSES

from mimaface.headless.kept import KeptOutputs
from mimaface.mimaface_core.errors import InputError
from mimaface.scale.cloud import CloudResults
from mimaface.scale.hashes import FileHashes, digest
from mimaface.scale.pairs import PairCheck
from mimaface.scale.rows import Row
from mimaface.scale.stores import fetch
from mimaface.scale.worker import run_job

OUT = "memory://bucket/out"


@pytest.fixture
def store(toys, monkeypatch):
    """A store in memory with the list pairs.jsonl of three pairs, and a.png and b.png beside it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(toys / "cache"))
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    for name in ("a.png", "b.png"):
        fs.pipe_file(f"/bucket/in/{name}", (toys / name).read_bytes())
    rows = [{"source": f"{'ab'[i % 2]}.png", "output": f"r{i}", "graph": str(toys / "trap.json")} for i in range(3)]
    fs.pipe_file("/bucket/in/pairs.jsonl", "\n".join(map(json.dumps, rows)).encode())
    yield fs
    fs.store.clear()


@pytest.fixture
def run(batch):
    return lambda *options: batch("memory://bucket/in/pairs.jsonl", "--output-dir", OUT, *options)


@pytest.fixture
def pair(toys):
    def make(source=None, name="x"):
        row = Row("line 2", {"source": source or str(toys / "a.png"), "graph": str(toys / "copy.json"), "output": name})
        (found,), faults = PairCheck(toys, toys / "work", {}).check([row])
        assert not faults
        return found

    return make


def stored(fs):
    return sorted(path.removeprefix("/bucket/out/") for path in fs.find("/bucket/out"))


def made(results, content=b"a result"):
    """A scratch folder with a result, as `publish` takes them."""
    results.state.mkdir(parents=True, exist_ok=True)
    scratch = results.scratch()
    (scratch / "out").mkdir()
    path = scratch / "out" / "result_00001_.png"
    path.write_bytes(content)
    return scratch, path, {"sha256": digest(path), "seconds": 1.0}


def test_a_batch_from_a_store_to_a_store_goes_on_where_it_stopped(store, run, toys):
    status, told, said = run("--limit", 2)
    assert status == 0 and (told["done"], told["left"]) == (2, 1), said
    assert stored(store) == ["r0.json", "r0.png", "r1.json", "r1.png"]
    record = json.loads(store.cat_file("/bucket/out/r0.json"))
    assert record["inputs"]["source"]["file"] == "memory://bucket/in/a.png" and "pending" not in record
    store.get_file("/bucket/out/r0.png", str(toys / "r0.png"))
    assert digest(toys / "r0.png") == record["sha256"]
    assert len(list((toys / "cache/mimaface/inputs").iterdir())) == 3  # the list and two photographs, fetched once
    store.pipe_file("/bucket/in/b.png", store.cat_file("/bucket/in/a.png"))
    status, told, _ = run()
    assert status == 0 and (told["done"], told["skipped"]) == (2, 1)  # r1 is of another photograph now


def test_a_result_counts_only_with_its_whole_record(store, pair, toys):
    results = CloudResults(toys / "work", OUT)
    with results.opened():
        results.publish(pair(), *made(results))
        assert results.is_done(pair())
    assert stored(store) == ["x.json", "x.png"]
    record = json.loads(store.cat_file("/bucket/out/x.json"))
    for changed in ({**record, "pending": True}, {**record, "bytes": 1}, {**record, "fingerprint": "0"}):
        store.pipe_file("/bucket/out/x.json", json.dumps(changed).encode())
        assert not CloudResults(toys / "work", OUT).is_done(pair())
    store.rm_file("/bucket/out/x.json")
    results = CloudResults(toys / "work", OUT)
    with results.opened(), pytest.raises(InputError, match="out/x.png is there already, and no batch wrote it"):
        results.publish(pair(), *made(results, b"another"))
    assert store.cat_file("/bucket/out/x.png") == b"a result"


def test_what_a_killed_command_had_finished_is_put_by_the_next(store, pair, toys, monkeypatch):
    results = CloudResults(toys / "work", OUT)
    with monkeypatch.context() as patch:
        patch.setattr(type(store), "put_file", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("gone")))
        with results.opened(), pytest.raises(InputError, match=r"x.png: the store refuses or does not answer \(gone\)"):
            results.publish(pair(), *made(results))
        assert stored(store) == ["x.json"] and not CloudResults(toys / "work", OUT).is_done(pair())
    # as a kill would leave it: the scratch folder is there
    results = CloudResults(toys / "work", OUT)
    scratch, path, told = made(results)
    with monkeypatch.context() as patch:
        patch.setattr(results, "_put", lambda *_: None)
        results.publish(pair(), scratch, path, told)
    with results.opened():
        assert CloudResults(toys / "work", OUT).is_done(pair())


def test_a_store_that_fails_once_costs_a_retry(store, run, monkeypatch):
    put, failed = type(store).put_file, []

    def fail_once(self, *arguments, **more):
        if not failed:
            failed.append(arguments)
            raise ConnectionError("gone")
        return put(self, *arguments, **more)

    monkeypatch.setattr(type(store), "put_file", fail_once)
    status, told, said = run("--limit", 1)
    assert status == 0 and told["done"] == 1 and failed and "does not answer (gone)" in said


def test_one_batch_at_a_time_works_in_a_store(store, run):
    lock = "/bucket/out/.mimaface-batch/lock"
    store.pipe_file(lock, json.dumps({"pid": 1, "host": "elsewhere"}).encode())
    status, _, said = run()
    assert status == 2 and "(process 1 on elsewhere); wait for its end, or delete memory://bucket/out/.mima" in said
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store.pipe_file(lock, b"[]")
    assert "its lock cannot be read" in run("--limit", 1)[-1]
    store.pipe_file(lock, json.dumps({"pid": dead.pid, "host": socket.gethostname()}).encode())
    assert run("--limit", 1)[0] == 0 and not store.exists(lock)


def test_a_worker_on_another_machine_fetches_inputs_and_hands_over_its_result(pair, toys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(toys / "cache"))
    (toys / "store").mkdir()
    (toys / "store/a.png").write_bytes((toys / "a.png").read_bytes())
    asked = pair(f"file://{toys}/store/a.png")
    results = CloudResults(toys / "work", f"file://{toys}/store/out")
    with results.opened():
        scratch = results.scratch()
        for path in (toys / "cache").rglob("*.png"):
            path.unlink()  # another machine has none
        job = asked.job(scratch) | {"deliver": f"file://{toys}/store/out/.mimaface-batch/scratch/1"}
        told = run_job(job, CLASSES, KeptOutputs(), FileHashes())
        assert not scratch.exists()
        scratch.mkdir()
        file = told.pop("file")
        results.publish(asked, scratch, scratch / "out" / os.path.basename(file), told)
    again = CloudResults(toys / "work", f"file://{toys}/store/out")
    assert again.is_done(asked)
    left = [path.relative_to(toys / "store").as_posix() for path in (toys / "store").rglob("*") if path.is_file()]
    assert sorted(left) == ["a.png", "out/x.json", "out/x.png"]


@pytest.mark.parametrize(
    "url, words",
    [
        ("memory://bucket/none.png", "memory://bucket/none.png was not found; check the address."),
        ("nosuch://bucket/a.png", "nosuch://bucket/a.png cannot be read as an address"),
        ("s3://bucket/a.png", 'install what it needs: pip install "mimaface[cloud]"'),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(store, monkeypatch, url, words):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError) as refused:
        fetch(url)
    assert words in str(refused.value)
