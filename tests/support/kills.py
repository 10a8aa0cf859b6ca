"""A campaign: batches whose command, workers or servers are killed at random moments, and what is left of them.

From the folder tests: python -m support.kills FOLDER KILLS [SEED]
"""

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from mimaface.scale.hashes import digest
from support.batches import start
from support.checkout import IMPORT
from support.toys import node

SERVER = f"""
{IMPORT}
import time
from support.fake_queue import FakeQueue
server = FakeQueue(port=int(sys.argv[1]))
time.sleep(1e6)
"""


class Site:
    """A folder with a list of pairs, and who runs them: worker processes, or two stand-ins for ComfyUI servers.

    Attributes:
        kept: finished results by name, with their time of writing.
        kind: what is killed there beside the command.
    """

    def __init__(self, folder, kind, pairs):
        self.folder, self.kind, self.pairs = folder, kind, pairs
        self.servers: list[subprocess.Popen] = []
        self.options = ["--workers", "2", "--threads", "1"]
        if kind == "server":
            self.ports = free_ports(2)
            self.servers = [serve(port) for port in self.ports]
            self.options = [part for port in self.ports for part in ("--server", f"http://127.0.0.1:{port}")]
        prepare(folder, pairs)
        began = time.monotonic()
        self.start().communicate()
        self.seconds = time.monotonic() - began
        self.reference = {name: content for name, (content, _) in finished(folder).items()}
        assert len(self.reference) == pairs
        self.kept = {}
        self.clear()

    def start(self):
        return start(self.folder, "pairs.jsonl", *self.options)

    def clear(self):
        """Forget the results, also on the servers, which keep finished pairs."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        self.kept = {}
        for number in range(len(self.servers)):
            self.replace_server(number)

    def replace_server(self, number):
        """A server that is killed comes back, and knows nothing."""
        self.servers[number].kill()
        self.servers[number].wait()
        self.servers[number] = serve(self.ports[number])

    def kill(self, process, chance):
        """Kill the command, or one that works for it; gives which."""
        if chance.random() < 0.5:
            process.kill()
            return "command"
        if self.servers:
            self.replace_server(chance.randrange(len(self.servers)))
            return "server"
        hands = workers(process.pid)
        os.kill(chance.choice(hands) if hands else process.pid, signal.SIGKILL)
        return "worker" if hands else "command"

    def check(self):
        """What is finished is whole and right, and what was finished before is still there; whether all is."""
        after = finished(self.folder)
        assert self.kept.items() <= after.items(), "a finished result was lost or done anew"
        assert all(self.reference[name] == content for name, (content, _) in after.items()), "a wrong result was kept"
        self.kept = after
        return len(after) == self.pairs

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def serve(port):
    return subprocess.Popen([sys.executable, "-c", SERVER, str(port)])


def prepare(folder, pairs):
    """Write two images, a graph and a list of so many pairs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, colour in (("a", "red"), ("b", "blue")):
        Image.new("RGB", (8, 8), colour).save(folder / f"{name}.png")
    graph = {
        "1": node("LoadImage", "source", image="a.png"),
        "2": node("SaveImage", "save", images=["3", 0], filename_prefix="x"),
        "3": node("ToyTrap", "trap", image=["1", 0], mode="pass", mark="", seed=0),
    }
    (folder / "graph.json").write_text(json.dumps(graph))
    rows = [{"source": f"{'ab'[i % 2]}.png", "output": f"r{i}", "graph": "graph.json"} for i in range(pairs)]
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


def campaign(folder, kills, seed, sites=(("worker", 300), ("server", 60))):
    """Kill so many processes, in batches that go on.

    Args:
        folder: for the batches.
        kills: how many.
        seed: of the moments and victims.
        sites: who works, and the number of pairs; they take turns.

    Returns:
        The number of kills by kind, and of batches that came to their end.
    """
    chance, counts = random.Random(seed), Counter()
    places = [Site(folder / kind, kind, pairs) for kind, pairs in sites]
    try:
        while (killed := sum(counts.values()) - counts["batches"]) < kills:
            site = places[killed % len(places)]
            process = site.start()
            time.sleep(chance.uniform(0.3, 0.9) * site.seconds)
            if process.poll() is None:
                counts[site.kill(process, chance)] += 1
            process.communicate()
            if site.check():
                counts["batches"] += 1
                site.clear()
    finally:
        for site in places:
            site.close()
    return counts


if __name__ == "__main__":
    print(dict(campaign(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)))
