"""What counts as done, whatever happened in between: kills, changes, foreign files and locks."""

import errno
import json
import os
import socket
import subprocess
import sys
import time

import pytest

from mimaface.mimaface_core import process_mark
from mimaface.mimaface_core.errors import InputError
from mimaface.scale.hashes import digest
from mimaface.scale.pairs import PairCheck
from mimaface.scale.results import Results
from mimaface.scale.rows import Row


@pytest.fixture
def pair(toys):
    """`pair(name, **row)` is a pair of the toy graph."""

    def make(name="x", **row):
        rows = [Row("line 2", {"source": "a.png", "graph": "copy.json", "output": name, **row})]
        (found,), faults = PairCheck(toys, toys / "out", {}).check(rows)
        assert not faults
        return found

    return make


@pytest.fixture
def results(toys):
    return Results(toys / "out")


def made(scratch, content="result", name="result_00001_.png"):
    """A result as a worker leaves it."""
    folder = scratch / "out" / "result"
    folder.mkdir(parents=True)
    (folder / name).write_text(content)
    return folder / name


def publish(results, pair, **more):
    scratch = results.scratch()
    file = made(scratch, **more)
    results.publish(pair, scratch, file, {"sha256": digest(file), "frames": 1, "seconds": 2.0, "threads": 1})


def names(results):
    return sorted(path.relative_to(results.folder).as_posix() for path in results.folder.rglob("*") if path.is_file())


def test_a_pair_is_done_when_record_result_and_inputs_fit(results, pair, toys):
    one = pair("sub/x")
    with results.opened():
        assert not results.is_done(one)
        publish(results, one)
        assert results.is_done(one) and results.is_done(pair("sub/x"))
    assert names(results) == ["sub/x.json", "sub/x.png"]
    record = json.loads((toys / "out/sub/x.json").read_text())
    assert record["inputs"] == {"source": {"file": "a.png", "sha256": digest(toys / "a.png")}}
    assert (record["graph"], record["bytes"], record["result"]) == ("copy.json", 6, "sub/x.png")

    (toys / "out/sub/x.png").write_text("damaged")
    assert not results.is_done(one)


def test_a_changed_input_or_setting_is_not_done(results, pair, toys):
    with results.opened():
        publish(results, pair())
        graph = json.loads((toys / "copy.json").read_text())
        graph["2"]["inputs"]["filename_prefix"] = "other"  # of no weight: results are named by the batch
        (toys / "copy.json").write_text(json.dumps(graph))
        assert results.is_done(pair())
        (toys / "a.png").write_bytes((toys / "b.png").read_bytes())
        assert not results.is_done(pair())
        publish(results, pair(), content="new")
        assert results.is_done(pair()) and (toys / "out/x.png").read_text() == "new"


@pytest.mark.parametrize("moved", [0, 1])
def test_a_kill_between_the_renames_loses_and_doubles_nothing(results, pair, toys, monkeypatch, moved):
    replace, count = os.replace, 0

    def until_killed(source, target):
        nonlocal count
        if ".mimaface-batch" not in str(target):
            if count == moved:
                raise KeyboardInterrupt
            count += 1
        replace(source, target)

    results.state.mkdir(parents=True)
    monkeypatch.setattr(os, "replace", until_killed)
    with pytest.raises(KeyboardInterrupt):
        publish(results, pair())
    monkeypatch.undo()
    monkeypatch.chdir(toys)
    assert (toys / "out/x.png").exists() == bool(moved) and not (toys / "out/x.json").exists()
    assert not results.is_done(pair())

    with results.opened():  # the next run finishes what was finished but for its name
        assert results.is_done(pair())
        assert (toys / "out/x.png").read_text() == "result"
    assert names(results) == ["x.json", "x.png"]


def test_a_kill_before_the_record_leaves_nothing(results, pair):
    results.state.mkdir(parents=True)
    made(results.scratch())
    with results.opened():
        assert not results.is_done(pair())
        assert names(results) == [".mimaface-batch/lock"]


def test_a_record_whose_result_was_replaced_after_a_kill_is_dropped(results, pair, toys):
    results.state.mkdir(parents=True)
    scratch = results.scratch()
    record = {"made_by": "mimaface batch", "pair": "x", "result": "x.png", "sha256": "0" * 64}
    (scratch / "record.json").write_text(json.dumps(record))
    (toys / "out/x.png").write_text("by hand")
    with results.opened():
        assert names(results) == [".mimaface-batch/lock", "x.png"]


def test_the_old_result_goes_when_the_new_one_has_another_name(results, pair, toys):
    with results.opened():
        publish(results, pair())
        publish(results, pair(), name="result_00001_.webm")
        assert results.is_done(pair())
    assert names(results) == ["x.json", "x.webm"]


