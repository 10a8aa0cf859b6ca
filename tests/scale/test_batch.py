"""`mimaface batch` with toy nodes in real worker processes: resuming, retries, deaths, cancelling, options."""

import errno
import json
import os
import signal
import statistics
import threading
import time
from itertools import pairwise

import pytest
from support.batches import gone, results, start, worker_that_waits
from support.kills import campaign
from support.machine import slower

from mimaface.scale.crew import Crew
from mimaface.scale.members import local_workers
from mimaface.scale.results import Results

posix = pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")


def test_a_batch_goes_on_where_it_stopped(toys, pairs, batch):
    listed = pairs(("a.png", "x", "pass"), ("b.png", "y", "refuse"), ("a.png", "sub/z", "pass"), ("gone.png", "w", ""))
    status, told, said = batch(listed, "--output-dir", "out")
    assert status == 1
    assert [told[key] for key in ("done", "failed", "skipped", "left")] == [2, 2, 0, 0]
    assert {failure["pair"] for failure in told["failures"]} == {"line 4", "y"}
    assert "line 4: source" in said and "y: node 'trap' (ToyTrap, id 5): There is no face" in said
    assert "2 done, 2 failed, 0 left" in said
    before = results(toys)
    assert list(before) == ["out/sub/z.png", "out/x.png"]
    times = [(toys / name).stat().st_mtime_ns for name in before]

    listed = pairs(("a.png", "x", "pass"), ("b.png", "y", "pass"), ("a.png", "sub/z", "pass"))
    status, told, _ = batch(listed, "--output-dir", "out", "--only-failed")
    assert status == 0 and [told[key] for key in ("done", "skipped")] == [1, 2]
    assert [(toys / name).stat().st_mtime_ns for name in before] == times

    (toys / "a.png").write_bytes((toys / "b.png").read_bytes())
    status, told, _ = batch(listed, "--output-dir", "out")
    assert status == 0 and [told[key] for key in ("done", "skipped")] == [2, 1]
    assert not list((toys / "out").rglob("scratch")) and not (toys / "out/.mimaface-batch/lock").exists()


@posix
def test_dead_workers_are_replaced_and_a_deadly_pair_is_set_aside(toys, pairs, batch):
    listed = pairs(
        ("a.png", "x", "kill once"), ("a.png", "y", "kill"), ("b.png", "z", "fail once"), ("b.png", "w", "pass")
    )
    status, told, said = batch(listed, "--output-dir", "out")
    assert status == 1 and told["done"] == 3
    (failure,) = told["failures"]
    assert failure["pair"] == "y"
    assert failure["reason"].startswith(
        "Set aside, since 2 workers died with it. The worker process was ended by signal 9"
    )
    assert "z: RuntimeError: out of luck; see the log of the worker." in said
    assert "RuntimeError: out of luck" in (toys / "out/.mimaface-batch/worker-1.log").read_text()
    outcomes = [json.loads(line) for line in (toys / "out/.mimaface-batch/attempts.jsonl").read_text().splitlines()]
    assert [one["outcome"] for one in outcomes if one["pair"] == "x"] == ["died", "done"]
    assert batch(pairs(("b.png", "z", "fail once")), "--output-dir", "out")[1]["skipped"] == 1


def test_no_retries(toys, pairs, batch):
    status, told, _ = batch(pairs(("a.png", "x", "fail once")), "--output-dir", "out", "--retries", 0)
    assert status == 1 and told["failed"] == 1


