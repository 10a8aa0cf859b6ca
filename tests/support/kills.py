"""A campaign: batches whose command or workers are killed at random moments, and what is left of them.

From the folder tests: python -m support.kills FOLDER KILLS [SEED]
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from mimaface.scale.hashes import digest
from support.batches import start
from support.toys import node

PAIRS = 300


def prepare(folder):
    """Write two images, a graph and a list of PAIRS pairs."""
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (8, 8), colour).save(folder / f"{name}.png")
    graph = {
        "1": node("LoadImage", "source", image="a.png"),
        "2": node("SaveImage", "save", images=["3", 0], filename_prefix="x"),
        "3": node("ToyTrap", "trap", image=["1", 0], mode="pass", mark="", seed=0),
    }
    (folder / "graph.json").write_text(json.dumps(graph))
    rows = [{"source": f"{'ab'[i % 2]}.png", "output": f"r{i}", "graph": "graph.json"} for i in range(PAIRS)]
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))


def finished(folder):
    """Results by name: bytes and time of writing; all of them whole, each with its record."""
    found = {}
    for path in (folder / "out").glob("r*.json"):
        record, result = json.loads(path.read_text()), path.with_suffix(".png")
        assert digest(result) == record["sha256"], path
        found[path.stem] = (record["sha256"], result.stat().st_mtime_ns)
    return found


def workers(pid):
    """Processes that a process started."""
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(word) for word in listed.stdout.split()]


def campaign(folder, kills, seed):
    """Kill so many processes, in batches that go on; gives the number of kills by kind, and of batches."""
    chance, counts = random.Random(seed), Counter()
    prepare(folder)
    began = time.monotonic()
    start(folder, "pairs.jsonl", "--workers", "2", "--threads", "1").communicate()
    seconds = time.monotonic() - began
    reference = {name: content for name, (content, _) in finished(folder).items()}
    assert len(reference) == PAIRS
    shutil.rmtree(folder / "out")
    before = {}
    while counts["command"] + counts["worker"] < kills:
        process = start(folder, "pairs.jsonl", "--workers", "2", "--threads", "1")
        time.sleep(chance.uniform(0.3, 0.9) * seconds)
        hands = workers(process.pid)
        kind = chance.choice(["command", "worker"]) if hands else "command"
        if process.poll() is None:
            os.kill(process.pid if kind == "command" else chance.choice(hands), signal.SIGKILL)
            counts[kind] += 1
        process.communicate()
        after = finished(folder)
        assert before.items() <= after.items(), "a finished result was lost or done anew"
        assert all(reference[name] == content for name, (content, _) in after.items()), "a wrong result was kept"
        before = after
        if len(after) == PAIRS:
            counts["batches"] += 1
            shutil.rmtree(folder / "out")
            before = {}
    return counts


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.mkdir(parents=True, exist_ok=True)
    print(dict(campaign(place, int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)))
