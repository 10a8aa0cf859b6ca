"""A real ComfyUI in a process of its own, driven over HTTP and its websocket."""

import json
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from support.comfyui_server import call, launched

FREE = {"unload_models": True, "free_memory": True}


@contextmanager
def running(base: Path, *flags: str) -> Iterator["ComfyUI"]:
    """A ComfyUI that works in the folder `base`; it is stopped afterwards."""
    with launched(**call(base, *flags)) as (address, process):
        yield ComfyUI(base, address, process)


class ComfyUI:
    """A running server on a base folder."""

    def __init__(self, base: Path, address: str, process: subprocess.Popen):
        self.base, self.address, self.process = base, address, process

    def ask(self, path: str, body: dict | None = None) -> dict:
        """A request and its JSON; raises HTTPError where it is refused."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text else {}

    def resident(self) -> float:
        """Resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def peak(self) -> float:
        """The most resident memory in MB, of all time or since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def forget_peak(self) -> None:
        """Let `peak` count from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def free(self) -> None:
        """Free models and node cache; the request is repeated, since a server that is not idle drops it."""
        for _ in range(3):
            self.ask("/free", FREE)
            time.sleep(2)

    def run(self, graph: dict, cancel=None) -> "Run":
        """Queue a graph and follow it to its end; interrupted at the first message for which `cancel` is true."""
        import websocket

        client, run, cancelled_at = uuid.uuid4().hex, Run(), 0.0
        url = f"{self.address.replace('http', 'ws', 1)}/ws?clientId={client}"
        with closing(websocket.create_connection(url, timeout=300)) as events:
            prompt = self.ask("/prompt", {"prompt": graph, "client_id": client})["prompt_id"]
            while True:
                text = events.recv()
                if isinstance(text, bytes):
                    run.previews.append(text)
                    continue
                message = json.loads(text)
                kind, data = message["type"], message["data"]
                if data.get("prompt_id") != prompt:
                    continue
                if kind == "executing" and data["node"] is None:
                    break
                if kind == "executing":
                    run.executed.append(data["node"])
                if kind == "execution_interrupted":
                    run.latency = time.monotonic() - cancelled_at
                    run.stopped_at = data["node_id"]
                if cancel and cancel(kind, data):
                    cancel, cancelled_at = None, time.monotonic()
                    self.ask("/interrupt", {"prompt_id": prompt})
        run.history = self.ask(f"/history/{prompt}")[prompt]
        return run


class Run:
    """A run: executed nodes, previews (bytes), history, and the node and latency of an interrupt."""

    def __init__(self):
        self.executed: list[str] = []
        self.previews: list[bytes] = []
        self.history: dict = {}
        self.stopped_at: str | None = None
        self.latency: float | None = None

    @property
    def status(self) -> str:
        """`success` or `error`."""
        return self.history["status"]["status_str"]
