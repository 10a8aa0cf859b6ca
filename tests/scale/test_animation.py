"""`mimaface batch` with faces and the tiny pack, from list to video; a worker is killed in the middle of a pair."""

import json
import os
import signal
import threading
import time

import pytest
from PIL import Image
from support.machine import slower
from support.scenes import clip, moved, needs_faces, nodding, noise

from mimaface.scale.hashes import digest
from mimaface.scale.local import LocalWorker

QUICK = ("--set", "pack.pack=tiny", "--set", "sampler.steps=1", "--threads", 1)


@pytest.fixture
def faces(tmp_path, monkeypatch, tiny_models):
    """A working folder with a list of three pairs, of which the second shows no face."""
    monkeypatch.setenv("MIMAFACE_MODELS", str(tiny_models))
    monkeypatch.chdir(tmp_path)
    for name, pixels in (("one", moved()), ("two", moved(3, 1.05)), ("nobody", noise())):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    clip(tmp_path / "nod.mp4", nodding(4))
    rows = [
        "source,driver,output",
        "one.png,nod.mp4,first.mp4",
        "nobody.png,nod.mp4,bad",
        "two.png,one.png,below/second",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(rows))
    return tmp_path


def results(folder):
    out = folder / "out"
    files = [path for path in sorted(out.rglob("*")) if path.is_file() and ".mimaface-batch" not in path.parts]
    return {path.relative_to(out).as_posix(): (digest(path), path.stat().st_mtime_ns) for path in files}


def kill_once(log, text):
    """Kill the first worker as soon as its log holds `text`; gives what it did."""
    started, killed = [], []
    start = LocalWorker.start

    def watched(self, tell):
        start(self, tell)
        started.append(self.process.process.pid)

    def watch():
        until = time.monotonic() + 60 * slower()
        while time.monotonic() < until and not killed:
            time.sleep(0.02)
            if started and log.exists() and text in log.read_text(errors="replace"):
                os.kill(started[0], signal.SIGKILL)
                killed.append(started[0])

    threading.Thread(target=watch, daemon=True).start()
    return watched, started, killed


@needs_faces
@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.long
def test_a_batch_survives_a_kill_goes_on_and_redoes_what_changed(faces, batch, monkeypatch):
    log = faces / "out" / ".mimaface-batch" / "worker-1.log"
    with monkeypatch.context() as patch:
        watched, started, killed = kill_once(log, "(MIMAFaceSampleClips)")
        patch.setattr(LocalWorker, "start", watched)
        status, told, said = batch("pairs.csv", "--output-dir", "out", *QUICK)
    assert status == 1 and (told["done"], told["failed"]) == (2, 1)
    assert len(killed) == 1 and len(started) == 2 and "first: The worker process was ended by signal 9" in said
    (failure,) = told["failures"]
    assert failure["pair"] == "bad" and "No face was found in the image" in failure["reason"]
    before = results(faces)
    assert list(before) == ["below/second.json", "below/second.png", "first.json", "first.mp4"]
    record = json.loads((faces / "out/first.json").read_text())
    assert record["frames"] == 4 and set(record["packs"]) == {"tiny"} and list(record["seeds"]) == ["sampler.seed"]

    # the bad one is tried again, nothing else is done
    status, told, _ = batch("pairs.csv", "--output-dir", "out", *QUICK)
    assert status == 1 and (told["done"], told["failed"], told["skipped"]) == (0, 1, 2)
    assert results(faces) == before

    # the changed photograph's pair is done anew, and the one that has a face by now
    Image.fromarray(moved(-3)).save(faces / "two.png")
    Image.fromarray(moved(2)).save(faces / "nobody.png")
    status, told, _ = batch("pairs.csv", "--output-dir", "out", *QUICK)
    assert status == 0 and (told["done"], told["failed"], told["skipped"]) == (2, 0, 1)
    after = results(faces)
    assert after["first.mp4"] == before["first.mp4"] and after["below/second.png"][0] != before["below/second.png"][0]
    assert "bad.mp4" in after

    # a kept source gives the same bytes as a fresh worker
    os.rename(faces / "out", faces / "warm")
    rows = ["source,driver,output", "nobody.png,nod.mp4,bad", "nobody.png,one.png,other"]
    (faces / "pairs.csv").write_text("\n".join(rows))
    assert batch("pairs.csv", "--output-dir", "out", *QUICK)[0] == 0
    assert results(faces)["bad.mp4"][0] == after["bad.mp4"][0]
    other = results(faces)["other.png"][0]
    (faces / "out/other.json").unlink()
    (faces / "out/other.png").unlink()
    assert batch("pairs.csv", "--output-dir", "out", *QUICK)[1]["done"] == 1
    assert results(faces)["other.png"][0] == other