def test_one_or_several_workers_give_the_same_bytes(toys, pairs, batch):
    listed = pairs(*((f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(12)))
    assert batch(listed, "--output-dir", "out", "--threads", 1)[0] == 0
    alone = results(toys)
    assert len(set(alone.values())) == 12  # seeds differ
    os.rename(toys / "out", toys / "before")
    assert batch(listed, "--output-dir", "out", "--workers", 2)[0] == 0
    assert results(toys) == alone


def test_limit_and_dry_run(toys, pairs, batch):
    listed = pairs(*((f"{'ab'[i % 2]}.png", f"r{i}", "pass") for i in range(4)), ("gone.png", "x", ""))
    status, told, said = batch(listed, "--output-dir", "out", "--dry-run")
    assert status == 1 and not (toys / "out").exists()
    assert (told["pairs"], told["failed"], told["seconds"]) == (4, 1, 240.0)
    assert "4 pairs to run, 0 done, 1 that cannot run; about 4 min and 2.0 MB (a guess, since none is finished" in said

    status, told, _ = batch(listed, "--output-dir", "out", "--limit", 1)
    assert (told["done"], told["left"]) == (1, 3)
    status, told, said = batch(listed, "--output-dir", "out", "--dry-run")
    assert (
        (told["pairs"], told["skipped"]) == (3, 1)
        and told["seconds"] < 60 * slower()
        and "as 1 finished ones tell" in said
    )


def test_what_is_refused_writes_nothing(toys, pairs, batch):
    cases = [
        ([pairs(("gone.png", "x", ""), ("gone.png", "y", ""))], "line 2: source"),
        (["pairs.jsonl", "--sources", "."], "give either PAIRS, or --sources with --drivers"),
        (["--sources", "."], "No pairs are given; name a .csv or .jsonl list"),
        (["pairs.jsonl", "--workers", "0"], "--workers 0 is out of range; use at least 1"),
        (["pairs.jsonl", "--set", "steps=8"], "--set steps=8 cannot be read; write it TITLE.INPUT=VALUE"),
    ]
    for arguments, words in cases:
        status, told, said = batch(*arguments, "--output-dir", "out")
        assert status == 2 and told is None and words in said, said
    assert not (toys / "out").exists()


def test_a_foreign_file_is_left_alone(toys, pairs, batch):
    (toys / "out").mkdir()
    (toys / "out" / "x.png").write_text("mine")
    status, told, _ = batch(pairs(("a.png", "x", "pass"), ("b.png", "y", "pass")), "--output-dir", "out")
    assert status == 1 and (told["done"], told["failed"]) == (1, 1)
    assert "no batch wrote it" in told["failures"][0]["reason"] and (toys / "out/x.png").read_text() == "mine"


@posix
def test_ctrl_c_ends_workers_and_keeps_results(toys, pairs):
    process = start(toys, pairs(("a.png", "x", "pass"), ("a.png", "y", "wait once"), ("b.png", "z", "pass")))
    try:
        worker = worker_that_waits(toys, "y")
        process.send_signal(signal.SIGINT)
        output, said = process.communicate(timeout=20 * slower())
    finally:
        process.kill()
    assert process.returncode == 130 and "Cancelled" in said and "Traceback" not in said
    told = json.loads(output.splitlines()[-1])
    assert (told["done"], told["failed"], told["left"]) == (1, 0, 2)
    assert gone(worker) and list(results(toys)) == ["out/x.png"]


@posix
def test_a_batch_that_is_killed_leaves_no_worker_and_goes_on(toys, pairs, batch):
    listed = pairs(("a.png", "x", "pass"), ("a.png", "y", "wait once"))
    process = start(toys, listed)
    worker = worker_that_waits(toys, "y")
    status, told, said = batch(listed, "--output-dir", "out")
    assert status == 2 and f"Another batch works in {toys / 'out'} (process {process.pid}" in said
    process.kill()
    process.communicate()
    assert gone(worker) and list((toys / "out/.mimaface-batch/scratch").iterdir())
    status, told, said = batch(listed, "--output-dir", "out")
    assert status == 0 and (told["done"], told["skipped"]) == (1, 1)
    assert sorted(path.name for path in (toys / "out/.mimaface-batch").iterdir()) == ["attempts.jsonl", "worker-1.log"]


@posix
def test_a_pair_that_hangs_is_ended_and_tried_again(toys, pairs, batch):
    status, told, said = batch(pairs(("a.png", "x", "wait once")), "--output-dir", "out", "--timeout", 5)
    assert status == 0 and told["done"] == 1 and told["seconds"] < 60 * slower()
    assert "x: It took longer than 5 s, the limit of --timeout." in said


def test_workers_share_the_gpus_that_are_visible(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    for visible, expected in ((None, ["0", "1", "0"]), ("3,5", ["3", "5", "3"])):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        workers = local_workers(3, 1, tmp_path)
        assert [worker.environment["CUDA_VISIBLE_DEVICES"] for worker in workers] == expected


def test_workers_that_cannot_start_are_told_with_their_reason(toys, pairs, batch, monkeypatch):
    from mimaface.scale import local

    monkeypatch.setattr(local, "START", "import no_such_module")
    status, told, _ = batch(pairs(("a.png", "x", "pass")), "--output-dir", "out")
    assert (
        status == 1
        and "status 1 (ModuleNotFoundError: No module named 'no_such_module')" in told["failures"][0]["reason"]
    )


def test_a_full_disk_fails_its_pairs_in_a_sentence_and_keeps_the_others(toys, pairs, batch, monkeypatch):
    put, full = Results._put, []

    def fill(self, scratch, record):
        if record["pair"] == "y":
            full.append(record["pair"])
            raise OSError(errno.ENOSPC, "No space left on device")
        put(self, scratch, record)

    monkeypatch.setattr(Results, "_put", fill)
    listed = pairs(("a.png", "x", "pass"), ("a.png", "y", "pass"), ("b.png", "z", "pass"))
    status, told, _ = batch(listed, "--output-dir", "out")
    assert status == 1 and told["done"] == 2 and full == ["y", "y"]
    reason = "The result cannot be written (No space left on device); make room, or choose another --output-dir."
    assert told["failures"] == [{"pair": "y", "reason": reason}] and list(results(toys)) == ["out/x.png", "out/z.png"]
    monkeypatch.undo()
    assert not list((toys / "out").rglob("scratch/*"))


def test_a_disk_that_is_full_for_the_batchs_own_files_stops_it_in_a_sentence(toys, pairs, batch, monkeypatch):
    def fill(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    listed = pairs(("a.png", "x", "pass"), ("b.png", "y", "pass"))
    monkeypatch.setattr(Results, "note", fill)
    status, told, said = batch(listed, "--output-dir", "out")
    assert status == 2 and told is None and "Traceback" not in said
    assert "cannot be written any more (No space left on device); make room" in said
    monkeypatch.undo()
    assert list(results(toys)) == ["out/x.png"] and not (toys / "out/.mimaface-batch/lock").exists()


def test_one_bad_row_of_a_thousand_is_named_and_the_others_run(toys, pairs, batch):
    rows = [("a.png", f"r{i}", "") for i in range(1000)]
    rows[499] = ("gone.png", "r499", "")
    status, told, said = batch(pairs(*rows, graph="copy.json"), "--output-dir", "out", "--limit", 5)
    assert status == 1 and (told["done"], told["failed"], told["left"]) == (5, 1, 994)
    assert told["failures"][0]["pair"] == "line 500" and said.count("was not found") == 1


@posix
@pytest.mark.long
def test_kills_at_random_moments_lose_nothing_and_keep_nothing_wrong(tmp_path):
    counts = campaign(tmp_path, kills=2, seed=5, sites=[("worker", 100)])
    assert counts["command"] + counts["worker"] == 2


@posix
def test_a_worker_killed_from_outside_loses_nothing(toys, pairs, batch):
    def kill():
        os.kill(worker_that_waits(toys, "y"), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    status, told, said = batch(
        pairs(("a.png", "x", "pass"), ("a.png", "y", "wait once")), "--output-dir", "out", "--workers", 2
    )
    killer.join()
    assert status == 0 and told["done"] == 2 and "y: The worker process was ended by signal 9" in said


def test_the_cost_of_a_pair_is_small(toys, pairs, batch, capsys):
    """Everything but the work itself: hand-over, hashes, two renames, the log; asserted in time of the processor."""
    count = 200
    listed = pairs(*(("a.png", f"r{i}", "") for i in range(count)), graph="copy.json")
    batch(listed, "--output-dir", "out", "--limit", 1)
    began = time.monotonic()
    ready = []
    give = Crew.give

    def timed(self, worker, item):
        ready.append((time.monotonic(), time.process_time()))
        give(self, worker, item)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Crew, "give", timed)
        status, told, _ = batch(listed, "--output-dir", "out")
    records = [json.loads(path.read_text())["seconds"] for path in (toys / "out").glob("*.json")]
    each, own = (statistics.median(later - at for at, later in pairwise(times)) for times in zip(*ready, strict=True))
    work = statistics.median(records)
    print(
        f"\n{count} pairs, start {ready[0][0] - began:.1f} s; a pair {each * 1000:.1f} ms, work {work * 1000:.1f} ms of"
        f" it, the command's processor {own * 1000:.1f} ms"
    )
    assert status == 0 and told["done"] == count - 1
    assert own <= 0.020 * slower()
