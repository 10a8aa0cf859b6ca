"""Workers as processes of this machine, which stay up from pair to pair and are started anew when they die."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from .pairs import Pair
from .scheduler import Event
from .worker import THREADS

ROOT = Path(__file__).resolve().parents[1]  # of the extension
# imports the extension as `mimaface` from its folder, installed or not, whatever the folder is called
START = f"""
import importlib.util, sys
root = {str(ROOT)!r}
spec = importlib.util.spec_from_file_location("mimaface", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["mimaface"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from mimaface.scale.worker import main
main()
"""
POLL_SECONDS = 0.2  # between two looks at Ctrl-C
_LAST_BYTES = 2000  # of a log, for the reason of a death


@dataclass
class _Process:
    process: subprocess.Popen[str]
    log: Path
    scratch: Path | None = None


class LocalWorkers:
    """Worker processes; a `scheduler.Workers`.

    Args:
        threads: CPU threads of each.
        logs: folder for what they print, a file each.
        scratch: makes the folder of an attempt.
    """

    def __init__(self, threads: int, logs: Path, scratch: Callable[[], Path]) -> None:
        own = {THREADS: str(threads), "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"}
        self._environment = {**os.environ, **own}
        self._logs, self._new_scratch = logs, scratch
        self._events: queue.Queue[Event] = queue.Queue()
        self._processes: dict[int, _Process] = {}

    def start(self, worker: int) -> None:
        """Start a worker process, or start it anew; its log begins with the batch."""
        log = self._logs / f"worker-{worker + 1}.log"
        with open(log, "a" if worker in self._processes else "w", encoding="utf-8") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
        self._processes[worker] = _Process(process, log)
        threading.Thread(target=self._listen, args=(worker, self._processes[worker]), daemon=True).start()

    def give(self, worker: int, item: Pair) -> None:
        """Hand a pair to a worker; a death that is not known yet follows as its event."""
        own = self._processes[worker]
        own.scratch = self._new_scratch()
        job = {"prompt": item.prompt(), "scratch": str(own.scratch)}
        stdin = _pipe(own.process.stdin)
        with contextlib.suppress(OSError):
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()

    def wait(self) -> Event | None:
        """The next event; None after a moment without one."""
        try:
            return self._events.get(timeout=POLL_SECONDS)
        except queue.Empty:
            return None

    def scratch_of(self, worker: int) -> Path:
        """The folder of a worker's present attempt."""
        scratch = self._processes[worker].scratch
        assert scratch is not None
        return scratch

    def close(self) -> None:
        """End all processes at once, with those that they started."""
        for own in self._processes.values():
            if own.process.poll() is None:
                _kill_group(own.process.pid)
                own.process.kill()
        for own in self._processes.values():
            own.process.wait()
            with contextlib.suppress(OSError):
                _pipe(own.process.stdin).close()

    def _listen(self, worker: int, own: _Process) -> None:
        """Turn what a process says into events, to its end."""
        for line in _pipe(own.process.stdout):
            self._events.put(_event(worker, json.loads(line)))
        if sys.platform != "win32":
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, own.process.pid, os.WEXITED | os.WNOWAIT)
                _kill_group(own.process.pid)  # encoders that it left behind; until `wait` its id is nobody else's
        self._events.put(Event(worker, "died", _why(own.process.wait(), own.log)))


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _event(worker: int, said: dict[str, Any]) -> Event:
    if "ready" in said:
        return Event(worker, "ready")
    if "done" in said:
        return Event(worker, "done", report=said["done"])
    return Event(worker, "failed", said["failed"], said["again"])


def _kill_group(pid: int) -> None:
    """Kill a process that leads a group, and the others of the group; does nothing on Windows."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _why(code: int, log: Path) -> str:
    """Why a process ended, in one sentence."""
    if code < 0:
        hint = ", perhaps for want of memory" if code == -9 else ""
        return f"The worker process was ended by signal {-code}{hint}; see {log}."
    with contextlib.suppress(OSError):
        with open(log, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LAST_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
        if lines:
            return f"The worker process ended with status {code} ({lines[-1].strip()}); see {log}."
    return f"The worker process ended with status {code}; see {log}."
