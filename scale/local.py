"""Workers as processes of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from .crew import Answer, Work
from .process import THREADS, WorkerProcess

ROOT = Path(__file__).resolve().parents[1]  # of the extension
# imports the extension as `mimaface`: from this folder, whatever it is called, or on other machines as installed
START = f"""
import importlib.util, os, sys
root = {str(ROOT)!r}
if os.path.isfile(root + "/__init__.py"):
    spec = importlib.util.spec_from_file_location("mimaface", root + "/__init__.py", submodule_search_locations=[root])
    sys.modules["mimaface"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
from mimaface.scale.worker import main
main()
"""
DEVICES = "CUDA_VISIBLE_DEVICES"


class LocalWorker:
    """A worker process; a `crew.Worker`.

    Args:
        threads: its CPU threads.
        log: for what it prints; begins with the batch.
        device: the GPU that it sees, as CUDA_VISIBLE_DEVICES names it; all where None.
    """

    def __init__(self, threads: int, log: Path, device: str | None = None) -> None:
        self.environment = worker_environment(threads) | ({DEVICES: device} if device is not None else {})
        self._log = log
        self.process: WorkerProcess | None = None

    def start(self, tell: Callable[[Answer], None]) -> None:
        """Start the process, or start it anew."""
        if self.process is None:
            self._log.unlink(missing_ok=True)
        else:
            self.end()
        self.process = WorkerProcess(START, self.environment, str(self._log), tell)

    def give(self, item: Work, scratch: Path) -> None:
        """Hand a pair or task to the process."""
        assert self.process is not None
        self.process.give(item.job(scratch))

    def end(self) -> None:
        """End the process at once."""
        if self.process is not None:
            self.process.end()


def worker_environment(threads: int) -> dict[str, str]:
    """Environment variables of a worker process with so many CPU threads."""
    return {THREADS: str(threads), "OMP_NUM_THREADS": str(threads)}


def local_devices() -> list[str]:
    """The GPUs of this machine that CUDA_VISIBLE_DEVICES leaves, as it would name them."""
    import torch

    named = os.environ.get(DEVICES)
    count = torch.cuda.device_count()
    return [str(number) for number in range(count)] if not named else named.split(",")[:count]
