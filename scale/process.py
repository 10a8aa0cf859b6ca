"""A worker process and what it says; needs the standard library alone, since Ray carries it to other machines."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import IO, Any

THREADS = "MIMAFACE_BATCH_THREADS"  # environment variable: CPU threads of a worker process
_LAST_BYTES = 2000  # of a log, for the reason of a death


class WorkerProcess:
    """A worker process, which stays up from pair to pair.

    Args:
        start: Python code that it runs.
        environment: variables beside those of this process.
        log: path of the file for what it prints; appended to.
        tell: called in a thread with each of its answers, and with `{"died": SENTENCE}` at its end.
    """

    def __init__(
        self, start: str, environment: Mapping[str, str], log: str, tell: Callable[[dict[str, Any]], None]
    ) -> None:
        self.log = log
        os.makedirs(os.path.dirname(log), exist_ok=True)
        with open(log, "a", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-c", start],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                text=True,
                encoding="utf-8",
                start_new_session=True,  # Ctrl-C is for this process, which ends the others
            )
        threading.Thread(target=self._listen, args=(tell,), daemon=True).start()

    def give(self, job: Mapping[str, Any]) -> None:
        """Hand over a job; a death that is not known yet is told soon."""
        stdin = _pipe(self.process.stdin)
        with contextlib.suppress(OSError):
            stdin.write(json.dumps(job) + "\n")
            stdin.flush()

    def end(self) -> None:
        """End the process at once, with those that it started."""
        if self.process.poll() is None:
            _kill_group(self.process.pid)
            self.process.kill()
        self.process.wait()
        with contextlib.suppress(OSError):
            _pipe(self.process.stdin).close()

    def _listen(self, tell: Callable[[dict[str, Any]], None]) -> None:
        """Tell what the process says, to its end."""
        for line in _pipe(self.process.stdout):
            tell(json.loads(line))
        if sys.platform != "win32":
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
                _kill_group(self.process.pid)  # encoders that it left behind; until `wait` its id is nobody else's
        tell({"died": _why(self.process.wait(), self.log)})


class Keeper:
    """Keeps a worker process, which ends with it; a call waits for what the process says.

    Args:
        start: Python code that it runs.
        environment: variables beside those of this process.
        log: path of the file for what it prints.
    """

    def __init__(self, start: str, environment: Mapping[str, str], log: str) -> None:
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._process = WorkerProcess(start, environment, log, self._answers.put)

    def ready(self) -> dict[str, Any]:
        """Wait for the process."""
        return self._answers.get()

    def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a pair."""
        self._process.give(job)
        return self._answers.get()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _kill_group(pid: int) -> None:
    """Kill a process that leads a group, and the others of the group; does nothing on Windows."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def _why(code: int, log: str) -> str:
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