def test_a_sequence_of_images_is_a_folder(results, pair, toys):
    with results.opened():
        for content in ("one", "two"):
            scratch = results.scratch()
            folder = scratch / "out" / "result_00001_"
            folder.mkdir(parents=True)
            for number in (1, 2):
                (folder / f"{number}.png").write_text(content)
            results.publish(pair(), scratch, folder, {"sha256": digest(folder), "seconds": 1.0})
            assert results.is_done(pair()) and names(results)[1:] == ["x.json", "x/1.png", "x/2.png"]
        (toys / "out/x/2.png").unlink()
        assert not results.is_done(pair())


@pytest.mark.parametrize("name", ["x.png", "x.json"])
def test_files_that_no_batch_wrote_are_never_replaced(results, pair, toys, name):
    with results.opened():
        (toys / "out" / name).write_text("{}")
        with pytest.raises(InputError, match="is there already, and no batch wrote it; move it away"):
            publish(results, pair())
        assert (toys / "out" / name).read_text() == "{}"


def test_a_record_cannot_name_files_elsewhere(results, pair, toys):
    results.folder.mkdir()
    record = {"made_by": "mimaface batch", "pair": "x", "result": "../a.png", "sha256": "0"}
    (toys / "out/x.json").write_text(json.dumps(record))
    assert results.record_of("x") is None
    (toys / "out/x.json").write_text(json.dumps({**record, "pair": "y", "result": "y.png"}))
    assert results.record_of("x") is None


def test_the_log_tells_which_failed_last_and_survives_a_torn_line(results):
    results.state.mkdir(parents=True)
    for name, outcome in (("a", "failed"), ("b", "died"), ("a", "done"), ("c", "done")):
        results.note(name, outcome)
    with open(results.log, "a") as file:
        file.write('{"pair": "d", "outc')
    assert results.failed_names() == {"b"}


# --- the lock


def write_lock(results, pid, host):
    results.state.mkdir(parents=True)
    (results.state / "lock").write_text(json.dumps({"pid": pid, "host": host}))


def test_the_lock_of_another_machine_or_of_a_living_process_is_respected(results):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        write_lock(results, other.pid, socket.gethostname())
        with pytest.raises(
            InputError, match=rf"Another batch works in .*out \(process {other.pid} on .*; wait for its"
        ):
            results.opened().__enter__()
        (results.state / "lock").write_text(json.dumps({"pid": other.pid, "host": "elsewhere"}))
        other.communicate(b"\n")
    with pytest.raises(InputError, match="on elsewhere"):
        results.opened().__enter__()


def test_the_lock_of_a_dead_process_is_taken_over(results):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_lock(results, dead.pid, socket.gethostname())
    (results.state / "lock.new").write_text(json.dumps({"pid": dead.pid, "host": socket.gethostname()}))
    with results.opened():
        assert json.loads((results.state / "lock").read_text())["pid"] == os.getpid()
        assert not (results.state / "lock.new").exists()
    assert not (results.state / "lock").exists()


def test_an_unfinished_lock_counts_while_it_is_new(results):
    results.state.mkdir(parents=True)
    lock = results.state / "lock"
    lock.touch()
    with pytest.raises(InputError, match="it has just begun"):
        results.opened().__enter__()
    os.utime(lock, (1, 1))
    with results.opened():
        assert lock.stat().st_size > 0


def test_a_folder_that_cannot_be_made_is_refused(toys):
    (toys / "file").touch()
    with pytest.raises(InputError, match="--output-dir .* cannot be written .* choose another"):
        Results(toys / "file" / "out").opened().__enter__()


def test_a_folder_that_is_read_only_is_refused(results, monkeypatch):
    results.state.mkdir(parents=True)  # as another machine made it

    def refuse(file, mode="r", *arguments, **more):
        if mode == "x":
            raise OSError(errno.EROFS, "Read-only file system")
        return open(file, mode, *arguments, **more)

    monkeypatch.setattr(process_mark, "open", refuse, raising=False)
    with pytest.raises(InputError, match=r"--output-dir .* \(Read-only file system\); choose another"):
        results.opened().__enter__()


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_machine_whose_clock_is_wrong_sees_the_same_results_and_locks(results, pair, toys, monkeypatch, hours):
    with results.opened():
        publish(results, pair())
    for path in toys.rglob("*"):
        stat = path.stat()
        os.utime(path, (stat.st_atime + hours * 3600, stat.st_mtime + hours * 3600))
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert results.is_done(pair())
    lock = results.state / "lock"
    lock.touch()  # by the clock of the file system, which is the only one that is asked, this is now
    with pytest.raises(InputError, match="it has just begun"):
        results.opened().__enter__()
    lock.unlink()
    write = results.state / "lock"
    write.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}))
    os.utime(write, (2**33, 2**33))
    with results.opened():
        pass
